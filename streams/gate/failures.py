"""What is answered to a request that is not served: in the one form of the gate, or as exporters read it."""

from functools import lru_cache
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time

from streams.gate import litellm, otlp
from streams.gate.answers import UnreadableRequestError
from streams.gate.batcher import BusyError
from streams.gate.connections import failure, failure_text
from streams.gate.outbox import OutboxFullError
from streams.gate.reading import TOO_LARGE, TOO_SLOW, UNPROCESSABLE, RefusedError

NOT_FOUND, BUSY, UNAVAILABLE = 404, 429, 503
UNREADABLE: Final = "the body is not what its Content-Encoding says, or its end is missing"
EXPECTED: Final = (
    RefusedError,
    UnreadableRequestError,
    web.RequestPayloadError,
    web.HTTPException,
    BusyError,
    OutboxFullError,
)
"""What a handler may raise: whatever else is a fault of ours."""


def answer(request: web.Request, error: BaseException) -> web.Response:
    """Return the answer to a request that ended with one of `EXPECTED`."""
    refused = _refused(request, error)
    if of_exporter(request):
        response = otlp.failure(refused.status, str(refused), request.content_type, refused.headers)
    else:
        response = failure(refused.status, refused.kind, str(refused), refused.headers)
    if refused.status in (TOO_SLOW, TOO_LARGE):
        response.force_close()  # or the rest of the body would be waited for
    return response


def of_exporter(request: web.Request) -> bool:
    """Return whether an exporter of OpenTelemetry asks: at a path of its own, or at one that is none."""
    is_lost = request.match_info.http_exception is not None
    return request.path in otlp.PATHS or (is_lost and otlp.of_exporter(request.path, request.headers))


def _refused(request: web.Request, error: BaseException) -> RefusedError:
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, web.HTTPException):
        return RefusedError(error.status, "http_error", _reason(error, request), _allow(error))
    if isinstance(error, BusyError):
        return busy(request.path, error)
    if isinstance(error, OutboxFullError):
        return RefusedError(UNAVAILABLE, "outbox_full", str(error), {"Retry-After": "5"})
    if isinstance(error, web.RequestPayloadError):
        return RefusedError(UNPROCESSABLE, "unreadable_body", UNREADABLE)
    return RefusedError(UNPROCESSABLE, "invalid_request_error", str(error))


def busy(path: str, error: BusyError) -> RefusedError:
    """Return how a path says that too much waits."""
    # To LiteLLM `unreachable_fallback` is for 503: that weir is away, for whatever reason.
    status = UNAVAILABLE if path == litellm.PATH else BUSY
    return RefusedError(status, "busy", str(error), {"Retry-After": str(max(1, round(error.retry_after_s)))})


def busy_at_once(path: str, error: BusyError) -> tuple[int, bytes]:
    """Return the status of that, and all of the answer as it goes over the wire."""
    refused = busy(path, error)
    return refused.status, _whole(refused.status, refused.headers["Retry-After"], rfc822_formatted_time())


@lru_cache(64)
def _whole(status: int, retry_after: str, date: str) -> bytes:
    body = failure_text("busy", str(BusyError(0.0)))
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Content-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        f"Retry-After: {retry_after}\r\nDate: {date}\r\n\r\n{body}"
    ).encode()


def _reason(error: web.HTTPException, request: web.Request) -> str:
    """Return what is wrong; where no such path is, with the paths that there are."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{request.path} takes {' and '.join(sorted(error.allowed_methods))}, not {error.method}"
    if error.status != NOT_FOUND:
        return error.reason
    if of_exporter(request):
        return otlp.where_to(request.path)
    return f"no such path; there are {', '.join(each.canonical for each in request.app.router.resources())}"


def _allow(error: web.HTTPException) -> dict[str, str]:
    return {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
