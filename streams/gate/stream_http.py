"""`/v1/stream`: lines with pieces of a completion in, as a request or over a WebSocket; checked pieces out.

Every line is a JSON object. Of the first one all fields but `delta` say what completion it is; of later ones
those that are known only at the end. Out go `{"delta": ...}` and at last `{"decision": ...}`, as lines or as
server-sent events.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web
from aiohttp.client_exceptions import ClientError

from schemas.events import Amount, Count, Event, Kind, Name
from schemas.rejection import explain
from streams.errors import WeirError
from streams.gate import native
from streams.gate.outbox import OutboxFullError
from streams.gate.settings import GateSettings
from streams.gate.stream import Stream

Send = Callable[[dict[str, Any]], Awaitable[None]]
_LATE: Final = (
    "prompt_tokens", "completion_tokens", "latency_ms", "ttft_ms", "cost", "finish_reason",
)  # fmt: skip
_TOGETHER: Final = 500
"""Lines that are read in one go, so that others get their turn."""
_EVENT_STREAM: Final = "text/event-stream"
_GONE: Final = (ConnectionError, ClientError, asyncio.IncompleteReadError)


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
    redact: bool = True
    scores: bool = False
    deadline_ms: float | None = None


def event_of(line: Line, app: str) -> Event:
    """Return the event that a first line tells of, with no text yet; without an app it has `app`."""
    given = {name: getattr(line, name) for name in native.Check.__struct_fields__}
    return Event(**(given | {
        "app": line.app or app or "default", "event_id": line.event_id or secrets.token_hex(16),
    }))  # fmt: skip


def read(raw: bytes | str, number: int) -> Line:
    """Return a line; raise `LineError`."""
    try:
        line = msgspec.json.decode(raw, type=Line)
    except msgspec.ValidationError as error:
        raise LineError(f"line {number}: {explain(error, b'', Line).detail}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise LineError(f"line {number}: not JSON") from None
    if line.text:
        raise LineError(f"line {number}: `text` is not for streams: send it as `delta`")
    return line


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
            data = message.data
            yield [data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data]
    raise BrokenOffError("the connection was closed before `done`")


class Conversation:
    """Drives one stream: takes lines, sends what goes out, and at last the decision."""

    def __init__(
        self,
        source: AsyncIterator[list[bytes]],
        open_stream: Callable[[Line], Stream],
        settings: GateSettings,
    ) -> None:
        self._source = source
        self._open = open_stream
        self._idle_s = settings.gate_stream_idle_s
        self._number = 0
        self._late: dict[str, Any] = {}
        self._scores = False
        self._error: WeirError | None = None

    async def begin(self) -> tuple[Stream, list[Line]]:
        """Return the stream, and the lines that have come with its first one; raise `LineError`."""
        try:
            raw = await asyncio.wait_for(anext(self._source, []), self._idle_s)
        except TimeoutError:
            raise LineError("no line has come") from None
        if not raw:
            raise LineError("the first line is missing")
        lines = self._read(raw)
        if not lines:
            raise self._error or LineError("the first line is missing")
        self._scores = lines[0].scores
        return self._open(lines[0]), lines

    async def run(self, stream: Stream, lines: list[Line], send: Send) -> None:
        """Send all that goes out; where the other side has gone, only judge and record what has come.

        Whoever takes nothing for as long as a stream may stand still counts as gone: `ConnectionError`.
        """

        async def sending(message: dict[str, Any]) -> None:
            try:
                async with asyncio.timeout(self._idle_s):
                    await send(message)
            except TimeoutError:
                raise ConnectionError("nobody reads") from None

        await self._run(stream, lines, sending)

    async def _run(self, stream: Stream, lines: list[Line], send: Send) -> None:
        try:
            await self._pass(stream, lines, send)
        except WeirError as error:
            self._error = error
        except (*_GONE, asyncio.CancelledError):
            # What has come was written, and may have been read: it is recorded, whoever is left to be told.
            await asyncio.shield(asyncio.ensure_future(stream.end(clean=False, late=self._late)))
            raise
        try:
            ending = await stream.end(clean=self._error is None, late=self._late)
        except OutboxFullError as full:
            await send({"error": {"message": str(full), "type": "outbox_full"}})
            return
        if self._error:
            await send({"error": {"message": str(self._error), "type": "broken_off"}})
        if ending.rest:
            await send({"delta": ending.rest})
        request = native.Request(text="", scores=self._scores)
        await send({"decision": native.body(request, [ending.answer]), "complete": self._error is None})

    async def _pass(self, stream: Stream, lines: list[Line], send: Send) -> None:
        while True:
            delta = "".join(line.delta for line in lines)
            for line in lines:
                self._keep(line)
            if not stream.takes(delta, *(line.tool_calls for line in lines)):
                raise BrokenOffError("the completion is larger than an event may be")
            if delta and (out := await stream.feed(delta)):
                await send({"delta": out})
            if self._error:
                raise self._error
            if stream.blocked or any(line.done for line in lines):
                return
            raw = await self._next(stream)
            if raw is None:
                return
            lines = self._read(raw)

    def _keep(self, line: Line) -> None:
        """Keep what is known only later: of numbers and names the last, of tool calls all."""
        self._late |= {name: value for name in _LATE if (value := getattr(line, name)) not in (None, "")}
        if line.tool_calls:
            self._late["tool_calls"] = self._late.get("tool_calls", ()) + line.tool_calls

    async def _next(self, stream: Stream) -> list[bytes] | None:
        """Wait for lines; return None at the end, or as soon as the stream is blocked."""
        coming = asyncio.ensure_future(anext(self._source, None))
        try:
            while not coming.done():
                waiting = {coming} | ({stream.round} if stream.round and not stream.round.done() else set())
                done, _ = await asyncio.wait(
                    waiting, timeout=self._idle_s, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    raise BrokenOffError("nothing more has come for too long (WEIR_GATE_STREAM_IDLE_S)")
                if stream.blocked:
                    return None
            return await coming
        finally:
            coming.cancel()
            await asyncio.wait([coming])
            if not coming.cancelled():
                coming.exception()  # or asyncio says that nobody asked

    def _read(self, raw: list[bytes]) -> list[Line]:
        """Return the lines up to the first that cannot be read, which ends the stream after them."""
        lines: list[Line] = []
        for each in raw:
            self._number += 1
            try:
                lines.append(read(each, self._number))
            except LineError as error:
                self._error = error
                break
        return lines


async def answer_request(request: web.Request, conversation: Conversation) -> web.StreamResponse:
    """Answer a request whose body is still being sent; raise `LineError` where its first line is wrong."""
    stream, lines = await conversation.begin()
    events = _EVENT_STREAM in request.headers.get("Accept", "")
    response = web.StreamResponse(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
    response.content_type = _EVENT_STREAM if events else "application/x-ndjson"

    async def send(message: dict[str, Any]) -> None:
        data = msgspec.json.encode(message)
        await response.write(b"data: " + data + b"\n\n" if events else data + b"\n")

    try:
        await response.prepare(request)
        await conversation.run(stream, lines, send)
        await response.write_eof()
    except (*_GONE, OutboxFullError):  # nobody is there to be told
        _abort(request)
    finally:
        stream.close()
    return response


async def answer_socket(
    request: web.Request, make: Callable[[AsyncIterator[list[bytes]]], Conversation], most_bytes: int
) -> web.WebSocketResponse:
    """Answer over a WebSocket; a first line that is wrong is told, and ends it."""
    socket = web.WebSocketResponse(max_msg_size=most_bytes, heartbeat=30)
    await socket.prepare(request)

    async def send(message: dict[str, Any]) -> None:
        await socket.send_str(msgspec.json.encode(message).decode())

    conversation = make(socket_lines(socket))
    try:
        stream, lines = await conversation.begin()
        try:
            await conversation.run(stream, lines, send)
        finally:
            stream.close()
    except WeirError as error:
        if not socket.closed:
            await send({"error": {"message": str(error), "type": "invalid_request_error"}})
    except _GONE:
        _abort(request)
    await socket.close()
    return socket


def _abort(request: web.Request) -> None:
    """Drop a connection with all that waits to be sent: perhaps nobody ever reads it."""
    if request.transport:
        request.transport.abort()
