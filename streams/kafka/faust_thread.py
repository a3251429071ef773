"""The thread in which Faust runs aiokafka's consumer, which is bounded and begins at what is committed."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP

from streams.kafka.fetcher import bound, bulk_limits
from streams.kafka.lanes import Lane
from streams.kafka.poll_fetcher import ANSWER_BYTES, PollFetcher


class PollThread(AIOKafkaConsumerThread):
    """Makes the consumer as weir needs it, and answers for it from the loop of the worker."""

    _watching: "asyncio.Task[None] | None" = None

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust hard-codes 1,500 ms: as long may a partition wait that is not part of the fetch under way.
        consumer._fetch_max_wait_ms = self.app.conf.weir.kafka_fetch_wait_ms
        consumer._fetch_max_bytes = ANSWER_BYTES
        # Faust ties it to its own transactions. What a producer took back must not be judged.
        consumer._isolation_level = "read_committed"
        return consumer

    async def on_start(self) -> None:
        """Bound what the consumer fetches."""
        await super().on_start()
        self._fetcher = bound(self._ensure_consumer(), PollFetcher)
        self._watching = self._fetcher.watching

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go back to what is committed, or to the start where nothing is; return the positions."""
        found: Mapping[TP, int] = await self.call_thread(self._rewind)
        return found

    async def _rewind(self) -> dict[Any, int | None]:
        # aiokafka's own leaves a partition without a commit where it is, past records nobody handled.
        consumer = self._ensure_consumer()
        with contextlib.suppress(KafkaError):
            await self._fetcher.check_ids()
        anew = self._fetcher.anew & consumer.assignment()
        committed = {tp: None if tp in anew else await consumer.committed(tp) for tp in consumer.assignment()}
        for tp, offset in committed.items():
            if offset is not None:
                consumer.seek(tp, offset)
        fresh = [tp for tp, offset in committed.items() if offset is None]
        if fresh:
            await consumer.seek_to_beginning(*fresh)
        with contextlib.suppress(KafkaError):
            if anew:
                # Or the next worker would go on where the log that is gone was read to.
                await consumer.commit({tp: await consumer.position(tp) for tp in anew})
                self._fetcher.anew -= anew
        return committed

    def oldest(self, lane: Lane) -> int:
        """Return Kafka's timestamp of the oldest record that is fetched and not handed over; 0: none."""
        return self._fetcher.oldest.get(lane, 0)

    def bulk_took(self, records: int, seconds: float) -> None:
        """Note how long a bulk poll took: the next ones are as large as takes half a second."""
        limits = self._fetcher.limits
        if records:
            limits["bulk"] = bulk_limits(limits["bulk"], records, seconds)

    def check(self) -> None:
        """Raise what keeps the consumer from its group for good: Faust itself waits for ever."""
        self._ensure_consumer()._coordinator.check_errors()
        if self._watching is not None and self._watching.done() and not self._watching.cancelled():
            self._watching.result()

    async def heartbeat(self) -> bool:
        """Ask the group's coordinator whether this worker is a member of the current generation."""
        return bool(await self.call_thread(self._ensure_consumer()._coordinator._do_heartbeat))

    def positions(self) -> dict[TP, tuple[int, int]] | None:
        """Return of each assigned partition what is read next and where it ends.

        None until all were fetched from: what is not known must not look like nothing to do.
        """
        subscription = self._ensure_consumer()._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return None
        states = {tp: subscription.assignment.state_value(tp) for tp in subscription.assignment.tps}
        found = {
            TP(tp.topic, tp.partition): (state.position, _end(state))
            for tp, state in states.items()
            if state is not None and state.has_valid_position and state.highwater is not None
        }
        return found if len(found) == len(states) else None


def _end(state: Any) -> int:
    """Return up to where records may be read: an open transaction ends there."""
    stable: int | None = state.lso
    end: int = state.highwater
    return end if stable is None or stable < 0 else min(stable, end)
