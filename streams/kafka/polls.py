"""What one poll hands over, and how much of it waits in memory."""

import marshal
import time
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final

from aiokafka.structs import TopicPartition

from schemas import codec
from streams.kafka.fetcher import LIMITS
from streams.kafka.lanes import Lane
from streams.kafka.records import Packed, Record, RefusedBatch

_TIMESTAMP: Final = attrgetter("timestamp")
RECORD_BYTES: Final = 700
"""What a record takes in memory beside its key and value."""
QUEUED_BYTES: Final[dict[Lane, int]] = {
    "live": 32 * 1024 * 1024,
    # Enough for one poll to wait while another is judged; what waits here cannot be overtaken.
    "bulk": LIMITS["bulk"].size + LIMITS["bulk"].records * RECORD_BYTES,
}
"""Of what was handed over and is not finished; a poll is begun while less than that waits."""
SMALL_BYTES: Final = 4_096
"""Records of so many bytes in the mean are packed while they wait: of larger ones few are read ahead."""
_LEVEL: Final = 1
"""Of compression: a poll takes some ten milliseconds, where judging it takes a second."""


class Poll:
    """The records of one poll of one lane, in order within each partition, and the offsets that follow."""

    __slots__ = (
        "_behind", "_packed", "ahead", "epoch", "fetched", "lane", "oldest", "positions", "records", "size",
    )  # fmt: skip

    def __init__(
        self,
        lane: Lane,
        fetched: Mapping[TopicPartition, Sequence[Record]],
        positions: Mapping[TopicPartition, int],
        epoch: int,
        size: int,
    ) -> None:
        self.lane = lane
        self.records = [record for records in fetched.values() for record in records]
        self.size = size + RECORD_BYTES * len(self.records)
        self.oldest = oldest(map(_TIMESTAMP, self.records))
        self.positions = dict(positions)
        self.epoch = epoch
        # By our own clock: what Kafka's timestamps say is up to who publishes.
        self.fetched = time.monotonic()
        self.ahead: list[Record] = []
        """Records that are handled before their turn: they are in `records` no more."""
        self._behind: array[int] | None = None
        self._packed = b""

    @property
    def rows(self) -> int:
        """Records that are still to be handled, of one that is not packed."""
        return len(self.records) + len(self.ahead)

    @property
    def behind(self) -> "array[int]":
        """Hashes of the keys of the records that wait for their turn, in order."""
        if self._behind is None:
            self._behind = array("I", sorted({_hash(r.key) for r in self.records if r.key is not None}))
        return self._behind

    def set_aside(
        self, goes_ahead: Callable[[Sequence[Record]], Sequence[bool]], before: Sequence["Poll"]
    ) -> None:
        """Put what need not wait into `ahead`, and pack the rest; nothing where the records are large.

        A record waits behind one of the same key, here or in the polls `before`.
        """
        records = self.records
        if not records or self.size > SMALL_BYTES * len(records) or any(map(_is_odd, records)):
            return
        behind: set[int] = set()
        rest: list[Record] = []
        for record, first in zip(records, goes_ahead(records), strict=True):
            key = None if record.key is None else _hash(record.key)
            if first and key not in behind and not any(_has(poll.behind, key) for poll in before):
                self.ahead.append(record)
                continue
            rest.append(record)
            if key is not None:
                behind.add(key)
        self._behind = array("I", sorted(behind))
        packed = marshal.dumps([(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value) for r in rest])
        self._packed, self.records = zlib.compress(packed, _LEVEL), []
        self.size = len(self._packed) + 4 * len(behind) + sum(map(_held, self.ahead))

    def unpack(self) -> None:
        """Have all that was packed in `records` again."""
        if self._packed:
            self.records = [Packed(*each) for each in marshal.loads(zlib.decompress(self._packed))]  # noqa: S302
            self._packed = b""


def oldest(timestamps: Iterable[int]) -> int:
    """Return the earliest of timestamps that a clock may have given, in ms; 0 where there is none."""
    since = 1000 * time.time() - codec.MAX_PAST_MS
    return min((each for each in timestamps if each > since), default=0)


def _held(record: Record) -> int:
    return RECORD_BYTES + len(record.key or b"") + len(record.value or b"")


def _is_odd(record: Record) -> bool:
    return isinstance(record, RefusedBatch)


def _hash(key: bytes) -> int:
    return hash(key) & 0xFFFFFFFF


def _has(hashes: "array[int]", key: int | None) -> bool:
    if key is None:
        return False
    at = bisect_left(hashes, key)
    return at < len(hashes) and hashes[at] == key
