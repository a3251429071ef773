"""A worker on a topic of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from streams.kafka.clients import client_options
from streams.kafka.faust_worker import Worker
from streams.kafka.records import Record
from streams.kafka.topics import administering
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry

CODECS = ("gzip", "lz4", "snappy", "zstd")
SOON_S = 60.0


class Recorder:
    """A role that notes what it is given."""

    name = "guard"
    batch_records = 500
    linger_s = 0.0

    def __init__(self, topic: str) -> None:
        self.topics: tuple[str, ...] = (topic,)
        self.records: list[Record] = []
        self.sizes: list[int] = []
        """Bytes of each batch."""
        self.telemetry = Telemetry("guard")

    async def start(self) -> None: ...

    async def assigned(self, partitions: frozenset[tuple[str, int]]) -> None: ...

    async def handle(self, records: Sequence[Record]) -> bool:
        self.records += records
        self.sizes.append(sum(len(record.value or b"") for record in records))
        return True

    async def stop(self) -> None: ...

    @property
    def values(self) -> list[bytes | None]:
        return [record.value for record in self.records]

    def metric(self, name: Any) -> float:
        found: float | None = self.telemetry.registry.get_sample_value(name)
        return found or 0.0


async def create(settings: Settings, name: str, **configs: str) -> None:
    await create_topic(
        settings, NewTopic(name, 1, 1, topic_configs={"max.message.bytes": str(8 << 20)} | configs)
    )


async def create_topic(settings: Settings, topic: NewTopic) -> None:
    async with administering(settings) as admin:
        created = await admin.create_topics([topic])
        assert not created.topic_errors[0][1], created


@contextlib.asynccontextmanager
async def working(settings: Settings, what: "str | Recorder") -> AsyncIterator[Any]:
    role = Recorder(what) if isinstance(what, str) else what
    worker = Worker(settings, role, role.telemetry)
    running = asyncio.create_task(worker.run())
    try:
        yield role
    finally:
        worker.request_stop()
        await running


@contextlib.asynccontextmanager
async def producing(settings: Settings, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        **client_options(settings), max_batch_size=64 << 20, max_request_size=64 << 20, **options
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def publish(settings: Settings, topic: str, values: Sequence[bytes], **options: Any) -> None:
    async with producing(settings, **options) as producer:
        await asyncio.gather(*[await producer.send(topic, value, partition=0) for value in values])


async def until(condition: Any, seconds: float = SOON_S) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (conditions of many kinds)
            await asyncio.sleep(0.05)


def numbers(start: int, end: int) -> list[bytes]:
    return [b"%d" % i for i in range(start, end)]
