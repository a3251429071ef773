"""Clients of a broker."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    for_code,
)

from tests.brokers import KafkaBroker

PARTITIONS = 3


@asynccontextmanager
async def administering(broker: KafkaBroker) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def new_topic(broker: KafkaBroker, partitions: int = 1, **config: str) -> str:
    """Make a topic with settings like `retention_ms` and return its name."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    await create(broker, name, partitions, **config)
    return name


async def create(broker: KafkaBroker, name: str, partitions: int = 1, **config: str) -> None:
    settings = {key.replace("_", "."): value for key, value in config.items()}
    async with administering(broker) as admin:
        response = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
    for _, code, *_ in response.topic_errors:
        if code:
            raise for_code(code)


def producing(broker: KafkaBroker, **options: Any) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=broker.address, **options)


def consuming(broker: KafkaBroker, *names: str, start: str = "earliest", **options: Any) -> AIOKafkaConsumer:
    options = {"fetch_max_wait_ms": 50, "auto_offset_reset": start, **options}
    return AIOKafkaConsumer(*names, bootstrap_servers=broker.address, **options)


async def send(broker: KafkaBroker, topic: str, *values: str, **options: Any) -> list[int]:
    """Send values to partition 0 in one batch each and return their offsets."""
    async with producing(broker, **options) as producer:
        return [(await producer.send_and_wait(topic, v.encode(), partition=0)).offset for v in values]


async def read(consumer: AIOKafkaConsumer, count: int, patience: float = 60.0) -> list[str]:
    """Return the next `count` values; fewer where no more come."""
    found: list[str] = []
    deadline = time.monotonic() + patience
    while len(found) < count and time.monotonic() < deadline:
        for records in (await consumer.getmany(timeout_ms=100)).values():
            found.extend((record.value or b"").decode() for record in records)
    return found


async def ends(broker: KafkaBroker, topic: str, partitions: int = PARTITIONS) -> list[int]:
    async with consuming(broker) as consumer:
        parts = [TopicPartition(topic, number) for number in range(partitions)]
        found = await consumer.end_offsets(parts)
    return [found[part] for part in parts]
