"""Reads the bodies of requests; what is wrong with one is said without any of its text."""

import asyncio
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from schemas.rejection import explain
from streams.gate.batcher import BusyError

T = TypeVar("T")
UNPROCESSABLE, TOO_SLOW, TOO_LARGE = 400, 408, 413
AT_ONCE: Final = 8
"""Bodies of the largest size, or as much of smaller ones, that may be on their way at any time."""
READ_S: Final = 30.0
"""A body that has not come by then holds a connection for nothing."""


class RefusedError(Exception):
    """A request that is not served: status, a kind for programs, what to do about it."""

    def __init__(self, status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.headers = headers or {}


class Bodies:
    """Reads bodies, of at most `most` bytes each; of all that are coming it keeps a bounded amount."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._room = AT_ONCE * most

    async def read(self, request: web.Request) -> bytes:
        """Return the body of a request, unpacked; raise `BusyError` where too much is coming already."""
        body = bytearray()
        try:
            async with asyncio.timeout(READ_S):
                async for chunk in request.content.iter_any():
                    self._check(len(body) + len(chunk), len(chunk))
                    body += chunk
                    self._room -= len(chunk)
        except TimeoutError:
            detail = f"the body did not come within {READ_S:.0f} seconds"
            raise RefusedError(TOO_SLOW, "too_slow", detail) from None
        finally:
            self._room += len(body)
        return bytes(body)

    def _check(self, size: int, more: int) -> None:
        if size > self._most:
            detail = f"the body is larger than {self._most} bytes (WEIR_GATE_MAX_BYTES)"
            raise RefusedError(TOO_LARGE, "too_large", detail)
        if more > self._room:
            raise BusyError(1.0)


def decoded(raw: bytes, kind: type[T]) -> T:
    """Return what a body of JSON holds; what is wrong with it is said without any of its text."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        detail = explain(error, raw, kind).detail  # that of msgspec repeats a value that is not allowed
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        detail = "not JSON"
    raise RefusedError(UNPROCESSABLE, "invalid_request_error", detail)
