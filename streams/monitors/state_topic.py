"""`llm.state`: snapshots of watch, written while the partitions are ours, read with bounded memory."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import ConsumerRecord

from schemas import topics
from streams.kafka.clients import RETRY_S, client_options, started
from streams.kafka.fetcher import bound
from streams.kafka.refusals import TooLargeForTopicError
from streams.kafka.settings import KafkaSettings
from streams.kafka.times import Times
from streams.monitors.snapshots import Newest

log = structlog.get_logger(__name__)

CHUNK_BYTES = 512 * 1024
"""Written at once. Before each chunk we ask whether the partitions are still ours."""
FETCH_BYTES = 1 << 20
"""Of one partition, read at once."""
READ_S = 60.0
Snapshot = tuple[int, bytes, bytes | None]
"""Partition of `llm.scores`, key and value; no value deletes the key."""


class StateTopic:
    """The snapshots of the segments in partition p of `llm.scores` lie in partition p of `llm.state`.

    So a worker reads those of its own partitions only. Where `llm.state` has fewer, several share one.
    """

    def __init__(self, settings: KafkaSettings, times: Times | None = None) -> None:
        """`times` are those of what else the role sends."""
        self._settings = settings
        self._times = times or Times()
        self._prefix = f"{settings.group_prefix}\0".encode()
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect; raise `BrokerError` if no broker answers."""
        make = partial(
            AIOKafkaProducer,
            acks="all",
            max_batch_size=CHUNK_BYTES,
            max_request_size=8 << 20,
            # What could not be delivered within the session timeout may no longer be ours to write.
            request_timeout_ms=int(1000 * self._settings.kafka_session_timeout_s),
        )
        self._producer = await started(self._settings, make)

    async def stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        assert self._producer is not None, "start() first"
        return len(await self._producer.partitions_for(topic))

    async def write(self, snapshots: Iterable[Snapshot], ours: Callable[[], Awaitable[bool]]) -> bool:
        """Write all; return False, with a part written, when the broker refuses or `ours` turns false.

        `snapshots` is consumed in a thread: making them is work.
        """
        assert self._producer is not None, "start() first"
        places = await self.partitions(topics.STATE)
        rest = iter(snapshots)
        try:
            while chunk := await asyncio.to_thread(_take, rest):
                if not await ours():
                    return False
                placed = [(partition % places, k, v) for partition, k, v in chunk]
                await self._times.send(topics.STATE, partial(self._send, placed))
        except KafkaError as error:
            problem = type(error).__name__
            if isinstance(error, MessageSizeTooLargeError):
                problem = str(TooLargeForTopicError(topics.STATE, max(len(v or b"") for _, _, v in chunk)))
            log.warning("snapshots are not written; they are tried again", problem=problem)
            return False
        return True

    async def _send(self, chunk: list[Snapshot]) -> None:
        assert self._producer is not None
        stamp = self._times.stamp()
        sent = [
            await self._producer.send(topics.STATE, value, self._prefix + key, place, stamp)
            for place, key, value in chunk
        ]
        for outcome in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def read(self, assigned: frozenset[int], partitions: int) -> Newest:
        """Return the newest snapshots of what lies in these partitions of `llm.scores`.

        Other partitions of `llm.state` are read only when the number of partitions has changed, or may have.
        While the broker is away it is tried again.
        """
        while True:
            try:
                return await self._gather(assigned, partitions)
            except (KafkaError, TimeoutError) as error:
                log.warning("snapshots are read again", problem=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def _gather(self, assigned: frozenset[int], partitions: int) -> Newest:
        newest = Newest(assigned, partitions)
        places = await self.partitions(topics.STATE)
        own = frozenset(partition % places for partition in assigned)
        await self._read(own, newest)
        others = frozenset(range(places)) - own
        if others and (newest.moved or newest.missing()):
            await self._read(others, newest)
        return newest

    async def _read(self, places: frozenset[int], newest: Newest) -> None:
        consumer = AIOKafkaConsumer(
            **client_options(self._settings),
            fetch_max_wait_ms=self._settings.kafka_fetch_wait_ms,
            max_partition_fetch_bytes=FETCH_BYTES,
            enable_auto_commit=False,
        )
        try:
            await consumer.start()
            bound(consumer)
            consumer.assign([TopicPartition(topics.STATE, place) for place in places])
            await consumer.seek_to_beginning()
            await self._read_to_end(consumer, newest)
        finally:
            await consumer.stop()

    async def _read_to_end(self, consumer: AIOKafkaConsumer, newest: Newest) -> None:
        ends = await consumer.end_offsets(consumer.assignment())
        deadline = time.monotonic() + READ_S
        while True:
            fetched = await consumer.getmany(timeout_ms=100)
            for tp, records in fetched.items():
                await asyncio.to_thread(self._offer, tp.partition, records, newest)
            # What came after the end was asked for is read as well, while it comes.
            if not fetched and all([await consumer.position(tp) >= end for tp, end in ends.items()]):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topics.STATE} cannot be read to its end within {READ_S:.0f} s")

    def _offer(self, place: int, records: Sequence[ConsumerRecord], newest: Newest) -> None:
        for record in records:
            if record.key is not None and record.key.startswith(self._prefix):
                newest.offer(place, record.key.removeprefix(self._prefix), record.value)


def _take(rest: Iterable[Snapshot]) -> list[Snapshot]:
    chunk: list[Snapshot] = []
    size = 0
    for snapshot in rest:
        chunk.append(snapshot)
        size += len(snapshot[1]) + len(snapshot[2] or b"")
        if size >= CHUNK_BYTES:
            break
    return chunk
