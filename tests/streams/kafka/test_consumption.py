"""What a worker reads, on every broker: codecs, transactions, bombs, logs made anew, records lost, lanes."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.rejection import Reason
from streams.kafka.clients import client_options, consuming
from streams.kafka.decompression import UNPACKED_BYTES
from streams.kafka.fetcher import BoundedFetcher
from streams.kafka.records import RefusedBatch
from streams.kafka.topics import administering
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

pytestmark = pytest.mark.kafka


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


async def until_committed(settings: Settings, topic: str, offset: int) -> None:
    async with asyncio.timeout(SOON_S):
        while await committed(settings, topic) != offset:  # noqa: ASYNC110 (the broker tells nobody)
            await asyncio.sleep(0.1)


async def create_anew(settings: Settings, topic: str) -> None:
    async with administering(settings) as admin:
        await admin.delete_topics([topic])
        async with asyncio.timeout(SOON_S):
            # Apache Kafka deletes in the background.
            while topic in await admin.list_topics():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    await create(settings, topic)


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


async def test_headers_are_not_kept(settings: Settings, topic: str) -> None:
    """Limits count keys and values: what is in a poll beside them is unlimited."""
    async with producing(settings, compression_type="gzip") as producer:
        for value in numbers(0, 8):
            await producer.send(topic, value, headers=[("h", bytes(1 << 20))])
        await producer.flush()
    async with working(settings, topic) as role:
        await until(lambda: len(role.records) >= 8)
        assert role.values == numbers(0, 8)
        assert [record.headers for record in role.records] == [()] * 8


async def test_a_poll_holds_no_more_records_than_are_asked_for(settings: Settings, topic: str) -> None:
    await publish(settings, topic, numbers(0, 40), compression_type="gzip")
    async with consuming(settings, topic) as consumer:
        polls: list[list[bytes]] = []
        while sum(map(len, polls)) < 40:
            fetched = await consumer.getmany(timeout_ms=1_000, max_records=7)
            polls += [[record.value for record in records] for records in fetched.values()]
    assert [value for poll in polls for value in poll] == numbers(0, 40)
    assert max(map(len, polls)) == 7


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
async def test_a_topic_made_anew_is_read_from_its_start(
    settings: Settings, topic: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its log is shorter than the old one or has already grown beyond it."""
    check, checked = BoundedFetcher.check_ids, list[BoundedFetcher]()

    async def noting(self: BoundedFetcher) -> None:
        await check(self)
        checked.append(self)

    monkeypatch.setattr(BoundedFetcher, "check_ids", noting)
    await publish(settings, topic, numbers(0, 10))
    async with working(settings, topic) as role:
        await until(lambda: len(role.records) == 10)
        await until_committed(settings, topic, 10)
        known = len(checked)
        await until(lambda: len(checked) > known)  # the old log, by its id
        await create_anew(settings, topic)
        await publish(settings, topic, numbers(100, 100 + size))
        await until(lambda: set(role.values[10:]) == set(numbers(100, 100 + size)))
        await until(lambda: "lost_records" in role.telemetry.health()[1]["degraded"])
        await until(lambda: role.metric("weir_logs_anew_total") >= 1)
        await until_committed(settings, topic, size)
    assert await committed(settings, topic) == size


async def test_a_position_beyond_the_end_is_mended(settings: Settings, topic: str) -> None:
    await publish(settings, topic, numbers(0, 10))
    async with member(settings, topic) as consumer:
        await consumer.commit({TopicPartition(topic, 0): 999_999})
    async with working(settings, topic) as role:
        await until(lambda: role.values[:10] == numbers(0, 10))
        await until(lambda: "lost_records" in role.telemetry.health()[1]["degraded"])
        await until_committed(settings, topic, 10)
    assert await committed(settings, topic) == 10
