"""Reads the bodies of requests; what is wrong with one is said without any of its text."""

import asyncio
import codecs
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from schemas.mending import mended
from schemas.rejection import explain
from streams.gate.batcher import BusyError

T = TypeVar("T")
UNPROCESSABLE, TOO_SLOW, TOO_LARGE, UNSUPPORTED = 400, 408, 413, 415
AT_ONCE: Final = 8
"""Bodies of the largest size, or as much of smaller ones, that may be on their way at any time."""
ON_LOOP: Final = 64 << 10
"""Bytes that are read as JSON on the event loop."""
MOST_TEXTS: Final = 1024
"""Of one request, whatever the contract: a conversation, not a data set."""
MOST_SIGNS: Final = {b"[": 200_000, b"{": 200_000, b",": 2_000_000, b'"': 2_000_000}
"""Of a body, of what makes it long to read: nobody else has the interpreter meanwhile, nor the memory."""
_STRING: Final = re.compile(rb'"[^"\r\n]*"?')
"""A string without escapes, to its line's end where it does not end: each line of JSON is read by itself."""
_READERS: Final = ThreadPoolExecutor(2, "reading")
"""Of their own: what others do in threads may take long."""
READ_S: Final = 30.0
"""A body that has not come by then holds a connection for nothing."""
_GZIP: Final = b"\x1f\x8b"
ENCODINGS: Final = "Content-Encoding: send gzip or deflate, or nothing of the kind"
_ENCODINGS: Final = ("", "identity", "gzip", "deflate", "br", "zstd")
"""What aiohttp unpacks, the last two where it can and else refuses; all others it would hand on packed."""


class RefusedError(Exception):
    """A request that is not served: status, a kind for programs, what to do about it."""

    def __init__(self, status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.headers = headers or {}


def check_encoding(request: web.Request) -> None:
    """Raise `RefusedError` for a body that is packed in a way that nobody here unpacks."""
    if request.headers.get("Content-Encoding", "").strip().lower() not in _ENCODINGS:
        raise RefusedError(UNSUPPORTED, "unsupported_encoding", ENCODINGS)


class Bodies:
    """Reads bodies, of at most `most` bytes each; of all that are coming it keeps a bounded amount."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._room = AT_ONCE * most

    async def read(self, request: web.Request) -> bytes:
        """Return the body of a request, unpacked; raise `BusyError` where too much is coming already."""
        check_encoding(request)
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


def json_of(raw: bytes, kind: type[T]) -> T:
    """Return what JSON holds, mended as on Kafka: no text escapes its judgement by a character that is none.

    Raises what `msgspec.json.decode` does.
    """
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(mended(raw), type=kind)


def unreadable(error: Exception, raw: bytes, kind: object) -> str:
    """Return what is wrong with JSON, without any of its text: msgspec repeats values."""
    if isinstance(error, msgspec.ValidationError):
        return explain(error, raw, kind).detail
    if raw.startswith(_GZIP):
        return "not JSON but gzip: say so with `Content-Encoding: gzip`"
    return f"not JSON: {explain(error, raw, kind).detail}"


async def off_loop(read: Callable[[bytes], T], raw: bytes) -> T:
    """Return what `read` makes of a body: of a large one, which may have to be mended, in a thread.

    Raises `RefusedError` for one of too many parts.
    """

    def checked() -> T:
        check_parts(raw)
        return read(raw)

    if len(raw) <= ON_LOOP:
        return checked()
    return await asyncio.get_running_loop().run_in_executor(_READERS, checked)


def decoded(raw: bytes, kind: type[T]) -> T:
    """Return what a body of JSON holds; raise `RefusedError`."""
    try:
        return json_of(raw, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = unreadable(error, raw, kind)
    raise RefusedError(UNPROCESSABLE, "invalid_request_error", detail)


def check_parts(raw: bytes) -> None:
    """Raise `RefusedError` for JSON of so many parts that to read it would hold up all others.

    What stands in its strings is text, of which there may be as much as there is room.
    """
    if _has_many(raw, MOST_SIGNS):
        raw = raw.replace(rb"\\", b"").replace(rb"\"", b"")  # in this order: `\\"` ends a string
        # Quotes first: what there is too much of is not gone through.
        if _has_many(raw, (b'"',)) or _has_many(_STRING.sub(b"", raw), (b"[", b"{", b",")):
            detail = "the body has too many lists, objects or values: send it in several requests"
            raise RefusedError(TOO_LARGE, "too_many", detail)


def _has_many(raw: bytes, signs: Iterable[bytes]) -> bool:
    return any(raw.count(sign) > MOST_SIGNS[sign] for sign in signs)


def check_texts(count: int) -> None:
    """Raise `RefusedError` for more texts than one request may hold."""
    if count > MOST_TEXTS:
        raise RefusedError(TOO_LARGE, "too_many", f"{count} texts, where {MOST_TEXTS} are allowed")
