"""Groups, settings of topics and waiting readers, on each kind of broker."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import (
    InvalidConfigurationError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)

from streams.local.broker import Broker
from streams.local.process import free_port
from streams.settings import Settings
from tests.brokers import ApacheKafka, KafkaBroker
from tests.conformance.broker_clients import (
    PARTITIONS,
    administering,
    consuming,
    create,
    ends,
    new_topic,
    producing,
    read,
    send,
)
from tests.harness import everything


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Broker]:
    """An embedded broker of one's own, to kill and to start again."""
    with Broker(free_port(), tmp_path) as running:
        yield running


async def test_a_commit_of_an_older_generation_is_refused(kafka: KafkaBroker) -> None:
    topic = await new_topic(kafka)
    await send(kafka, topic, "a")
    options: dict[str, Any] = {"group_id": f"g-{topic}", "enable_auto_commit": False}
    async with consuming(kafka, topic, **options) as consumer:
        await read(consumer, 1)
        async with consuming(kafka, **options) as outsider:
            outsider.assign([TopicPartition(topic, 0)])
            with pytest.raises(KafkaError):
                await outsider.commit({TopicPartition(topic, 0): 1})


async def test_a_wait_ends_with_the_record(kafka: KafkaBroker) -> None:
    topic = await new_topic(kafka)
    async with producing(kafka) as producer, consuming(kafka, topic, fetch_max_wait_ms=30_000) as consumer:
        await consumer.position(TopicPartition(topic, 0))
        waiting = asyncio.create_task(consumer.getone())
        await asyncio.sleep(0.3)
        began = time.monotonic()
        await producer.send_and_wait(topic, b"x", partition=0)
        await waiting
        assert time.monotonic() - began < 20, "of the 30 s that it may wait"


async def test_topics_with_settings(kafka: KafkaBroker) -> None:
    topic = await new_topic(kafka, max_message_bytes="2000", cleanup_policy="compact")
    async with administering(kafka) as admin:
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    values = {each[0]: each[1] for each in answer.resources[0][4]}
    assert (values["max.message.bytes"], values["cleanup.policy"]) == ("2000", "compact")
    async with producing(kafka) as producer:
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(topic, b"x" * 3_000, key=b"k")
    with pytest.raises(TopicAlreadyExistsError):
        await create(kafka, topic)
    with pytest.raises(InvalidConfigurationError):
        await create(kafka, f"{topic}-b", retention_ms="soon")
    with pytest.raises(InvalidTopicError):
        await create(kafka, "../up")


async def test_a_topic_made_anew_is_empty_and_its_groups_begin_again(kafka: KafkaBroker) -> None:
    topic = await new_topic(kafka)
    await send(kafka, topic, "a", "b", "c")
    part = TopicPartition(topic, 0)
    async with consuming(kafka, group_id=f"g-{topic}", enable_auto_commit=False) as consumer:
        consumer.assign([part])
        await consumer.commit({part: 3})
    async with administering(kafka) as admin:
        await admin.delete_topics([topic])
    async with asyncio.timeout(60):
        while True:
            try:
                await create(kafka, topic)
                break
            except TopicAlreadyExistsError:  # Apache Kafka deletes in the background
                await asyncio.sleep(0.2)
    assert await send(kafka, topic, "new") == [0]
    async with consuming(kafka, topic, group_id=f"g-{topic}") as consumer:
        assert await read(consumer, 1) == ["new"]


async def test_an_unknown_topic_is_not_made(kafka: KafkaBroker) -> None:
    async with administering(kafka) as admin:
        [described] = await admin.describe_topics([f"never-{uuid.uuid4()}"])
    assert described["error_code"] == UnknownTopicOrPartitionError.errno


async def test_partitions_are_added(kafka: KafkaBroker) -> None:
    topic = await new_topic(kafka)
    await send(kafka, topic, "a")
    async with administering(kafka) as admin:
        await admin.create_partitions({topic: NewPartitions(PARTITIONS)})
        async with asyncio.timeout(60):
            while len((await admin.describe_topics([topic]))[0]["partitions"]) != PARTITIONS:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    assert await ends(kafka, topic) == [1, 0, 0]


async def test_records_are_deleted_up_to_an_offset(kafka: KafkaBroker) -> None:
    topic = await new_topic(kafka)
    await send(kafka, topic, *"abcde")
    part = TopicPartition(topic, 0)
    async with administering(kafka) as admin:
        assert await admin.delete_records({part: RecordsToDelete(before_offset=3)}) == {part: 3}
    async with consuming(kafka, topic, start="earliest") as consumer:
        assert await consumer.beginning_offsets([part]) == {part: 3}
        assert await read(consumer, 2) == ["d", "e"]


async def test_a_repeat_of_an_idempotent_producer_is_kept_once(kafka: KafkaBroker) -> None:
    topic = await new_topic(kafka)
    async with producing(kafka, enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, b"a", partition=0)
        # The answer is lost, as it were: the client sends the same sequence again.
        producer._txn_manager._sequence_numbers[TopicPartition(topic, 0)] = 0
        await producer.send_and_wait(topic, b"a", partition=0)
        await producer.send_and_wait(topic, b"b", partition=0)
    assert await ends(kafka, topic, 1) == [2]


async def test_only_committed_transactions_are_read(kafka: KafkaBroker) -> None:
    topic = await new_topic(kafka)
    part, group = TopicPartition(topic, 0), f"g-{topic}"
    producer = producing(kafka, transactional_id=f"id-{topic}")
    async with producer:
        async with producer.transaction():
            await producer.send_and_wait(topic, b"good", partition=0)
            await producer.send_offsets_to_transaction({part: 7}, group)
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"bad", partition=0)
        await producer.send_offsets_to_transaction({part: 9}, group)
        await producer.abort_transaction()
        await send(kafka, topic, "plain")
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"open", partition=0)
        await send(kafka, topic, "behind")
        options = {"isolation_level": "read_committed"}
        async with consuming(kafka, topic, **options) as consumer:
            assert await read(consumer, 3, 1.5) == ["good", "plain"]
            await producer.commit_transaction()
            assert await read(consumer, 2) == ["open", "behind"]
        async with consuming(kafka, topic) as consumer:
            assert await read(consumer, 5) == ["good", "bad", "plain", "open", "behind"]
        async with consuming(kafka, topic, group_id=group) as consumer:
            assert await consumer.committed(part) == 7


async def test_reading_to_the_end_goes_past_markers(kafka: KafkaBroker) -> None:
    topic = await new_topic(kafka)
    async with producing(kafka, transactional_id=f"id-{topic}") as producer, producer.transaction():
        await producer.send_and_wait(topic, b"good", partition=0)
    deadline = time.monotonic() + 60.0
    records: list[Any] = []
    # A commit is answered before its markers are written: until then the end is that of what is committed.
    while not records and time.monotonic() < deadline:
        records = await everything(Settings(_env_file=None, kafka=kafka.address), topic)
    assert [record.value for record in records] == [b"good"]


async def test_a_second_producer_with_the_id_shuts_out_the_first(kafka: KafkaBroker) -> None:
    topic = await new_topic(kafka)
    first = producing(kafka, transactional_id=f"id-{topic}")
    async with first:
        await first.begin_transaction()
        await first.send_and_wait(topic, b"old", partition=0)
        async with producing(kafka, transactional_id=f"id-{topic}") as second, second.transaction():
            await second.send_and_wait(topic, b"new", partition=0)
        with pytest.raises(ProducerFenced):
            await first.commit_transaction()
    async with consuming(kafka, topic, isolation_level="read_committed") as consumer:
        assert await read(consumer, 2, 1.0) == ["new"]


async def test_compaction_keeps_the_last_of_each_key(kafka: KafkaBroker) -> None:
    topic = await new_topic(
        kafka, cleanup_policy="compact", segment_bytes=str(1 << 20), min_cleanable_dirty_ratio="0.01"
    )
    part, turns, keys = TopicPartition(topic, 0), 300, 10
    async with producing(kafka) as producer:
        for turn in range(turns):
            value = b"x" * 1_000 + str(turn).encode()
            batch = [await producer.send(topic, value, key=b"%d" % key, partition=0) for key in range(keys)]
            await asyncio.gather(*batch)
    assert await ends(kafka, topic, 1) == [turns * keys]
    # Apache Kafka's cleaner comes round every 15 s: its log may be whole yet, and is read all the same.
    most = turns * keys if isinstance(kafka, ApacheKafka) else turns * keys // 2
    async with asyncio.timeout(90):
        while True:
            async with consuming(kafka, topic) as consumer:
                [end] = (await consumer.end_offsets([part])).values()
                values = []
                while await consumer.position(part) < end:
                    values += await read(consumer, 1, 1.0)
            if len(values) <= most:
                break
    assert [value[1_000:] for value in values[-keys:]] == [str(turns - 1)] * keys


async def test_a_killed_broker_goes_on_where_it_was(own: Broker) -> None:
    topic = await new_topic(own)
    part = TopicPartition(topic, 0)
    options: dict[str, Any] = {"group_id": "g", "enable_auto_commit": False}
    # This client lives through it, as an app does.
    async with consuming(own, topic, **options) as consumer, producing(own) as producer:
        for n in range(20):
            await producer.send_and_wait(topic, str(n).encode(), partition=0)
        assert len(await read(consumer, 20)) == 20
        await consumer.commit({part: 15})
        own.kill()
        own.start()
        assert (await producer.send_and_wait(topic, b"after", partition=0)).offset == 20
        assert await read(consumer, 1) == ["after"]
    assert await ends(own, topic, 1) == [21]
    async with consuming(own, topic, **options) as consumer:
        assert await consumer.committed(part) == 15
        assert await read(consumer, 6) == ["15", "16", "17", "18", "19", "after"]


async def test_no_offset_is_used_twice_over_kills(own: Broker) -> None:
    topic = await new_topic(own)
    given: list[int] = []
    async with producing(own, acks="all") as producer:
        for _ in range(2):
            batch = [await producer.send(topic, b"x", partition=0) for _ in range(300)]
            own.kill()  # in the middle of it
            own.start()
            given += [record.offset for record in await asyncio.gather(*batch)]
    assert len(set(given)) == len(given) == 600
    [end] = await ends(own, topic, 1)
    async with consuming(own, topic) as consumer:
        assert len(await read(consumer, end)) == end >= 600
