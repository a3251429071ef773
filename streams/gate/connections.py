"""Connections of the gate: what is no HTTP is refused in its own form, neither repeated nor logged."""

import asyncio
import json
import traceback
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, ContentEncodingError, LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from streams.gate.reading import ENCODINGS
from streams.gate.turns import came_at

log = structlog.get_logger(__name__)
LINGER_S: Final = 1.0
"""For so long the rest of a body is read that is refused, so that its sender sees why."""
HEAD_S: Final = 30.0
"""Who has not sent the head of a request by then only holds a connection."""
TAKE_S: Final = 60.0
"""Who takes nothing of an answer for so long has left; what waits for it would be kept for ever."""
KEEP_S: Final = 75.0
"""So long a connection is kept for another request: load balancers keep theirs shorter, and close first."""
_MALFORMED: Final = (
    (ContentEncodingError, ENCODINGS),
    (LineTooLong, "the first line or a header is too long: each may have 8190 bytes"),
    (
        BadHttpMessage,
        "not HTTP/1.1 as RFC 9112 has it: look at the first line, Host, the lengths and the headers",
    ),
)
_HTTP_2: Final = b"PRI * HTTP/2"
Refuse = Callable[[RawRequestMessage], bytes | None]
"""Returns the whole answer to a request that is hopeless, from its head; None for all others."""


def _refuse_none(_: RawRequestMessage) -> None:
    """Let all requests be handled."""


class Connection(web.RequestHandler):
    """A connection; aiohttp's own answer to a malformed head repeats what it holds."""

    __slots__ = ("_head", "_is_half_closed", "_last", "_refuse", "_stuck", "came_at")

    def __init__(self, manager: web.Server, refuse: Refuse, **options: Any) -> None:
        super().__init__(manager, **options)
        self._refuse = refuse
        self._stuck: asyncio.TimerHandle | None = None
        self._is_half_closed = False
        self._last: StreamReader = EMPTY_PAYLOAD
        """The body of the last request."""
        self.came_at = 0.0
        """When at the earliest the last bytes of a request came, by `time.monotonic`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, and end where no request comes."""
        super().connection_made(transport)
        self._head = asyncio.get_running_loop().call_later(HEAD_S, self._end_if_idle, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End; what it held is held no longer."""
        self._head.cancel()
        if self._stuck is not None:
            self._stuck.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the client takes nothing: what it should take is not kept for ever."""
        super().pause_writing()
        assert self.transport is not None
        self._await_taking(self.transport, self.transport.get_write_buffer_size())

    def _await_taking(self, transport: asyncio.WriteTransport, left: int) -> None:
        self._stuck = asyncio.get_running_loop().call_later(TAKE_S, self._end_if_stuck, transport, left)

    def _end_if_stuck(self, transport: asyncio.WriteTransport, left: int) -> None:
        """End where no less is left to take than there was; who takes it slowly is let take it."""
        if (still_left := transport.get_write_buffer_size()) < left:
            self._await_taking(transport, still_left)
        else:
            transport.abort()

    def resume_writing(self) -> None:
        """Note that it does again."""
        if self._stuck is not None:
            self._stuck.cancel()
        super().resume_writing()

    def eof_received(self) -> bool:  # type: ignore[override]  # as of every asyncio.Protocol
        """Return whether the connection stays open: its client asks nothing more, and may still listen."""
        # All but who says so in the middle of a request, or in TLS, which is closed as a whole.
        idle = self._waiter is not None and not self._waiter.done()
        self._is_half_closed = (
            self.ssl_context is None and not self._upgraded and not idle and self._is_some_whole()
        )
        return self._is_half_closed

    def _is_some_whole(self) -> bool:
        """Return whether a whole request is left to answer; forget the half of one after it."""
        if self._last.is_eof():
            return True
        # A request is being handled, or one of those that wait is next; only the last one can be half.
        if len(self._messages) < (1 if self._waiter is None else 2):
            return False
        self._messages.pop()
        return True

    def data_received(self, data: bytes) -> None:
        """Take what has come; refuse at once, and for next to nothing, what is hopeless."""
        if data.startswith(_HTTP_2) and not self._request_count:
            self._log_http_2()
        self._receive(data)
        if self._messages:
            self._last = self._messages[-1][1]

    def _receive(self, data: bytes) -> None:
        self.came_at = came_at()
        waiter = self._waiter
        if waiter is None or waiter.done() or self._paused:
            super().data_received(data)
            return
        self._waiter = None  # or it would be handled already
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if self._messages and not waiter.done() and not self._is_refused():
            waiter.set_result(None)

    def _log_http_2(self) -> None:
        """Tell the operator, once: a client of gRPC shows nobody what it is answered, and tries on."""
        if not isinstance(self._manager, _Server) or self._manager.met_http_2:
            return
        self._manager.met_http_2 = True
        log.warning(
            "a client speaks HTTP/2, perhaps gRPC; the gate speaks HTTP/1.1",
            mend="exporters of OpenTelemetry: OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        )

    def _is_refused(self) -> bool:
        """Answer the one request that has come in whole, where it is refused."""
        message, payload = self._messages[0]
        if len(self._messages) > 1 or not isinstance(message, RawRequestMessage) or self._reading_paused:
            return False
        is_whole = payload.is_eof() and payload.exception() is None
        if message.upgrade or message.should_close or not is_whole:
            return False
        if (answer := self._refuse(message)) is None:
            return False
        assert self._parser is not None
        assert self.transport is not None
        self._messages.clear()
        self._parser.message_consumed()
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        self.transport.write(answer)
        return True

    def _end_if_idle(self, transport: asyncio.BaseTransport) -> None:
        if not self._request_count:
            transport.close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # not passed on: it repeats what was sent
    ) -> web.StreamResponse:
        """Return the answer to what cannot be read, or to a fault of ours."""
        if isinstance(exc, ConnectionError) and (request.transport is None or request.transport.is_closing()):
            raise exc  # the client has gone in the middle of its request, which is no fault of ours
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log_exception("a request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("half an answer was given already")
        response = failure(status, "http_error", _said(status, exc))
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Answer; what aiohttp itself refuses before the gate sees it (`Expect`) would repeat the header."""
        if isinstance(resp, web.HTTPException):
            resp = failure(resp.status, "http_error", resp.reason)
        ended = await super().finish_response(request, resp, start_time)
        if self._is_half_closed and not self._messages:
            self.close()
        return ended

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log where a fault of ours happened, without its message: that may repeat what was sent."""
        error = kw.get("exc_info")
        if isinstance(error, web.RequestPayloadError):  # told to the client already
            return
        where = "".join(traceback.format_tb(error.__traceback__)) if isinstance(error, BaseException) else ""
        log.error("a request failed", what=str(args[0]), problem=type(error).__name__, where=where)


def _said(status: int, error: BaseException | None) -> str:
    """Return what is wrong with a request that is no HTTP, without any of it."""
    for kind, said in _MALFORMED:
        if isinstance(error, kind):
            return said
    return HTTPStatus(status).phrase


class _Server(web.Server):
    met_http_2 = False

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application over such connections."""

    def __init__(self, application: web.Application, refuse: Refuse = _refuse_none, **options: Any) -> None:
        super().__init__(application, **options)
        self._refuse = refuse

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        options = made._kwargs | {
            "lingering_time": LINGER_S,
            "keepalive_timeout": KEEP_S,
            "refuse": self._refuse,
        }
        return _Server(made.request_handler, request_factory=made.request_factory, **options)


def failure(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an error in the one form of the gate."""
    text = failure_text(kind, message)
    return web.Response(text=text, content_type="application/json", status=status, headers=headers)


def failure_text(kind: str, message: str) -> str:
    """Return the body of one."""
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": kind}})
