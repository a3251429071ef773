"""Faust's transport, changed to hand over whole polls and to lose none of them in a rebalance.

Faust delivers one message at a time through several queues, and its `take()` acknowledges a batch even
when the agent raises. Here one Faust message carries one whole poll (all partitions), so that fetching
costs per poll instead of per message, and an acknowledgement sets positions only after the role has
finished with everything in it. `docs/decisions/0001-faust-polls.md` has the measurements.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable
from typing import Any

from aiokafka.errors import IllegalStateError, KafkaError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, ConsumerMessage, Message

from streams.kafka.faust_thread import PollThread
from streams.kafka.fetcher import Fetched, Lost
from streams.kafka.lanes import LANES, Lane, lane_of
from streams.kafka.polls import QUEUED_BYTES, Poll, oldest

REVOKE_COMMIT_S = 2.0
WAIT_S = 1.0
BUSY_WAIT_S = 0.05
"""For records of one lane while the other is full: no longer, since that may change at any time."""


class PollConsumer(Consumer):
    """Delivers polls and commits the positions of finished ones.

    An epoch lasts from one rebalance to the next. What was read in an earlier one is neither delivered
    nor committed: reading starts again at the committed offsets.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epoch = 0
        self._finished: dict[TP, int] = {}
        self._held_until = 0.0
        self._waiting: dict[Lane, list[Poll]] = {lane: [] for lane in LANES}
        """Polls of this epoch that were handed over and are not released."""
        self._released = asyncio.Event()
        self._lost: list[Lost] = []

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return PollThread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Any) -> None:
        stopped = (self._stopped.is_set, fetcher._stopped.is_set)
        reading = -1
        try:
            while not any(is_set() for is_set in stopped):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow)  # type: ignore[arg-type]
                elif reading != self.epoch:
                    # A fetch that was under way during a rebalance may have stepped over records since.
                    reading = await self._rewound()
                else:
                    await self._deliver_next(reading)
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise

    async def _rewound(self) -> int:
        """Go back to the committed offsets; return the epoch for which that holds, -1 if for none."""
        epoch = self.epoch
        try:
            await self.perform_seek()
        except (IllegalStateError, AssertionError):  # the assignment changed under it
            await asyncio.sleep(0.05)
            return -1
        return epoch

    async def _deliver_next(self, epoch: int) -> None:
        lanes = [lane for lane in LANES if self._has_room(lane)]
        wanted = {tp for tp in self._get_active_partitions() if lane_of(tp.topic) in lanes}
        if not wanted:
            self._released.clear()
            await self.wait_first(self._released.wait(), self.suspend_flow.wait(), timeout=BUSY_WAIT_S)
            return
        wait = WAIT_S if len(lanes) == len(LANES) else BUSY_WAIT_S
        fetched = await self._getmany(active_partitions=wanted, timeout=wait)
        await asyncio.sleep(0)
        if not isinstance(fetched, Fetched):
            return
        self._lost += fetched.lost
        if self.should_stop or epoch != self.epoch:
            return
        if anew := [TP(lost.topic, lost.partition) for lost in fetched.lost if lost.records is None]:
            self._begin_anew(anew)
            return
        for lane in lanes:
            await self._deliver(lane, fetched, epoch)

    def _has_room(self, lane: Lane) -> bool:
        return sum(poll.size for poll in self._waiting[lane]) < QUEUED_BYTES[lane]

    async def _deliver(self, lane: Lane, fetched: Fetched, epoch: int) -> None:
        positions = {
            TP(tp.topic, tp.partition): position
            for tp, position in fetched.positions.items()
            if lane_of(tp.topic) == lane
        }
        if not positions:
            return
        records = {TP(*tp): fetched[tp] for tp in positions if tp in fetched}
        for tp, those in records.items():
            self._finished.setdefault(tp, those[0].offset)
        poll = Poll(lane, records, positions, epoch, fetched.size[lane])
        self._waiting[lane].append(poll)
        message = _message(poll, self.app.consumer_generation_id)
        await self.wait_first(self.callback(message), self.suspend_flow.wait())

    def _begin_anew(self, partitions: Iterable[TP]) -> None:
        """Begin a new epoch: offsets of a log that is gone say nothing about the one in its place."""
        self.epoch += 1
        self._forget()
        for tp in partitions:
            self._committed_offset.pop(tp, None)

    def _forget(self) -> None:
        self._finished.clear()
        for polls in self._waiting.values():
            polls.clear()
        self._released.set()

    def release(self, poll: Poll, seconds: float) -> None:
        """Drop the records of a poll that was handled in so long, or is of an old epoch: there is room."""
        thread: Any = self._thread
        if poll.lane == "bulk" and poll.epoch == self.epoch:
            thread.bulk_took(len(poll.records), seconds)
        poll.records.clear()
        if poll in self._waiting[poll.lane]:
            self._waiting[poll.lane].remove(poll)
            self._released.set()

    def take_lost(self) -> list[Lost]:
        """Return what was lost since the last call."""
        lost, self._lost = self._lost, []
        return lost

    def oldest(self, lane: Lane) -> int:
        """Return Kafka's timestamp of the oldest record of a lane that waits; 0: none is known to wait."""
        thread: Any = self._thread
        return oldest([*(poll.oldest for poll in self._waiting[lane]), thread.oldest(lane)])

    def ack(self, message: Message) -> bool:
        """Note the positions of a finished poll, unless its partitions were given out anew meanwhile."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        poll = _poll(message)
        if poll.epoch == self.epoch:
            self._finished.update(poll.positions)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterable[TP]:  # type: ignore[override]
        return [tp for tp in self._finished if topics is None or tp in topics or tp.topic in topics]

    def _new_offset(self, tp: TP) -> int | None:
        return self._finished.get(tp)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Commit what is finished while it is still ours, and begin a new epoch."""
        self.epoch += 1
        self._held_until = 0.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REVOKE_COMMIT_S):
                await self.commit()
        self._forget()
        await super().on_partitions_revoked(revoked)

    @property
    def joined(self) -> bool:
        """Whether partitions were given out and reading goes on (to a spare worker: none)."""
        return self.epoch > 0 and self.can_resume_flow.is_set()

    def check(self) -> None:
        """Raise the `KafkaError` for which the group, or the broker, refuses this worker."""
        thread: Any = self._thread
        if thread._consumer is not None:
            thread.check()

    async def holds(self, epoch: int) -> bool:
        """Return whether the partitions given out in an epoch are still this worker's.

        The coordinator is asked, unless it was within a quarter of the session timeout: so long nobody else
        can have them. A process that was paused does not know by itself what it missed.
        """
        now = time.clock_gettime(time.CLOCK_BOOTTIME)  # goes on while the machine sleeps
        if epoch != self.epoch:
            return False
        if now < self._held_until:
            return True
        session = self.app.conf.broker_session_timeout
        thread: Any = self._thread
        try:
            async with asyncio.timeout(session):
                held = bool(await thread.heartbeat())
        except (KafkaError, TimeoutError):
            return False
        self._held_until = now + session / 4 if held else 0.0
        return held and epoch == self.epoch

    def lag(self) -> dict[Lane, int] | None:
        """Return by lane how many messages of our partitions are not finished; None while unknown."""
        thread: Any = self._thread
        positions: dict[TP, tuple[int, int]] | None = thread.positions()
        if positions is None:
            return None
        waiting = dict.fromkeys(LANES, 0)
        for tp, (position, end) in positions.items():
            waiting[lane_of(tp.topic)] += max(0, end - self._finished.get(tp, position))
        return waiting

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's own livelock warnings count messages; the health endpoint measures progress."""


def _poll(message: Message) -> Poll:
    assert isinstance(message.value, Poll)
    return message.value


def _message(poll: Any, generation: int) -> ConsumerMessage:
    tp, position = next(iter(poll.positions.items()))
    return ConsumerMessage(
        tp.topic, tp.partition, position - 1, time.time(), 0, [], b"", poll, None, tp=tp,
        generation_id=generation,
    )  # fmt: skip


class PollTransport(Transport):
    """Faust's aiokafka transport with `PollConsumer`."""

    Consumer = PollConsumer
