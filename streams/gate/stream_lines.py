"""The lines of a streamed completion, and the messages of its WebSocket, as they come."""

import json
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
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


_OPENING: Final = ("app", "tenant", "event_id", "conversation_id", "kind", "redact")
"""What says which completion it is, and how it is let out."""
_LATER: Final = frozenset({
    *_OPENING, "delta", "done", "aborted", "tool_calls", "finish_reason", "timestamp",
    "prompt_tokens", "completion_tokens", "latency_ms", "ttft_ms", "cost",
})  # fmt: skip
"""What a later line may say, or repeat."""
KNOWN: Final = tuple(name for name in Line.__struct_fields__ if name != "text")


def left_out(first: Line, line: Line, number: int) -> set[str]:
    """Return the names of what a later line says too late.

    Raises `LineError` where it is of another completion than the first one.
    """
    given: dict[str, Any] = msgspec.to_builtins(line)
    for name in _OPENING:
        if name in given and getattr(line, name) != getattr(first, name):
            raise LineError(
                f"line {number}: `{name}` is not that of the first line: a stream is one completion"
            )
    return {name for name in given.keys() - _LATER if getattr(line, name) != getattr(first, name)}


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
            for together in _together(whole):
                yield together
        if size > most_bytes:
            raise LineError(
                f"a line has more than {most_bytes} bytes (WEIR_MAX_EVENT_BYTES): send it in pieces"
            )
    if rest := b"".join(parts).strip():
        yield [rest]


def _together(lines: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines that are not empty, not too many at once."""
    found = [line for line in lines if line.strip()]
    for place in range(0, len(found), _TOGETHER):
        yield found[place : place + _TOGETHER]


async def socket_lines(socket: web.WebSocketResponse) -> AsyncIterator[list[bytes]]:
    """Yield the messages of a WebSocket."""
    async for message in socket:
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            data = message.data.encode() if isinstance(message.data, str) else message.data
            for together in _together(data.split(b"\n")):
                yield together
    raise BrokenOffError("the connection was closed before `done`")
