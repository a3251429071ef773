"""What stands in the head of a request: whose key, which app, by when."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from aiohttp import web

from schemas.events import Event
from streams.gate import failures, native
from streams.gate.access import key_in, of_a_page
from streams.gate.connections import Connection
from streams.gate.keys import Caller, Keys
from streams.gate.reading import UNPROCESSABLE, RefusedError
from streams.gate.settings import GateSettings

DEADLINE: Final = "X-Weir-Deadline-Ms"
APP: Final = "X-Weir-App"
WARNING: Final = "X-Weir-Warning"
"""Of an answer: what it also says in its body, where its contract has a place for that."""
UNAUTHORIZED, FORBIDDEN = 401, 403
NO_KEY: Final = "a key is needed: send it as `Authorization: Bearer KEY` or `x-api-key: KEY`"
WRONG_KEY: Final = "this key is none of those in WEIR_GATE_KEYS: `weir gate --new-key` makes one"
CALLER: Final = web.RequestKey("caller", Caller)
CAME: Final = web.RequestKey("came", float)
"""When at the earliest the last byte of a request came, by `time.monotonic`."""
WARNINGS: Final = web.RequestKey("warnings", list[str])


def caller_of(request: web.Request, keys: Keys, settings: GateSettings) -> Caller:
    """Return who asks; raise `RefusedError` for who may not."""
    if not keys.needed and of_a_page(request.headers, local=settings.is_local):
        raise RefusedError(FORBIDDEN, "web_page", "a web page may call with a key only: set WEIR_GATE_KEYS")
    key = key_in(request.headers, basic=failures.of_exporter(request))
    caller = keys.caller(key)
    if caller is None:
        kind, message = ("wrong_key", WRONG_KEY) if key else ("no_key", NO_KEY)
        raise RefusedError(UNAUTHORIZED, kind, message, {"WWW-Authenticate": "Bearer"})
    return caller


def app_of(request: web.Request, default: str) -> str:
    """Return the app of events that do not say it."""
    return request[CALLER].app or _named(request) or default


def warnings_of(request: web.Request, events: Sequence[Event] = ()) -> list[str]:
    """Return what is said of an app or a tenant that is not the one of the key."""
    caller: Caller = request[CALLER]
    return list(dict.fromkeys((*caller.warnings(events), *caller.warnings_of(_named(request)))))


def _named(request: web.Request) -> str:
    # Bytes that are not UTF-8 come as half surrogates, which have no place in an event.
    return request.headers.get(APP, "").encode("utf-8", "replace").decode()


def came(request: web.Request) -> None:
    """Note that all of a request has come: from then on its time runs."""
    protocol = request.protocol
    request[CAME] = protocol.came_at if isinstance(protocol, Connection) else time.monotonic()


def within_s(request: web.Request, most_ms: float, wanted_ms: float | None = None) -> float:
    """Return how much time is left for a request; errors as of `allowed_s`."""
    spent_s = time.monotonic() - request[CAME] if CAME in request else 0.0
    return allowed_s(request.headers, most_ms, wanted_ms) - spent_s


def allowed_s(headers: Mapping[str, str], most_ms: float, wanted_ms: float | None = None) -> float:
    """Return how much time a request has: what its head says, or else `wanted_ms`, and never more than most.

    Raises `RefusedError` for what is no time.
    """
    given = headers.get(DEADLINE)
    if given is not None:
        try:
            wanted_ms = msgspec.convert(given, native.Deadline, strict=False)
        except msgspec.ValidationError:
            said = f"{DEADLINE}: a number of milliseconds over 0, at most 600000"
            raise RefusedError(UNPROCESSABLE, "bad_deadline", said) from None
    return most_ms / 1000 if wanted_ms is None else min(wanted_ms, most_ms) / 1000
