"""aiokafka's fetcher, bounded by unpacked bytes, lane by lane, and told what is lost.

A batch that cannot be read becomes one `RefusedBatch` and reading goes on behind it. A log that ends before
the position, begins after it, or is another one than before is noticed and read from its start.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher, FetchResult, OffsetResetStrategy, PartitionRecords
from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from streams.kafka import decompression
from streams.kafka.batches import Batches, BoundedRecords
from streams.kafka.lanes import LANES, Lane, lane_of
from streams.kafka.records import Record
from streams.kafka.topic_ids import TopicId, topic_ids

log = structlog.get_logger(__name__)

CHECK_S: Final = 2.0
"""Between two looks at the ids of the topics."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one poll: it ends with the record that reaches one of them."""

    records: int
    size: int
    """Bytes of keys and values."""


LIMITS: Final[dict[Lane, Limits]] = {
    "live": Limits(2_000, 4 * 1024 * 1024),
    "bulk": Limits(256, 64 * 1024),
}
BULK_BEGIN: Final = Limits(64, LIMITS["bulk"].size)
BULK_S: Final = 0.5
"""How long a bulk poll takes, about: a live event waits for the one that is being judged."""


def bulk_limits(before: Limits, records: int, seconds: float) -> Limits:
    """Return the limits of the next bulk poll, after one of so many records took so long."""
    wanted = BULK_S * records / max(seconds, 1e-3)
    # Smaller at once, larger by half: a poll that is too large is a second that live events wait.
    most = min(wanted, 1.5 * before.records + 1, LIMITS["bulk"].records)
    return Limits(max(1, int(most)), before.size)


@dataclass(frozen=True, slots=True)
class Lost:
    """Records of a partition that nobody will read, or a log that is not the one that was read before."""

    topic: str
    partition: int
    records: int | None
    """How many are gone; None where the log was made anew and nobody knows."""


class Fetched(dict[TopicPartition, list[Record]]):
    """The records of one poll; `positions` says what follows them, also where nothing was to be read."""

    def __init__(self) -> None:
        super().__init__()
        self.positions: dict[TopicPartition, int] = {}
        self.size: dict[Lane, int] = dict.fromkeys(LANES, 0)
        """Bytes of keys and values, by lane."""
        self.lost: list[Lost] = []


class BoundedFetcher(Fetcher):  # type: ignore[misc]
    """See the module; made of aiokafka's own by `bound`."""

    def begin(self) -> None:
        """Add what `Fetcher` does not have."""
        self.anew: set[TopicPartition] = set()
        """Partitions whose committed offsets belong to a log that is gone."""
        self.oldest: dict[Lane, int] = {}
        """Kafka's timestamp of the oldest record that was fetched and not handed over, by lane."""
        self.limits = LIMITS | {"bulk": BULK_BEGIN}
        self._lost: list[Lost] = []
        self._asked: set[TopicPartition] = set()
        self._out_of_range: dict[TopicPartition, tuple[Any, int]] = {}
        self._noted: dict[TopicPartition, tuple[int, int]] = {}
        self._suspects: set[tuple[TopicPartition, int]] = set()
        self._ids: dict[str, TopicId] = {}
        self.watching = asyncio.create_task(self.watch_logs(), name="watch-logs")

    async def close(self) -> None:
        """Stop fetching, and looking after the logs."""
        self.watching.cancel()
        await super().close()

    async def fetched_records(  # its signature is aiokafka's
        self,
        partitions: Any,
        timeout: float = 0,  # noqa: ASYNC109
        max_records: int | None = None,
    ) -> Fetched:
        """Return what is there, within the limits of each lane, `max_records` of a lane at most.

        Where nothing is there, wait `timeout` seconds.
        """
        deadline = self._loop.time() + timeout
        while True:
            if self._subscriptions.reassignment_in_progress:
                await self._subscriptions.wait_for_assignment()
            fetched = self._drained(partitions, max_records)
            left = deadline - self._loop.time()
            if fetched.positions or fetched.lost or left <= 0 or self._closed:
                return fetched
            waiter = self._create_fetch_waiter()
            await asyncio.wait([waiter], timeout=left)
            if waiter.done():
                waiter.result()  # an error that concerns the whole group
            else:
                waiter.cancel()

    def _drained(self, partitions: Any, most: int | None) -> Fetched:
        fetched = Fetched()
        room = {
            lane: Limits(min(limits.records, most or limits.records), limits.size)
            for lane, limits in self.limits.items()
        }
        oldest: dict[Lane, int] = {}
        fetched.lost, self._lost = self._lost, []
        for tp, result in list(self._records.items()):
            lane = lane_of(tp.topic)
            wanted = not partitions or tp in partitions
            if wanted and (type(result) is not FetchResult or room[lane].records > 0 < room[lane].size):
                if type(result) is FetchResult:
                    room[lane] = self._take(tp, result, room[lane], fetched)
                elif not fetched.positions:
                    self._forget(tp)
                    result.check_raise()
            elif not wanted and not self._subscriptions.is_assigned(tp):
                del self._records[tp]
            if (result := self._records.get(tp)) and type(result) is FetchResult and result.has_more():
                timestamp = result._partition_records._records.timestamp
                oldest[lane] = min(timestamp, oldest.get(lane, timestamp))
        self.oldest = oldest
        return fetched

    def _take(self, tp: TopicPartition, result: FetchResult, room: Limits, fetched: Fetched) -> Limits:
        """Take records of a partition, and return how much room is left in the poll.

        A batch that was begun is read to its end before another is unpacked: `_records` is in order.
        """
        if not result.has_more() or not result.check_assignment(tp):
            self._forget(tp)
            return room
        records: list[Record] = []
        size = 0
        try:
            for record in result._partition_records:
                records.append(record)
                size += len(record.value or b"") + len(record.key or b"")
                if len(records) >= room.records or size >= room.size:
                    break
            else:
                self._forget(tp)
        except CorruptRecordException as error:
            log.warning("fetched once more", topic=tp.topic, partition=tp.partition, problem=str(error))
            self._forget(tp)
        result._update_position()
        if records:
            fetched[tp] = records
            fetched.size[lane_of(tp.topic)] += size
        fetched.positions[tp] = self._subscriptions.subscription.assignment.state_value(tp).position
        return Limits(room.records - len(records), room.size - size)

    def _forget(self, tp: TopicPartition) -> None:
        self._records.pop(tp, None)
        self._notify(self._wait_consume_future)

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: FetchRequest) -> bool:
        woken: bool = await super()._proc_fetch_request(assignment, node_id, request)
        for topic, partitions in request.topics:
            for partition, offset, _ in partitions:
                self._fetched(assignment, TopicPartition(topic, partition), offset)
        return woken

    def _fetched(self, assignment: Any, tp: TopicPartition, offset: int) -> None:
        result = self._records.get(tp)
        if type(result) is FetchResult and type(result._partition_records) is PartitionRecords:
            plain = result._partition_records
            result._partition_records = BoundedRecords(
                tp,
                Batches(plain._records, tp, self._suspects),
                plain._aborted_transactions,
                plain.next_fetch_offset,
                None,
                None,
                self._check_crcs,
                self._isolation_level,
            )
        if assignment.active and assignment.state_value(tp).awaiting_reset and tp not in self._asked:
            self._out_of_range.setdefault(tp, (assignment, offset))

    def request_offset_reset(self, tps: Any, strategy: int) -> Any:
        """Note that the position is set back by us, and not by the broker."""
        self._asked.update(tps)
        for tp in tps:
            self._out_of_range.pop(tp, None)
        return super().request_offset_reset(tps, strategy)

    def seek_to(self, tp: TopicPartition, offset: int) -> None:
        """As above: where we go to by ourselves says nothing about the log."""
        self._out_of_range.pop(tp, None)
        super().seek_to(tp, offset)

    async def _update_fetch_positions(self, assignment: Any, node_id: int, tps: Any) -> bool:
        woken: bool = await super()._update_fetch_positions(assignment, node_id, tps)
        for tp in tps:
            state = assignment.state_value(tp)
            if not state.has_valid_position:
                continue
            self._asked.discard(tp)
            of, expected = self._out_of_range.pop(tp, (None, 0))
            if of is assignment:
                self._note_lost(tp, expected, state.position)
        return woken

    def _note_lost(self, tp: TopicPartition, expected: int, position: int) -> None:
        if position < expected:
            self._note_anew(tp)
        elif position > expected and self._noted.get(tp) != (
            expected,
            position,
        ):  # met again after going back to what is committed
            self._noted[tp] = (expected, position)
            self._lost.append(Lost(tp.topic, tp.partition, position - expected))
            self._wake()

    def _note_anew(self, tp: TopicPartition) -> None:
        self.anew.add(tp)
        self._lost.append(Lost(tp.topic, tp.partition, None))
        self._wake()

    def _wake(self) -> None:
        for waiter in self._fetch_waiters:
            self._notify(waiter)

    async def watch_logs(self) -> None:
        """Look for topics that were made anew, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            with contextlib.suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(CHECK_S):
                    await self.check_ids()

    async def check_ids(self) -> None:
        """Notice topics that have another id than before; raises `KafkaError`."""
        # A client that is closed would connect again.
        assigned = set() if self._closed else self._subscriptions.assigned_partitions()
        names = {tp.topic for tp in assigned}
        for name, found in (await topic_ids(self._client, names) if names else {}).items():
            if self._ids.setdefault(name, found) != found:
                self._ids[name] = found
                for tp in assigned:
                    if tp.topic == name:
                        self._made_anew(tp)

    def _made_anew(self, tp: TopicPartition) -> None:
        self._note_anew(tp)


class RewindingFetcher(BoundedFetcher):
    """Of a consumer whose positions nobody else sets back: reads a log made anew from its start by itself."""

    async def check_ids(self) -> None:
        """As above; raises `KafkaError`."""
        await super().check_ids()
        self.anew.clear()

    def _made_anew(self, tp: TopicPartition) -> None:
        if tp in self.anew:
            return  # its position was beyond the end: that has been set back already
        self._note_anew(tp)
        state = self._subscriptions.subscription.assignment.state_value(tp)
        state.await_reset(OffsetResetStrategy.EARLIEST)
        self._forget(tp)


def bound(consumer: AIOKafkaConsumer, kind: type[BoundedFetcher] = RewindingFetcher) -> BoundedFetcher:
    """Bound a consumer that has just been started, and return its fetcher."""
    decompression.install()
    fetcher: Any = consumer._fetcher
    # The consumer makes its fetcher by itself; nothing of it runs before the next await.
    fetcher.__class__ = kind
    fetcher.begin()
    return fetcher  # type: ignore[no-any-return]
