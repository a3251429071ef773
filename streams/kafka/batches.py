"""Record batches as aiokafka iterates over them; one that cannot be read ends as a `RefusedBatch`."""

from collections.abc import Iterator
from typing import Any, Final

from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.structs import ConsumerRecord, TopicPartition

from schemas.rejection import Reason
from streams.kafka import decompression
from streams.kafka.records import Record, RefusedBatch

_CODECS: Final = (1, 2, 3, 4)
"""gzip, snappy, lz4, zstd."""


class RecordBatch:
    """A record batch that ends with a `RefusedBatch` where it cannot be read."""

    def __init__(self, batch: Any, tp: TopicPartition, suspects: set[tuple[TopicPartition, int]]) -> None:
        self._batch = batch
        self._tp = tp
        self._suspects = suspects
        self._damaged = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def validate_crc(self) -> bool:
        """Whether to go on: a wrong checksum is fetched once more before it is believed."""
        if self._batch.validate_crc():
            return True
        where = (self._tp, self._batch.next_offset)
        self._damaged = where in self._suspects
        (self._suspects.discard if self._damaged else self._suspects.add)(where)
        return self._damaged

    def __iter__(self) -> Iterator[Any]:
        if self._damaged:
            yield self._refused(Reason.UNREADABLE_BATCH, "its checksum is wrong")
            return
        try:
            yield from self._batch
        except decompression.UnpackedTooLarge:
            allowed = f"more than the {decompression.UNPACKED_BYTES:,} bytes that are allowed"
            yield self._refused(Reason.TOO_LARGE, f"unpacks to {allowed}")
        except (decompression.Undecodable, CorruptRecordException, UnicodeDecodeError) as error:
            yield self._refused(Reason.UNREADABLE_BATCH, f"damaged ({type(error).__name__})")
        except UnsupportedCodecError:
            if self._batch.compression_type in _CODECS:
                raise  # a library of ours is missing: no fault of the batch
            yield self._refused(Reason.UNREADABLE_BATCH, "compressed with an unknown codec")

    def _refused(self, reason: Reason, why: str) -> RefusedBatch:
        batch, last = self._batch, self._batch.next_offset - 1
        detail = f"the record batch of offsets {batch.base_offset} to {last}: {why}"
        return RefusedBatch(
            self._tp.topic, self._tp.partition, last, batch.max_timestamp or -1, reason, detail
        )


class Batches:
    """The batches of one fetch, as aiokafka iterates over them."""

    def __init__(self, batches: Any, tp: TopicPartition, suspects: set[tuple[TopicPartition, int]]) -> None:
        self._batches = batches
        self._tp = tp
        self._suspects = suspects
        self.size: int = batches.size_in_bytes()
        """Of the whole answer, as it came: it is held until the last batch is read."""
        self._next = batches.next_batch()

    @property
    def timestamp(self) -> int:
        """Kafka's timestamp of the first record that is not read yet; 0 where there is none."""
        return (self._next.first_timestamp or 0) if self._next is not None else 0

    def has_next(self) -> bool:
        """Whether there is another batch."""
        return self._next is not None

    def next_batch(self) -> RecordBatch:
        """Return the next batch."""
        batch, self._next = self._next, self._batches.next_batch() if self._batches.has_next() else None
        return RecordBatch(batch, self._tp, self._suspects)


class BoundedRecords(PartitionRecords):  # type: ignore[misc]
    """Hands a `RefusedBatch` on as it is."""

    def _consumer_record(self, tp: TopicPartition, record: Any) -> Record:
        if record.__class__ is RefusedBatch:
            refused: Record = record
            return refused
        # Without aiokafka's deserializers, which weir does not use: this runs once per record.
        key, value = record.key, record.value
        made: Record = ConsumerRecord(
            tp.topic,
            tp.partition,
            record.offset,
            record.timestamp,
            record.timestamp_type,
            key,
            value,
            record.checksum,
            -1 if key is None else len(key),
            -1 if value is None else len(value),
            (),  # headers, which nobody reads: they would be in memory and in no limit
        )
        return made
