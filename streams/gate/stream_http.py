"""`/v1/stream`: lines with pieces of a completion in, as a request or over a WebSocket; checked pieces out.

Every line is a JSON object. Of the first one all fields but `delta` say what completion it is; of later ones
those that are known only at the end. Out go `{"delta": ...}` and at last `{"decision": ...}`, as lines or as
server-sent events.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.client_exceptions import ClientError

from schemas.events import MOST_ENTRIES
from schemas.mending import mended_text
from streams.errors import WeirError
from streams.gate import misspelt, native
from streams.gate.outbox import OutboxFullError
from streams.gate.settings import GateSettings
from streams.gate.stream import Stream
from streams.gate.stream_lines import KNOWN, BrokenOffError, Line, LineError, left_out, read, socket_lines

Send = Callable[[dict[str, Any]], Awaitable[None]]
_LATE: Final = (
    "prompt_tokens", "completion_tokens", "latency_ms", "ttft_ms", "cost", "finish_reason",
)  # fmt: skip
_EVENT_STREAM: Final = "text/event-stream"
_TOO_LARGE: Final = "the completion is larger than an event may be"
_GONE: Final = (ConnectionError, ClientError, asyncio.IncompleteReadError)


class Conversation:
    """Drives one stream: takes lines, sends what goes out, and at last the decision."""

    def __init__(
        self,
        source: AsyncIterator[list[bytes]],
        open_stream: Callable[[Line], Stream],
        settings: GateSettings,
        warn: Callable[[Line], Sequence[str]] = lambda _: (),
    ) -> None:
        self._source = source
        self._open = open_stream
        self._warn = warn
        self._idle_s = settings.gate_stream_idle_s
        self._number = 0
        self._first: Line | None = None
        self._late_names: set[str] = set()
        self._misspelt: set[str] = set()
        self._late: dict[str, Any] = {}
        self._half = ""
        """Of a surrogate pair: what cuts texts into UTF-16 units may send the other half next."""
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
        if self._error is None and self._misspelt and stream.is_empty and "tool_calls" not in self._late:
            self._error = LineError(f"no line has a `delta`: {'; '.join(sorted(self._misspelt))}")
        try:
            ending = await stream.end(clean=self._error is None, late=self._late)
        except OutboxFullError as full:
            await send({"error": {"message": str(full), "type": "outbox_full"}})
            return
        if self._error:
            await send({"error": {"message": str(self._error), "type": "broken_off"}})
        if ending.rest:
            await send({"delta": ending.rest})
        request = native.Request(text="", scores=self._first is not None and self._first.scores)
        message = {"decision": native.body(request, [ending.answer]), "complete": self._error is None}
        warnings = self._warnings()
        await send(message | ({"warnings": warnings} if warnings else {}))

    def _warnings(self) -> list[str]:
        """Return what the client said that counts for nothing."""
        found = [*(self._warn(self._first) if self._first else ()), *sorted(self._misspelt)]
        if self._late_names:
            names = ", ".join(f"`{name}`" for name in sorted(self._late_names))
            found.append(f"{names}: left out, since it did not come with the first line")
        return found

    async def _pass(self, stream: Stream, lines: list[Line], send: Send) -> None:
        while True:
            is_last = any(line.done for line in lines)
            delta = self._whole("".join(line.delta for line in lines), is_last=is_last)
            for line in lines:
                self._keep(line)
            if not stream.takes(delta, *(line.tool_calls for line in lines)):
                raise BrokenOffError(_TOO_LARGE)
            if delta and (out := await stream.feed(delta)):
                await send({"delta": out})
            if self._error:
                raise self._error
            if any(line.aborted for line in lines):
                raise BrokenOffError("it was aborted")
            if stream.blocked or is_last:
                return
            raw = await self._next(stream)
            lines = [Line(text="", done=True)] if raw is None else self._read(raw)

    def _whole(self, text: str, *, is_last: bool) -> str:
        """Return what has come in whole characters; half of one waits for the next line."""
        text = self._half + text
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" and not is_last else ""
        return mended_text(text.removesuffix(self._half))

    def _keep(self, line: Line) -> None:
        """Keep what is known only later: of numbers and names the last, of tool calls all that fit.

        Raises `BrokenOffError` for more.
        """
        self._late |= {name: value for name in _LATE if (value := getattr(line, name)) not in (None, "")}
        if line.tool_calls:
            calls = self._late.get("tool_calls", ()) + line.tool_calls
            self._late["tool_calls"] = calls[:MOST_ENTRIES]
            if len(calls) > MOST_ENTRIES:
                raise BrokenOffError(_TOO_LARGE)

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
        """Return the lines up to the one that ends the stream, as one does that cannot be read."""
        lines: list[Line] = []
        for each in raw:
            self._number += 1
            try:
                line = self._line(each)
            except LineError as error:
                self._error = error
                break
            lines.append(line)
            if line.done or line.aborted:
                break
        return lines

    def _line(self, raw: bytes) -> Line:
        line = read(raw, self._number)
        if self._number <= misspelt.MOST:
            self._misspelt.update(misspelt.of_lines([raw], KNOWN))
        if self._first is None:
            self._first = line
        else:
            self._late_names |= left_out(self._first, line, self._number)
        return line


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
    socket._cancel_heartbeat()  # begun anew by the client's last frame: it would hold all of this for a while
    return socket


def _abort(request: web.Request) -> None:
    """Drop a connection with all that waits to be sent: perhaps nobody ever reads it."""
    if request.transport:
        request.transport.abort()
