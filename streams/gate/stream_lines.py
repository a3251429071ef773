"""The lines of a streamed completion, and the messages of its WebSocket, as they come."""

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web

from schemas.events import Amount, Count, Event, Kind, Name
from streams.errors import WeirError
from streams.gate import native
from streams.gate.reading import json_of, unreadable

_TOGETHER: Final = 500
"""Lines that are read in one go, so that others get their turn."""
_REPLACED: Final = "\ufffd"


class LineError(WeirError):
    """A line that cannot be read; the message repeats nothing of it."""


class BrokenOffError(WeirError):
    """The completion ends without an end."""


class Line(native.Check, omit_defaults=True, kw_only=True):
    """One line of a stream."""

    text: str = ""
    kind: Kind = "completion"
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    latency_ms: Amount | None = None
    ttft_ms: Amount | None = None
    cost: Amount | None = None
    finish_reason: Name = ""
    delta: str = ""
    done: bool = False
    aborted: bool = False
    """The model failed: it breaks off here."""
    redact: bool = True
    scores: bool = False
    deadline_ms: native.Deadline | None = None


def event_of(line: Line, app: str) -> Event:
    """Return the event that a first line tells of, with no text yet; without an app it has `app`."""
    given = {name: getattr(line, name) for name in native.Check.__struct_fields__}
    return Event(**(given | {
        "app": line.app or app or "default", "event_id": line.event_id or secrets.token_hex(16),
    }))  # fmt: skip


def read(raw: bytes, number: int) -> Line:
    """Return a line, whose `delta` may begin and end with half of a surrogate pair; raise `LineError`."""
    try:
        line = _line(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = unreadable(error, raw, Line)
    else:
        if line.text:
            raise LineError(f"line {number}: `text` is not for streams: send it as `delta`")
        return msgspec.structs.replace(line, delta=_halved(raw)) if _REPLACED in line.delta else line
    raise LineError(f"line {number}: {detail}")


def _line(raw: bytes) -> Line:
    """Return a line, where null says nothing: chunks of models have it in place of what they lack."""
    try:
        return json_of(raw, Line)
    except msgspec.ValidationError:
        if b"null" not in raw:
            raise
        given = json_of(raw, dict[str, Any])
    return msgspec.convert({name: value for name, value in given.items() if value is not None}, Line)


def _halved(raw: bytes) -> str:
    """Return the delta of a line as it came: the next one may bring what its half of a character lacks."""
    try:
        return str(json.loads(raw)["delta"])
    except (ValueError, RecursionError):  # there are bytes in it that are none of UTF-8 at all
        return json_of(raw, Line).delta


async def body_lines(content: Any, most_bytes: int) -> AsyncIterator[list[bytes]]:
    """Yield the lines of a body, together what comes together; raise `LineError` for one that is too long."""
    parts: list[bytes] = []  # of the line that has not ended: joined once, however small they come
    size = 0
    async for chunk in content.iter_any():
        first, *others = chunk.split(b"\n")
        parts.append(first)
        size += len(first)
        if others:
            whole, parts = [b"".join(parts), *others[:-1]], [others[-1]]
            size = len(parts[0])
            found = [line for line in whole if line.strip()]
            for place in range(0, len(found), _TOGETHER):
                yield found[place : place + _TOGETHER]
        if size > most_bytes:
            raise LineError(
                f"a line has more than {most_bytes} bytes (WEIR_MAX_EVENT_BYTES): send it in pieces"
            )
    if rest := b"".join(parts).strip():
        yield [rest]


async def socket_lines(socket: web.WebSocketResponse) -> AsyncIterator[list[bytes]]:
    """Yield the messages of a WebSocket."""
    async for message in socket:
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            data = message.data.encode() if isinstance(message.data, str) else message.data
            if found := [line for line in data.split(b"\n") if line.strip()]:
                yield found
    raise BrokenOffError("the connection was closed before `done`")
