"""Request bodies as they were before their Content-Encoding.

A body may be several frames in a row (clickhouse-connect sends one per block of rows). Decoders that
stop after the first one lose the rest without a word, so this goes on until nothing is left.
"""

import functools
import importlib
import zlib
from collections.abc import Callable
from typing import Any

_MODULES = {"lz4": ("lz4.frame",), "zstd": ("compression.zstd", "backports.zstd")}


class ContentError(ValueError):
    """A body cannot be decoded; the message says why."""


def decode(data: bytes, encoding: str, limit: int) -> bytes:
    """Undo `encoding`; `ContentError` if that fails or gives more than `limit` bytes."""
    if encoding in ("", "identity"):
        return data
    new = _decompressor(encoding)
    out = bytearray()
    while data:
        frame = new()
        try:
            out += frame.decompress(data, limit - len(out) + 1)
        except Exception as error:  # each of the modules has a class of its own
            raise ContentError(f"The body is not {encoding}: {error}") from None
        if len(out) > limit:
            raise ContentError(f"The body holds more than {limit >> 20} MiB; send it in parts.")
        if not frame.eof:
            raise ContentError(f"The body ends within its {encoding} data.")
        data = frame.unused_data or b""
    return bytes(out)


def _decompressor(encoding: str) -> Callable[[], Any]:
    if encoding == "gzip":
        return functools.partial(zlib.decompressobj, wbits=zlib.MAX_WBITS | 16)
    if encoding == "deflate":
        return zlib.decompressobj
    module = _module(encoding)
    return module.LZ4FrameDecompressor if encoding == "lz4" else module.ZstdDecompressor  # type: ignore[no-any-return]


def _module(encoding: str) -> Any:
    if encoding not in _MODULES:
        raise ContentError(
            f"Content-Encoding {encoding} is not supported: use lz4, zstd, gzip, deflate or none."
        )
    for name in _MODULES[encoding]:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ContentError(
        f"Content-Encoding {encoding} needs a package that is not installed here; use gzip or none."
    )
