"""What one poll hands over."""

import time
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final

from aiokafka.structs import TopicPartition

from schemas import codec
from streams.kafka.fetcher import LIMITS
from streams.kafka.lanes import Lane
from streams.kafka.records import Record

_TIMESTAMP: Final = attrgetter("timestamp")
RECORD_BYTES: Final = 700
"""What a record takes in memory beside its key and value."""
QUEUED_BYTES: Final[dict[Lane, int]] = {
    "live": 32 * 1024 * 1024,
    # Enough for one poll to wait while another is judged; what waits here cannot be overtaken.
    "bulk": LIMITS["bulk"].size + LIMITS["bulk"].records * RECORD_BYTES,
}
"""Of what was handed over and is not finished; a poll is begun while less than that waits."""


class Poll:
    """The records of one poll of one lane, in order within each partition, and the offsets that follow."""

    __slots__ = ("epoch", "fetched", "lane", "oldest", "positions", "records", "size")

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


def oldest(timestamps: Iterable[int]) -> int:
    """Return the earliest of timestamps that a clock may have given, in ms; 0 where there is none."""
    since = 1000 * time.time() - codec.MAX_PAST_MS
    return min((each for each in timestamps if each > since), default=0)
