"""Reads the bodies of requests; what is wrong with one is said without any of its text."""

import asyncio
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from schemas.rejection import explain

T = TypeVar("T")
UNPROCESSABLE: Final = 400
TOO_SLOW: Final = 408
READ_S: Final = 30.0
"""A body that has not come by then holds a connection for nothing."""


class RefusedError(Exception):
    """A request that is not served: status, a kind for programs, what to do about it."""

    def __init__(self, status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.headers = headers or {}


async def body_of(request: web.Request, kind: type[T]) -> T:
    """Return the JSON of a request; what is wrong with it is said without any of its text."""
    raw = await read(request)
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        detail = explain(error, raw).detail  # that of msgspec repeats a value that is not allowed
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        detail = "not JSON"
    raise RefusedError(UNPROCESSABLE, "invalid_request_error", detail)


async def read(request: web.Request) -> bytes:
    """Return the body of a request, unpacked."""
    try:
        async with asyncio.timeout(READ_S):
            return await request.read()
    except TimeoutError:
        detail = f"the body did not come within {READ_S:.0f} seconds"
        raise RefusedError(TOO_SLOW, "too_slow", detail) from None
