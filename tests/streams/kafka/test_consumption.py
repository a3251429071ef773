"""What a worker reads, on every broker: codecs, transactions, bombs, logs made anew, records lost, lanes."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewPartitions, NewTopic, RecordsToDelete

from schemas import topics
from schemas.rejection import Reason
from streams.kafka.clients import client_options, consuming
from streams.kafka.decompression import UNPACKED_BYTES
from streams.kafka.faust_worker import Worker
from streams.kafka.records import Record, RefusedBatch
from streams.kafka.topics import administering, create_topics
from streams.local.broker import Broker
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry
from tests.brokers import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]
CODECS = ("gzip", "lz4", "snappy", "zstd")
SOON_S = 30.0


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


@pytest.fixture
def settings(kafka: KafkaBroker) -> Settings:
    """Settings with a group of the test's own."""
    group = uuid.uuid4().hex
    return Settings(
        kafka=kafka.address, group_prefix=group, kafka_session_timeout_s=2, drain_timeout_s=5, _env_file=None
    )


@pytest.fixture
async def topic(settings: Settings) -> str:
    """A topic of the test's own, with one partition."""
    name = f"t{uuid.uuid4().hex}"
    await create(settings, name)
    return name


async def create(settings: Settings, name: str, **configs: str) -> None:
    options = {"max.message.bytes": str(8 << 20)} | configs
    async with administering(settings) as admin:
        created = await admin.create_topics([NewTopic(name, 1, 1, topic_configs=options)])
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


def skip_embedded(kafka: KafkaBroker, why: str) -> None:
    if isinstance(kafka, Broker):
        pytest.skip(f"the embedded broker {why}")


def numbers(start: int, end: int) -> list[bytes]:
    return [b"%d" % i for i in range(start, end)]


@contextlib.asynccontextmanager
async def member(settings: Settings, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer in the group of the role that reads nothing."""
    consumer = AIOKafkaConsumer(
        **client_options(settings), group_id=f"{settings.group_prefix}-guard", enable_auto_commit=False
    )
    consumer.assign([TopicPartition(topic, 0)])
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def committed(settings: Settings, topic: str) -> int | None:
    async with member(settings, topic) as consumer:
        found: int | None = await consumer.committed(TopicPartition(topic, 0))
        return found


async def test_every_codec_is_read(settings: Settings, topic: str) -> None:
    for number, codec in enumerate(CODECS):
        values = numbers(number * 100, number * 100 + 100)
        await publish(settings, topic, values, compression_type=codec)
    async with working(settings, topic) as role:
        await until(lambda: len(role.records) >= 400)
        assert role.values == numbers(0, 400)


async def test_what_the_broker_compresses_is_read(settings: Settings) -> None:
    names = [f"t{uuid.uuid4().hex}" for _ in CODECS]
    for name, codec in zip(names, CODECS, strict=True):
        await create(settings, name, **{"compression.type": codec})
        await publish(settings, name, numbers(0, 50))
    role = Recorder(names[0])
    role.topics = tuple(names)
    async with working(settings, role) as role:
        await until(lambda: len(role.records) >= 200)
        for name in names:
            assert [record.value for record in role.records if record.topic == name] == numbers(0, 50)


async def test_a_bomb_becomes_one_refused_batch_and_reading_goes_on(settings: Settings, topic: str) -> None:
    await publish(settings, topic, [b"before"])
    for codec in CODECS:
        await publish(settings, topic, [b"0" * (UNPACKED_BYTES + 1_000)], compression_type=codec)
        await publish(settings, topic, [codec.encode()], compression_type=codec)
    async with working(settings, topic) as role:
        await until(lambda: len(role.records) >= 9)
        assert role.values == [b"before", None, b"gzip", None, b"lz4", None, b"snappy", None, b"zstd"]
        for offset in (1, 3, 5, 7):
            refused = role.records[offset]
            assert isinstance(refused, RefusedBatch)
            assert (refused.offset, refused.reason) == (offset, Reason.TOO_LARGE)
            assert f"{UNPACKED_BYTES:,}" in refused.detail
        await until(lambda: role.telemetry.health()[1]["lag_messages"] == 0)
    assert await committed(settings, topic) == 9


async def test_large_records_come_in_small_polls(settings: Settings, topic: str) -> None:
    """What a poll holds is bounded: 40 records of 1 MB in one compressed batch are not one poll."""
    values = [bytes([48 + i % 10]) * 800_000 for i in range(39)]
    await publish(settings, topic, values, compression_type="zstd")
    async with working(settings, topic) as role:
        await until(lambda: len(role.records) >= len(values))
        assert role.values == values
        assert max(role.sizes) < 20 << 20


async def test_aborted_transactions_are_not_read_and_markers_are_no_lag(
    settings: Settings, topic: str
) -> None:
    async with working(settings, topic) as role:
        async with producing(settings, transactional_id=uuid.uuid4().hex) as producer:
            async with producer.transaction():
                await producer.send_and_wait(topic, b"kept", partition=0)
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"taken back", partition=0)
            await producer.abort_transaction()
            async with producer.transaction():
                await producer.send_and_wait(topic, b"kept too", partition=0)
        await until(lambda: len(role.records) >= 2)
        assert role.values == [b"kept", b"kept too"]
        await until(
            lambda: role.telemetry.health()[1]["ready"] and not role.telemetry.health()[1]["lag_messages"]
        )
        await asyncio.sleep(2.5)
        assert role.telemetry.health()[1]["lag_messages"] == 0
    assert await committed(settings, topic) == 6, "three records and three markers"


@pytest.mark.parametrize("size", [3, 30])
async def test_a_topic_made_anew_is_read_from_its_start(settings: Settings, topic: str, size: int) -> None:
    """Whether its log is shorter than the old one or has already grown beyond it."""
    await publish(settings, topic, numbers(0, 10))
    async with working(settings, topic) as role:
        await until(lambda: len(role.records) == 10)
        await asyncio.sleep(2.5)  # the positions are committed, and the old log is known
        async with administering(settings) as admin:
            await admin.delete_topics([topic])
            await asyncio.sleep(0.3)
        await create(settings, topic)
        await publish(settings, topic, numbers(100, 100 + size))
        await until(lambda: set(role.values[10:]) == set(numbers(100, 100 + size)))
        await until(lambda: "lost_records" in role.telemetry.health()[1]["degraded"])
        assert role.metric("weir_logs_anew_total") >= 1
        await asyncio.sleep(1.5)
    assert await committed(settings, topic) == size


async def test_a_position_beyond_the_end_is_mended(settings: Settings, topic: str) -> None:
    await publish(settings, topic, numbers(0, 10))
    async with member(settings, topic) as consumer:
        await consumer.commit({TopicPartition(topic, 0): 999_999})
    async with working(settings, topic) as role:
        await until(lambda: role.values[:10] == numbers(0, 10))
        await until(lambda: "lost_records" in role.telemetry.health()[1]["degraded"])
        await asyncio.sleep(1.5)
    assert await committed(settings, topic) == 10


async def test_records_gone_before_they_were_read_are_counted(
    settings: Settings, topic: str, kafka: KafkaBroker
) -> None:
    skip_embedded(kafka, "deletes no records")
    await publish(settings, topic, numbers(0, 10))
    async with working(settings, topic) as role:
        await until(lambda: len(role.records) == 10)
        await asyncio.sleep(1.5)
    await publish(settings, topic, numbers(10, 40))
    async with administering(settings) as admin:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(30)})
    async with working(settings, topic) as role:
        await until(lambda: role.values == numbers(30, 40))
        await until(lambda: role.metric("weir_lost_records_total") == 20)
        assert role.telemetry.health()[1]["degraded"] == ["lost_records"]


async def test_new_partitions_are_read_soon(settings: Settings, topic: str, kafka: KafkaBroker) -> None:
    skip_embedded(kafka, "adds no partitions")
    async with working(settings, topic) as role:
        await until(lambda: role.telemetry.ready)
        async with administering(settings) as admin:
            await admin.create_partitions({topic: NewPartitions(2)})
        async with producing(settings) as producer:
            await producer.send_and_wait(topic, b"new", partition=1)
        await until(lambda: role.values == [b"new"])


class Slow(Recorder):
    """Takes its time for each record, and notes how late each live one is."""

    def __init__(self, *names: str, pace_s: float = 0.002) -> None:
        super().__init__(names[0])
        self.pace_s = pace_s
        self.topics = names
        self.late: dict[bytes, float] = {}
        self.bulk: set[bytes] = set()

    async def handle(self, records: Sequence[Record]) -> bool:
        await asyncio.sleep(self.pace_s * len(records))
        for record in records:
            value = record.value or b""
            if record.topic == topics.EVENTS_BULK:
                self.bulk.add(value)
            else:
                self.late[value] = time.time() - record.timestamp / 1000
        return await super().handle(records)


@pytest.mark.parametrize("pace_s", [0.002, 0.01])
async def test_live_records_do_not_wait_for_bulk_ones(settings: Settings, pace_s: float) -> None:
    await create_topics(settings)
    bulk = {f"{settings.group_prefix}-{i}".encode() for i in range(int(4 / pace_s))}
    live = [f"{settings.group_prefix}-live-{i}".encode() for i in range(15)]
    await publish(settings, topics.EVENTS_BULK, sorted(bulk))
    role = Slow(topics.EVENTS, topics.EVENTS_BULK, pace_s=pace_s)
    async with working(settings, role) as role:
        await until(lambda: role.bulk)
        async with producing(settings) as producer:
            for value in live:
                await producer.send_and_wait(topics.EVENTS, value, partition=0)
                await asyncio.sleep(0.1)
        await until(lambda: set(live) <= set(role.late))
        assert not bulk <= role.bulk, "bulk still waits"
        assert max(role.late[value] for value in live) < 1.5
        await until(lambda: bulk <= role.bulk)
        await until(lambda: role.telemetry.health()[1]["lag_messages"] == 0)


async def test_the_age_of_what_waits_is_told(settings: Settings) -> None:
    await create_topics(settings)
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
