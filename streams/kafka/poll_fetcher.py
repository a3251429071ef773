"""The fetcher of a worker: partitions take turns; while little is held, large records come together."""

import itertools
from typing import Any, Final

from aiokafka.consumer.fetcher import FetchResult
from aiokafka.structs import TopicPartition

from streams.kafka.fetcher import BoundedFetcher
from streams.kafka.lanes import lane_of

ANSWER_BYTES: Final = 8 * 1024 * 1024
"""Of one answer of one broker, compressed, at most; a batch that is larger comes alone."""
PARTITION_BYTES: Final = 1024 * 1024
"""Of one partition in one answer, at most; as above for a larger batch."""
AHEAD_BYTES: Final = 4 * 1024 * 1024
"""The same of a live partition, while less than an answer is held.

A broker fills up what is asked for with the beginning of the next batch, which is thrown away: of 1 MiB that
is a fifth where batches have 800 kB.
"""


class PollFetcher(BoundedFetcher):
    """See the module."""

    def begin(self) -> None:
        """Add what `Fetcher` does not have."""
        super().begin()
        self._turns = itertools.count()
        self._served: dict[TopicPartition, int] = {}
        """When records of a partition came last, counted in answers."""

    def _get_actions_per_node(self, assignment: Any) -> Any:
        actions = super()._get_actions_per_node(assignment)
        little = self.held() < ANSWER_BYTES
        for _, request in actions[0]:
            for topic, partitions in request.topics:
                # A broker fills its answer from the first one on: aiokafka's order is by chance, and who
                # publishes to a partition that is drawn last a few times waits for seconds.
                partitions.sort(key=lambda each, topic=topic: self._turn(topic, each[0]))
                if little:
                    partitions[:] = _sized(topic, partitions)
        return actions

    def _turn(self, topic: str, partition: int) -> int:
        return self._served.get(TopicPartition(topic, partition), -1)

    def _fetched(self, assignment: Any, tp: TopicPartition, offset: int) -> None:
        if tp in self._records:
            self._served[tp] = next(self._turns)
        super()._fetched(assignment, tp, offset)

    def held(self) -> int:
        """Return the bytes, compressed, of live answers that are not handed over to the end."""
        return sum(map(_size, self._records.items()))


def _size(item: tuple[TopicPartition, Any]) -> int:
    tp, result = item
    is_live = type(result) is FetchResult and lane_of(tp.topic) == "live"
    return result._partition_records._records.size if is_live else 0


def _sized(topic: str, partitions: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    # What is read of the bulk waits for long, and would be held meanwhile.
    most = AHEAD_BYTES if lane_of(topic) == "live" else PARTITION_BYTES
    return [(partition, offset, most) for partition, offset, _ in partitions]
