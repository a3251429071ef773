"""What cannot be read of a record batch is one record; what may heal is looked at twice."""

from collections.abc import Iterator

import pytest
from aiokafka.errors import UnsupportedCodecError
from aiokafka.structs import TopicPartition

from schemas.rejection import Reason
from streams.kafka import batches
from streams.kafka.decompression import Undecodable, UnpackedTooLarge
from streams.kafka.records import RefusedBatch

TP = TopicPartition("t", 3)


class Batch:
    """A record batch of two records, with what is wrong with it."""

    base_offset, next_offset, max_timestamp, compression_type = 10, 12, 99, 1

    def __init__(self, error: Exception | None = None, crc: bool = True) -> None:
        self._error = error
        self._crc = crc

    def validate_crc(self) -> bool:
        return self._crc

    def __iter__(self) -> Iterator[str]:
        if self._error is not None:
            raise self._error
        return iter(["a", "b"])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnpackedTooLarge(), Reason.TOO_LARGE),
        (Undecodable("x"), Reason.UNREADABLE_BATCH),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "x"), Reason.UNREADABLE_BATCH),
    ],
)
def test_what_cannot_be_unpacked_is_one_record_at_the_last_offset(error: Exception, reason: Reason) -> None:
    (refused,) = batches.RecordBatch(Batch(error), TP, set())
    assert isinstance(refused, RefusedBatch)
    assert (refused.topic, refused.partition, refused.offset, refused.timestamp) == ("t", 3, 11, 99)
    assert refused.reason == reason
    assert "offsets 10 to 11" in refused.detail


def test_a_missing_library_is_no_fault_of_the_batch() -> None:
    with pytest.raises(UnsupportedCodecError):
        list(batches.RecordBatch(Batch(UnsupportedCodecError("libraries not found")), TP, set()))
    unknown = Batch(UnsupportedCodecError("unknown"))
    unknown.compression_type = 7
    assert [record.reason for record in batches.RecordBatch(unknown, TP, set())] == [Reason.UNREADABLE_BATCH]


def test_a_wrong_checksum_is_fetched_once_more_before_it_is_believed() -> None:
    suspects: set[tuple[TopicPartition, int]] = set()
    assert not batches.RecordBatch(Batch(crc=False), TP, suspects).validate_crc()
    again = batches.RecordBatch(Batch(crc=False), TP, suspects)
    assert again.validate_crc()
    assert [record.reason for record in again] == [Reason.UNREADABLE_BATCH]
    healed = batches.RecordBatch(Batch(), TP, suspects)
    assert healed.validate_crc()
    assert list(healed) == ["a", "b"]
