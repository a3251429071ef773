"""Records that go while a worker reads, and the two lanes of events."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewPartitions, RecordsToDelete

from schemas import topics
from streams.kafka.clients import client_options, consuming
from streams.kafka.decompression import UNPACKED_BYTES
from streams.kafka.records import Record, RefusedBatch
from streams.kafka.topics import administering, create_topics
from streams.settings import Settings
from tests.streams.kafka.working import (
    CODECS,
    SOON_S,
    Recorder,
    create,
    numbers,
    producing,
    publish,
    until,
    working,
)


async def test_records_gone_before_they_were_read_are_counted(settings: Settings, topic: str) -> None:
    await publish(settings, topic, numbers(0, 10))
    async with working(settings, topic) as role:
        await until(lambda: len(role.records) == 10)
    await publish(settings, topic, numbers(10, 40))
    async with administering(settings) as admin:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(30)})
    async with working(settings, topic) as role:
        await until(lambda: role.values == numbers(30, 40))
        await until(lambda: role.metric("weir_lost_records_total") == 20)
        assert role.telemetry.health()[1]["degraded"] == ["lost_records"]


async def test_new_partitions_are_read_soon(settings: Settings, topic: str) -> None:
    async with working(settings, topic) as role:
        await until(lambda: role.telemetry.ready)
        async with administering(settings) as admin:
            await admin.create_partitions({topic: NewPartitions(2)})
        async with producing(settings) as producer:
            await producer.send_and_wait(topic, b"new", partition=1)
        await until(lambda: role.values == [b"new"])


class Slow(Recorder):
    """Takes its time for each record, and notes how many of the bulk came before each live one."""

    def __init__(self, *names: str, pace_s: float = 0.002) -> None:
        super().__init__(names[0])
        self.pace_s = pace_s
        self.topics = names
        self.before: dict[bytes, int] = {}
        self.bulk: set[bytes] = set()

    async def handle(self, records: Sequence[Record]) -> bool:
        await asyncio.sleep(self.pace_s * len(records))
        for record in records:
            value = record.value or b""
            if record.topic == topics.EVENTS_BULK:
                self.bulk.add(value)
            else:
                self.before[value] = len(self.bulk)
        return await super().handle(records)


async def begin_at_the_end(settings: Settings) -> None:
    """Let the worker's group pass over what other tests have left in the topics of the broker they share."""
    names = (topics.EVENTS, topics.EVENTS_BULK)
    consumer = AIOKafkaConsumer(*names, group_id=f"{settings.group_prefix}-guard", **client_options(settings))
    await consumer.start()
    try:
        await until(consumer.assignment)
        await consumer.commit(await consumer.end_offsets(consumer.assignment()))
    finally:
        await consumer.stop()


@pytest.mark.parametrize("pace_s", [0.002, 0.01])
async def test_live_records_do_not_wait_for_bulk_ones(settings: Settings, pace_s: float) -> None:
    await create_topics(settings)
    await begin_at_the_end(settings)
    bulk = {f"{settings.group_prefix}-{i}".encode() for i in range(int(10 / pace_s))}
    live = [f"{settings.group_prefix}-live-{i}".encode() for i in range(15)]
    await publish(settings, topics.EVENTS_BULK, sorted(bulk))
    role = Slow(topics.EVENTS, topics.EVENTS_BULK, pace_s=pace_s)
    async with working(settings, role) as role:
        await until(lambda: role.bulk)
        async with producing(settings) as producer:
            sent = {}
            for value in live:
                sent[value] = len(role.bulk)
                await producer.send_and_wait(topics.EVENTS, value, partition=0)
                await asyncio.sleep(0.1)
        await until(lambda: set(live) <= set(role.before))
        assert sent[live[0]] < len(bulk) / 4, "most of the bulk waits"
        # No clock tells: a busy machine is slow with both.
        waited = [(role.before[value] - sent[value]) / (len(bulk) - sent[value]) for value in live[:5]]
        assert max(waited) < 0.5, "of what waited when it was sent, less than half comes first"
        role.pace_s = 0.0
        await until(lambda: bulk <= role.bulk)
        await until(lambda: role.telemetry.health()[1]["lag_messages"] == 0)


async def test_the_age_of_what_waits_is_told(settings: Settings) -> None:
    await create_topics(settings)
    await begin_at_the_end(settings)
    await publish(settings, topics.EVENTS, numbers(0, 2_000))
    patient = settings.model_copy(update={"max_wait_s": 1.5})
    async with working(patient, Slow(topics.EVENTS)) as role:
        await until(lambda: "waiting" in role.telemetry.health()[1]["degraded"])
        assert role.telemetry.health()[0], "starting it again would help nobody"
        assert role.telemetry.health()[1]["oldest_seconds"]["live"] > 1.5
        await until(lambda: not role.telemetry.health()[1]["degraded"])
        assert role.telemetry.health()[1]["oldest_seconds"] == {"live": 0.0, "bulk": 0.0}


async def test_clients_read_the_same(settings: Settings, topic: str) -> None:
    """What commands and watch read is bounded in the same way, and nothing of it is left out."""
    for codec in CODECS:
        await publish(settings, topic, numbers(0, 50), compression_type=codec)
    await publish(settings, topic, [b"0" * (UNPACKED_BYTES + 1_000)], compression_type="zstd")
    await publish(settings, topic, [b"%07d" % i * 200_000 for i in range(9)], compression_type="gzip")
    records: list[Record] = []
    async with consuming(settings, topic) as consumer, asyncio.timeout(SOON_S):
        while len(records) < 210:
            records += [
                record for part in (await consumer.getmany(timeout_ms=200)).values() for record in part
            ]
    assert [record.offset for record in records] == list(range(210))
    assert [record.offset for record in records if isinstance(record, RefusedBatch)] == [200]


async def test_a_topic_that_comes_later_is_read_then(settings: Settings, topic: str) -> None:
    """A worker of a new version may start before `weir topics` has made its topics."""
    late = f"{topic}-late"
    role = Recorder(topic)
    role.topics = (topic, late)
    async with working(settings, role) as role:
        await publish(settings, topic, [b"now"])
        await until(lambda: role.values == [b"now"])
        await create(settings, late)
        await publish(settings, late, [b"then"])
        await until(lambda: role.values == [b"now", b"then"])
