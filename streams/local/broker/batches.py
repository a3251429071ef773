"""Record batches (Kafka's format v2): what the broker reads and writes of them."""

import struct
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from streams.kafka.decompression import Undecodable, UnpackedTooLarge
from streams.local.broker.apis import Code, Fault

HEADER = struct.Struct(">qiibIhiqqqhii")
_BASE = struct.Struct(">qi")
_CHECKED_FROM = 21  # the checksum covers what follows it, so that a broker can set the offset
_EPOCH_AT, _CRC_AT, _ATTRIBUTES_AT, _MAX_TIME_AT = 12, 17, 21, 35
_APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x08, 0x10, 0x20
NO_PRODUCER = -1
_SPAN = 1 << 31
"""Offsets of one batch: the last one is told in 32 bits."""


class RecordBatch(NamedTuple):
    """The header of a batch; times in ms, `length` in bytes after the first two fields."""

    base: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_delta: int
    first_time: int
    max_time: int
    producer: int
    epoch: int
    sequence: int
    records: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return self.length + _BASE.size

    @property
    def last(self) -> int:
        """Offset of its last record."""
        return self.base + self.last_delta

    @property
    def transactional(self) -> bool:
        """Whether its records count only once a marker commits them."""
        return bool(self.attributes & _TRANSACTIONAL)

    @property
    def control(self) -> bool:
        """Whether it is such a marker."""
        return bool(self.attributes & _CONTROL)


def header(data: bytes) -> RecordBatch | None:
    """Return the header at the start of some bytes; None where they hold no whole header."""
    return RecordBatch(*HEADER.unpack_from(data)) if len(data) >= HEADER.size else None


def intact(data: bytes, batch: RecordBatch) -> bool:
    """Whether the bytes are one whole batch with the right checksum."""
    whole = len(data) == batch.size and batch.magic == 2
    return whole and bool(calc_crc32c(memoryview(data)[_CHECKED_FROM:]) == batch.crc)


def checked(data: bytes, limit: int) -> RecordBatch:
    """Return the header of a produced batch; raises `Fault`: nobody could read past a broken one."""
    batch = header(data)
    if batch is None:
        raise Fault(Code.CORRUPT_MESSAGE)
    if batch.magic != 2:
        raise Fault(Code.UNSUPPORTED_FORMAT)
    if len(data) > limit:
        raise Fault(Code.MESSAGE_TOO_LARGE)
    if not intact(data, batch):
        raise Fault(Code.CORRUPT_MESSAGE)
    if batch.records < 1 or batch.last_delta != batch.records - 1 or batch.control:
        raise Fault(Code.INVALID_RECORD)
    if (batch.producer > NO_PRODUCER and batch.sequence < 0) or not _readable(data, batch):
        raise Fault(Code.INVALID_RECORD)
    return batch


def _readable(data: bytes, batch: RecordBatch) -> bool:
    """Whether a batch holds the records that its header says, each with the offset of its place.

    What unpacks to more than a consumer of weir takes is not looked into: there it is a dead letter.
    """
    try:
        offsets = [record.offset for record in records(data)]
    except UnpackedTooLarge:
        return True
    except (CorruptRecordException, Undecodable, UnicodeDecodeError, UnsupportedCodecError):
        return False
    return offsets == list(range(batch.base, batch.last + 1))


def placed(data: bytes, base: int, *, append_time: bool = False) -> bytes:
    """Return a batch with the offset that the broker gives it, and its own time where that is asked for."""
    batch = bytearray(data)
    struct.pack_into(">q", batch, 0, base)
    struct.pack_into(">i", batch, _EPOCH_AT, 0)
    if append_time:
        (attributes,) = struct.unpack_from(">h", batch, _ATTRIBUTES_AT)
        struct.pack_into(">h", batch, _ATTRIBUTES_AT, attributes | _APPEND_TIME)
        struct.pack_into(">q", batch, _MAX_TIME_AT, int(time.time() * 1000))
        struct.pack_into(">I", batch, _CRC_AT, calc_crc32c(bytes(batch[_CHECKED_FROM:])))
    return bytes(batch)


def marker(producer: int, epoch: int, *, commit: bool) -> bytes:
    """Return the control batch that ends a transaction, to be `placed`."""
    key, value = struct.pack(">hh", 0, int(commit)), struct.pack(">hi", 0, 0)
    body = b"\0\0\0" + b"\x08" + key + b"\x0c" + value + b"\0"
    record = bytes([2 * len(body)]) + body
    now = int(time.time() * 1000)
    fields = (_TRANSACTIONAL | _CONTROL, 0, now, now, producer, epoch, -1, 1)
    rest = struct.pack(">hiqqqhii", *fields) + record
    return struct.pack(">qiibI", 0, len(rest) + 9, 0, 2, calc_crc32c(rest)) + rest


def gap(first: int, after: int) -> Iterator[bytes]:
    """Yield batches without records in the place of offsets that are lost: clients read on behind them."""
    while first < after:
        last_delta = min(after - first, _SPAN) - 1
        rest = struct.pack(">hiqqqhii", 0, last_delta, -1, -1, NO_PRODUCER, -1, -1, 0)
        yield struct.pack(">qiibI", first, len(rest) + 9, 0, 2, calc_crc32c(rest)) + rest
        first += last_delta + 1


def is_commit(data: bytes) -> bool:
    """Whether a control batch, whole, commits."""
    at = HEADER.size + 5  # length, attributes, two deltas and the key's length take a byte each
    return bool(struct.unpack_from(">hh", data, at)[1])


def records(data: bytes) -> Iterator[Any]:
    """Yield the records of whole batches, uncompressed: offset, timestamp, key, value, headers."""
    memory = MemoryRecords(data)
    while (batch := memory.next_batch()) is not None:
        yield from batch


def rebuilt(base: int, kept: list[Any]) -> bytes:
    """Return a batch of the records that compaction keeps, at their own offsets."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    for record in kept:
        builder.append(record.offset - base, record.timestamp, record.key, record.value, list(record.headers))
    return placed(bytes(builder.build()), base)
