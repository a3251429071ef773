"""Decompression of record batches with a limit: a few kilobytes on the wire may unpack to gigabytes.

aiokafka unpacks a batch as a whole, without a limit. `install` puts these functions in the place of its own.
"""

import struct
import sys
from collections.abc import Callable
from types import MappingProxyType, ModuleType
from typing import Any, Final

import aiokafka.record.default_records
import aiokafka.record.legacy_records

from streams.errors import WeirError

try:
    import cramjam
except ImportError:
    cramjam = None  # type: ignore[assignment]

UNPACKED_BYTES: Final = 32 * 1024 * 1024
"""Of one batch, at most: four times the largest that a topic of weir takes; producers make them of 16 kB to
1 MB. A role holds one or two of them at a time."""
_FIRST_BYTES: Final = 256 * 1024
"""The smallest buffer that is tried: most batches unpack into less, so once is enough."""
_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER: Final = 16
"""The mark and two version numbers, which say nothing about the blocks."""
_BLOCK: Final = struct.Struct(">i")


class MissingCodecs(WeirError):  # noqa: N818 (as below)
    """The library that unpacks is not installed; the message says what to do."""


class UnpackedTooLarge(Exception):  # noqa: N818 (reads as what is wrong with the batch)
    """A batch unpacks to more than `UNPACKED_BYTES`."""


class Undecodable(Exception):  # noqa: N818 (as above)
    """The compressed data of a batch is damaged."""


def gzip(payload: Any) -> bytes:
    """Return the unpacked data; raises `UnpackedTooLarge` or `Undecodable`, as all of these do."""
    return _unpacked(cramjam.gzip.decompress_into, payload)


def lz4(payload: Any) -> bytes:
    """As `gzip`, for LZ4 frames."""
    return _unpacked(cramjam.lz4.decompress_into, payload)


def zstd(payload: Any) -> bytes:
    """As `gzip`, for Zstandard frames."""
    return _unpacked(cramjam.zstd.decompress_into, payload)


def snappy(payload: Any) -> bytes:
    """As `gzip`, for raw Snappy and for the blocks that the Java client writes; both name their size."""
    data = bytes(payload)
    try:
        blocks = _xerial_blocks(data) if data.startswith(_XERIAL) else [data]
        # Asked before anything is unpacked: unlike the other formats, this one says how long it will be.
        if sum(cramjam.snappy.decompress_raw_len(block) for block in blocks) > UNPACKED_BYTES:
            raise UnpackedTooLarge
        return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)
    except (cramjam.DecompressionError, struct.error) as error:
        raise Undecodable(type(error).__name__) from None


def _xerial_blocks(data: bytes) -> list[bytes]:
    blocks, at = [], _XERIAL_HEADER
    while at < len(data):
        size = _BLOCK.unpack_from(data, at)[0]
        at += _BLOCK.size
        if not 0 < size <= len(data) - at:
            raise Undecodable("a block that goes beyond the end")
        blocks.append(data[at : at + size])
        at += size
    return blocks


def _unpacked(into: Callable[[Any, bytearray], int], payload: Any) -> bytes:
    """Unpack into a buffer that grows: nothing but the data's end says how long it is."""
    data, size = bytes(payload), min(UNPACKED_BYTES, max(_FIRST_BYTES, 8 * len(payload)))
    while True:
        buffer = bytearray(size)
        try:
            return bytes(memoryview(buffer)[: into(data, buffer)])
        except cramjam.DecompressionError as error:
            # cramjam has no error of its own for a buffer that is too small.
            if str(error) != "failed to write whole buffer":
                raise Undecodable(type(error).__name__) from None
        if size == UNPACKED_BYTES:
            raise UnpackedTooLarge
        size = min(UNPACKED_BYTES, 4 * size)


DECODERS: Final = MappingProxyType(
    {"gzip_decode": gzip, "lz4_decode": lz4, "snappy_decode": snappy, "zstd_decode": zstd}
)


def record_modules() -> list[ModuleType]:
    """Return the modules of aiokafka that unpack batches: in C where it was built, else in Python."""
    readers = (
        aiokafka.record.default_records.DefaultRecordBatch,
        aiokafka.record.legacy_records.LegacyRecordBatch,
    )
    return [sys.modules[reader.__module__] for reader in readers]


def missing_library() -> str:
    """Return the name of the library that unpacks, where it is not installed; else nothing."""
    return "" if cramjam else "cramjam"


def install() -> None:
    """Let every Kafka client of this process unpack with the limit; raises `MissingCodecs`."""
    if library := missing_library():
        raise MissingCodecs(f"compressed messages cannot be read without {library}: `pip install {library}`")
    for module in record_modules():
        for name, decoder in DECODERS.items():
            if hasattr(module, name):
                setattr(module, name, decoder)
