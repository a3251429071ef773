"""`llm.state` on real brokers: what is written is found again, by the worker whose it is."""

import asyncio
import random
from functools import partial

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from structlog.testing import capture_logs

from schemas import topics
from streams.alerts import memory
from streams.alerts.life_cycle import Memory
from streams.kafka import decompression
from streams.kafka.clients import client_options
from streams.kafka.topics import TOPIC_CONFIG, administering, create_topics
from streams.monitors import snapshots
from streams.monitors.snapshots import Newest, Segment
from streams.monitors.state_topic import CHUNK_BYTES, Snapshot, StateTopic
from streams.settings import Settings
from tests.brokers import ApacheKafka, KafkaBroker
from tests.streams.kafka.working import producing

pytestmark = [pytest.mark.kafka]
PARTITIONS = 4


async def yes() -> bool:
    return True


def settings(kafka: KafkaBroker, name: str) -> Settings:
    return Settings(kafka=kafka.address, group_prefix=name, kafka_session_timeout_s=3, _env_file=None)


def snapshot(app: str, offset: int, size: int = 10) -> Snapshot:
    """Return the snapshot of a segment in the partition where its scores go."""
    segment = Segment(app, "", "", "prompt")
    partition = segment.partition(PARTITIONS)
    noise = random.Random(offset).randbytes(size)
    value = snapshots.encode(partition, PARTITIONS, offset, 1_000 + offset, noise)
    return partition, snapshots.encode_key(segment), value


async def opened(kafka: KafkaBroker, name: str) -> StateTopic:
    found = settings(kafka, name)
    await create_topics(found)
    state = StateTopic(found)
    await state.start()
    return state


def offsets(newest: Newest) -> dict[str, int]:
    return {name.app: envelope.offset for name, envelope in newest.found if isinstance(name, Segment)}


async def test_each_worker_finds_the_newest_of_its_own(kafka: KafkaBroker) -> None:
    state, others = await opened(kafka, "own"), await opened(kafka, "others")
    try:
        apps = [f"app{n}" for n in range(40)]
        assert await state.write([snapshot(app, 5) for app in apps], yes)
        assert await state.write([snapshot(app, 9) for app in apps], yes)
        assert await state.write([snapshot(apps[0], 7)], yes), "of a worker that had been paused"
        assert await others.write([snapshot(app, 99) for app in apps], yes)
        found: dict[str, int] = {}
        for partition in range(PARTITIONS):
            mine = offsets(await state.read(frozenset({partition}), PARTITIONS))
            assert not mine.keys() & found.keys()
            found |= mine
        assert found == dict.fromkeys(apps, 9)
    finally:
        await state.stop()
        await others.stop()


async def test_a_batch_that_nobody_can_read_is_passed_over(kafka: KafkaBroker) -> None:
    """Else whoever may write the topic ends watch and notify at every start."""
    decompression.install()  # as every role does
    state = await opened(kafka, "bomb")
    given, bomb = settings(kafka, "bomb"), bytes(decompression.UNPACKED_BYTES)
    try:
        async with producing(given, compression_type="gzip") as producer:
            for partition in range(PARTITIONS):
                await producer.send_and_wait(topics.STATE, bomb, b"k", partition=partition)
        last = memory.encode({"llm.alerts/0": 7}, Memory(), [])
        async with producing(given) as producer:
            await producer.send_and_wait(topics.STATE, last, memory.key(given), partition=memory.PARTITION)
        assert await state.write([snapshot("app", 5)], yes)
        assert offsets(await state.read(frozenset(range(PARTITIONS)), PARTITIONS)) == {"app": 5}
        found = await memory.read(given)
        assert found is not None
        assert found.positions == {"llm.alerts/0": 7}
    finally:
        await state.stop()


async def test_partitions_that_were_added_find_what_lies_in_the_old_ones(kafka: KafkaBroker) -> None:
    state = await opened(kafka, "more")
    try:
        apps = [f"app{n}" for n in range(40)]
        assert await state.write([snapshot(app, 5) for app in apps], yes)
        reads = [await state.read(frozenset({p}), 2 * PARTITIONS) for p in range(2 * PARTITIONS)]
        assert sorted(app for newest in reads for app in offsets(newest)) == sorted(apps)
    finally:
        await state.stop()


async def test_writing_stops_where_the_partitions_are_lost(kafka: KafkaBroker) -> None:
    state = await opened(kafka, "lost")
    asked = 0

    async def twice() -> bool:
        nonlocal asked
        asked += 1
        return asked <= 2

    try:
        large = [snapshot(f"app{n}", 5, CHUNK_BYTES // 4) for n in range(100)]
        assert not await state.write(large, twice)
        newest = await state.read(frozenset(range(PARTITIONS)), PARTITIONS)
        assert 0 < len(newest.found) < 100
    finally:
        await state.stop()


async def test_a_snapshot_that_the_topic_never_takes_is_told_with_what_to_do(kafka: KafkaBroker) -> None:
    state = await opened(kafka, "large")
    try:
        with capture_logs() as logs:
            assert not await state.write([(0, b"key", bytes(8_500_000))], yes)
        assert logs[0]["problem"].startswith(
            "llm.state does not take a message of 8,500,000 bytes: raise its"
        )
    finally:
        await state.stop()


async def test_a_clock_that_the_broker_does_not_believe_costs_no_snapshot(kafka: KafkaBroker) -> None:
    state, partition = await opened(kafka, "clock"), snapshot("app", 5)[0]
    resource = partial(ConfigResource, ConfigResourceType.TOPIC, topics.STATE)
    # Any time is too old then; that of a clock that is ahead is refused as well.
    doubting = TOPIC_CONFIG[topics.STATE] | {"message.timestamp.before.max.ms": "0"}
    try:
        async with administering(settings(kafka, "clock")) as admin:
            await admin.alter_configs([resource(doubting)])
            try:
                with capture_logs() as logs:
                    # It takes the broker a moment to know, and a message of this very millisecond is not old.
                    for _ in range(100 if isinstance(kafka, ApacheKafka) else 1):
                        assert await state.write([snapshot("app", 5)], yes)
                        if logs:
                            break
                        await asyncio.sleep(0.05)
            finally:
                await admin.alter_configs([resource(TOPIC_CONFIG[topics.STATE])])
        assert [line["event"] for line in logs] == ["messages go without a time"] * isinstance(
            kafka, ApacheKafka
        )
        assert offsets(await state.read(frozenset({partition}), PARTITIONS)) == {"app": 5}
    finally:
        await state.stop()


async def test_apache_kafka_is_told_to_compact_soon(kafka: KafkaBroker) -> None:
    if not isinstance(kafka, ApacheKafka):
        pytest.skip("the embedded broker keeps all records in memory")
    found = settings(kafka, "configured")
    await create_topics(found)
    admin = AIOKafkaAdminClient(**client_options(found))
    await admin.start()
    try:
        (reply,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topics.STATE)])
    finally:
        await admin.close()
    told = {name: value for name, value, *_ in reply.resources[0][4]}
    assert told.items() >= TOPIC_CONFIG[topics.STATE].items()
