"""Connections of the gate: what is no HTTP is refused in its own form, neither repeated nor logged."""

import asyncio
import json
import traceback
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import web

log = structlog.get_logger(__name__)
LINGER_S: Final = 1.0
"""For so long the rest of a body is read that is refused, so that its sender sees why."""
HEAD_S: Final = 30.0
"""Who has not sent the head of a request by then only holds a connection."""
KEEP_S: Final = 75.0
"""So long a connection is kept for another request: load balancers keep theirs shorter, and close first."""


class Connection(web.RequestHandler):
    """A connection; aiohttp's own answer to a malformed head repeats what it holds."""

    __slots__ = ("_head",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, and end where no request comes."""
        super().connection_made(transport)
        self._head = asyncio.get_running_loop().call_later(HEAD_S, self._end_if_idle, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End; what it held is held no longer."""
        self._head.cancel()
        super().connection_lost(exc)

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
        response = failure(status, "http_error", HTTPStatus(status).phrase)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Answer; what aiohttp itself refuses before the gate sees it (`Expect`) would repeat the header."""
        if isinstance(resp, web.HTTPException):
            resp = failure(resp.status, "http_error", resp.reason)
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log where a fault of ours happened, without its message: that may repeat what was sent."""
        error = kw.get("exc_info")
        if isinstance(error, web.RequestPayloadError):  # told to the client already
            return
        where = "".join(traceback.format_tb(error.__traceback__)) if isinstance(error, BaseException) else ""
        log.error("a request failed", what=str(args[0]), problem=type(error).__name__, where=where)


class _Server(web.Server):
    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application over such connections."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        options = made._kwargs | {"lingering_time": LINGER_S, "keepalive_timeout": KEEP_S}
        return _Server(made.request_handler, request_factory=made.request_factory, **options)


def failure(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an error in the one form of the gate."""
    error = {"message": message, "type": kind, "param": None, "code": kind}
    body = json.dumps({"error": error})
    return web.Response(text=body, content_type="application/json", status=status, headers=headers)
