"""Payloads that no consumer may accept, each with the reason it has to be refused for."""

import gzip
import itertools
import json
import random
from collections.abc import Callable
from typing import Any, Final

from schemas.codec import MAX_BYTES, Reason

NOW_MS: Final = 1_800_000_000_000
"""A moment to decode at; real clocks refuse the absurd timestamps below as well."""
SECRET: Final = "xyzzy-plugh"
"""In every text of the payloads, so that a test can look for it where it must not be."""

Maker = Callable[[random.Random], bytes | None]


def event(rng: random.Random, **fields: Any) -> dict[str, Any]:
    """Return the fields of a valid event, with `fields` on top."""
    number = rng.getrandbits(64)
    return {
        "event_id": f"{SECRET}-{number:016x}",
        "app": f"{SECRET}-app",
        "kind": rng.choice(["prompt", "completion"]),
        "text": f"{SECRET} says {number}",
        "user": SECRET,
        "metadata": {SECRET: SECRET},
    } | fields


def _dump(fields: object) -> bytes:
    return json.dumps(fields).encode()


def _with(**fields: Any) -> Maker:
    return lambda rng: _dump(event(rng, **fields))


def _without(field: str) -> Maker:
    return lambda rng: _dump({k: v for k, v in event(rng).items() if k != field})


def _truncated(rng: random.Random) -> bytes:
    payload = _dump(event(rng))
    return payload[: rng.randrange(1, len(payload))]


def _raw(field: str, literal: str) -> Maker:
    """Return a maker of events with a value that is not of this JSON."""

    def make(rng: random.Random) -> bytes:
        return _dump(event(rng, **{field: "@"})).replace(b'"@"', literal.encode("latin-1"))

    return make


def _nested(opening: str) -> Maker:
    return lambda rng: (
        _dump(event(rng))[:-1] + b',"unknown":' + opening.encode() * rng.randrange(20_000, 90_000)
    )


def _utf16(encoding: str) -> Maker:
    return lambda rng: json.dumps(event(rng)).encode(encoding)


def _binary(rng: random.Random) -> bytes:
    return b"\x00\x00\x00\x00\x01" + bytes(rng.randrange(128, 256) for _ in range(40)) + SECRET.encode()


KINDS: Final[tuple[tuple[str, Maker, Reason], ...]] = (
    ("null value", lambda _: None, Reason.NULL_VALUE),
    ("empty", lambda _: b"", Reason.EMPTY),
    ("white space", lambda rng: b" \n\t\r" * rng.randrange(1, 9), Reason.EMPTY),
    ("5 MB text", lambda rng: _dump(event(rng, text=SECRET * 460_000)), Reason.TOO_LARGE),
    ("just over the limit", lambda rng: _dump(event(rng, text="x" * MAX_BYTES)), Reason.TOO_LARGE),
    ("byte outside a text", _raw("text", f'"{SECRET}"\xff'), Reason.INVALID_UTF8),
    ("schema registry", lambda rng: b"\0\0\0\1\x07" + _dump(event(rng)), Reason.INVALID_UTF8),
    ("UTF-16 with mark", _utf16("utf-16"), Reason.INVALID_UTF8),
    ("UTF-16 little endian", _utf16("utf-16-le"), Reason.INVALID_UTF8),
    ("UTF-16 big endian", _utf16("utf-16-be"), Reason.INVALID_UTF8),
    ("UTF-32", _utf16("utf-32"), Reason.INVALID_UTF8),
    ("gzip", lambda rng: gzip.compress(_dump(event(rng)), mtime=0), Reason.INVALID_UTF8),
    ("binary", _binary, Reason.INVALID_UTF8),
    ("truncated JSON", _truncated, Reason.TRUNCATED_JSON),
    ("plain text", lambda rng: f"{SECRET} {rng.random()}".encode(), Reason.INVALID_JSON),
    ("Python repr", lambda rng: str(event(rng)).encode(), Reason.INVALID_JSON),
    ("NaN", _raw("cost", "NaN"), Reason.INVALID_JSON),
    ("Infinity", _raw("latency_ms", "-Infinity"), Reason.INVALID_JSON),
    ("trailing comma", lambda rng: _dump(event(rng))[:-1] + b",}", Reason.INVALID_JSON),
    ("raw control character", _raw("text", f'"{SECRET}\n"'), Reason.INVALID_JSON),
    ("bad escape", _raw("text", rf'"{SECRET}\x41"'), Reason.INVALID_JSON),
    ("two objects", lambda rng: _dump(event(rng)) * 2, Reason.TRAILING_DATA),
    ("JSON lines", lambda rng: _dump(event(rng)) + b"\n" + _dump(event(rng)), Reason.TRAILING_DATA),
    ("trailing garbage", lambda rng: _dump(event(rng)) + SECRET.encode(), Reason.TRAILING_DATA),
    ("nested arrays", _nested("["), Reason.TOO_DEEP),
    ("nested objects", _nested('{"a":'), Reason.TOO_DEEP),
    ("array at top level", lambda rng: _dump([event(rng)]), Reason.NOT_AN_OBJECT),
    ("string at top level", lambda _: _dump(SECRET), Reason.NOT_AN_OBJECT),
    ("number at top level", lambda rng: _dump(rng.random()), Reason.NOT_AN_OBJECT),
    ("null at top level", lambda _: b"null", Reason.NOT_AN_OBJECT),
    ("no event id", _without("event_id"), Reason.MISSING_FIELD),
    ("no app", _without("app"), Reason.MISSING_FIELD),
    ("no kind", _without("kind"), Reason.MISSING_FIELD),
    ("no text", _without("text"), Reason.MISSING_FIELD),
    ("no fields", lambda _: b"{}", Reason.MISSING_FIELD),
    ("number as text", _with(text=42), Reason.WRONG_TYPE),
    ("null text", _with(text=None), Reason.WRONG_TYPE),
    ("number as id", _with(event_id=7), Reason.WRONG_TYPE),
    ("text as tokens", _with(prompt_tokens=SECRET), Reason.WRONG_TYPE),
    ("fraction of a token", _with(prompt_tokens=1.5), Reason.WRONG_TYPE),
    ("nested metadata", _with(metadata={SECRET: {SECRET: SECRET}}), Reason.WRONG_TYPE),
    ("metadata as list", _with(metadata=[SECRET]), Reason.WRONG_TYPE),
    ("context as number", _with(contexts=[SECRET, 3]), Reason.WRONG_TYPE),
    ("tool call as text", _with(tool_calls=[SECRET]), Reason.WRONG_TYPE),
    ("fractional timestamp", _with(timestamp=NOW_MS + 0.5), Reason.WRONG_TYPE),
    ("negative tokens", _with(prompt_tokens=-1), Reason.INVALID_VALUE),
    ("too many tokens", _with(completion_tokens=2**32), Reason.INVALID_VALUE),
    ("negative cost", _with(cost=-0.01), Reason.INVALID_VALUE),
    ("infinite cost", _raw("cost", "1e999"), Reason.INVALID_VALUE),
    ("endless integer", _raw("timestamp", "9" * 5000), Reason.INVALID_VALUE),
    ("unknown kind", _with(kind=SECRET), Reason.INVALID_VALUE),
    ("empty id", _with(event_id=""), Reason.INVALID_LENGTH),
    ("empty app", _with(app=""), Reason.INVALID_LENGTH),
    ("over-long id", _with(event_id=SECRET * 30), Reason.INVALID_LENGTH),
    ("too many contexts", _with(contexts=[SECRET] * 4097), Reason.INVALID_LENGTH),
    ("too many tool calls", _with(tool_calls=[{"name": "t"}] * 4097), Reason.INVALID_LENGTH),
    ("too much metadata", _with(metadata={f"{i}": SECRET for i in range(4097)}), Reason.INVALID_LENGTH),
    ("over-long model", _with(model=SECRET * 30), Reason.INVALID_LENGTH),
    ("timestamp in words", _with(timestamp=f"{SECRET} o'clock"), Reason.INVALID_TIMESTAMP),
    ("date without time", _with(timestamp="2027-01-15"), Reason.INVALID_TIMESTAMP),
    ("timestamp 0", _with(timestamp=0), Reason.TIMESTAMP_TOO_OLD),
    ("seconds", _with(timestamp=NOW_MS // 1000), Reason.TIMESTAMP_TOO_OLD),
    ("year 1", _with(timestamp="0001-01-01T00:00:00+23:59"), Reason.TIMESTAMP_TOO_OLD),
    ("negative timestamp", _with(timestamp=-(10**30)), Reason.TIMESTAMP_TOO_OLD),
    ("microseconds", _with(timestamp=NOW_MS * 1000), Reason.TIMESTAMP_IN_FUTURE),
    ("year 9999", _with(timestamp="9999-12-31T23:59:59-23:59"), Reason.TIMESTAMP_IN_FUTURE),
    ("huge timestamp", _with(timestamp=10**30), Reason.TIMESTAMP_IN_FUTURE),
)


def malformed_payloads(seed: int, n: int) -> list[tuple[str, bytes | None, Reason]]:
    """Return `n` payloads as (name, value of the record, reason), all kinds in turn, in random order.

    The reasons hold for a decoder with its default limits and a clock of this decade. The payloads that are
    too large come in the first round only: one of 5 MB, one just over the limit.
    """
    rng = random.Random(seed)
    small = [kind for kind in KINDS if kind[2] is not Reason.TOO_LARGE]
    rounds = itertools.chain(KINDS, itertools.cycle(small))
    payloads = [(name, make(rng), reason) for name, make, reason in itertools.islice(rounds, n)]
    rng.shuffle(payloads)
    return payloads
