"""Notify on a real broker: where it goes on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from schemas import codec, topics
from schemas.alerts import AlertChange
from schemas.events import Alert
from streams.alerts import memory
from streams.alerts.delivery import Delivery, Problems
from streams.alerts.routes import Route
from streams.kafka.clients import producing, read_to_end
from streams.kafka.topics import administering, create_topics
from streams.roles import notify
from streams.roles.notify import Notify
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry
from tests.brokers import KafkaBroker

pytestmark = pytest.mark.kafka


@contextlib.asynccontextmanager
async def notifying(settings: Settings) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    running = asyncio.create_task(Notify(settings, Telemetry("notify"), []).run(stopping))
    try:
        yield
    finally:
        stopping.set()
        await running


async def publish(settings: Settings, *rules: str) -> None:
    alerts = [
        Alert(
            alert_id=f"{rule}-1", source="guard", severity="high", rule=rule, title="t", timestamp=1, app="a"
        )
        for rule in rules
    ]
    async with producing(settings) as producer:
        await producer.send(topics.ALERTS, [(b"one", codec.encode(alert)) for alert in alerts])


async def until_told(settings: Settings, *rules: str) -> None:
    async with asyncio.timeout(60):
        while True:
            found = [record.value async for record in read_to_end(settings, topics.ALERT_STATES)]
            if {codec.decode(AlertChange, value).rule for value in found} >= set(rules):
                return
            await asyncio.sleep(0.1)


async def test_alerts_of_a_topic_made_anew_while_it_was_away_are_told(kafka: KafkaBroker) -> None:
    settings = Settings(
        kafka=kafka.address, group_prefix="anew", kafka_session_timeout_s=3, alert_wait_s=0.1, _env_file=None
    )
    await create_topics(settings)
    async with notifying(settings):
        await publish(settings, "first")
        await until_told(settings, "first")
    async with administering(settings) as admin:
        await admin.delete_topics([topics.ALERTS])
        async with asyncio.timeout(60):
            while topics.ALERTS in await admin.list_topics():  # noqa: ASYNC110 (deleted in the background)
                await asyncio.sleep(0.1)
    await create_topics(settings)
    await publish(settings, "second", "third")
    async with notifying(settings):
        await until_told(settings, "second", "third")


@pytest.mark.parametrize("question", ["end_offsets", "offsets_for_times"])
async def test_an_alert_that_comes_while_it_asks_where_to_begin_is_told(
    kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    prefix = f"begins-{question.replace('_', '-')}"
    settings = Settings(kafka=kafka.address, group_prefix=prefix, alert_wait_s=0.1, _env_file=None)
    await create_topics(settings)
    monkeypatch.setattr(notify, "FIRST_LOOK_MS", 0)  # what other tests have published is too old
    ask = getattr(AIOKafkaConsumer, question)

    async def ask_and_publish(consumer: AIOKafkaConsumer, asked: Any) -> Any:
        answer = await ask(consumer, asked)
        monkeypatch.undo()
        await publish(settings, prefix)
        return answer

    monkeypatch.setattr(AIOKafkaConsumer, question, ask_and_publish)
    async with notifying(settings):
        await until_told(settings, prefix)


async def test_who_begins_longer_than_a_session_lasts_keeps_its_place(
    kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        kafka=kafka.address, group_prefix="slow", kafka_session_timeout_s=3, alert_wait_s=0.1, _env_file=None
    )
    await create_topics(settings)
    begun: list[Settings] = []
    read = memory.read

    async def read_slowly(of: Settings) -> memory.Snapshot | None:
        begun.append(of)
        await asyncio.sleep(5)
        return await read(of)

    monkeypatch.setattr(memory, "read", read_slowly)
    async with notifying(settings):
        await publish(settings, "slow")
        await until_told(settings, "slow")
    assert len(begun) == 1


async def test_a_new_route_begins_with_what_comes_also_where_the_consumer_is_quicker(
    kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(kafka=kafka.address, group_prefix="new-route", _env_file=None)
    await create_topics(settings)
    ask = AIOKafkaConsumer.end_offsets

    async def ask_late(consumer: AIOKafkaConsumer, asked: Any) -> Any:
        for each in asked:
            await consumer.position(each)  # until it has one: nothing is committed, so that of the beginning
        return await ask(consumer, asked)

    monkeypatch.setattr(AIOKafkaConsumer, "end_offsets", ask_late)
    route = Route.model_validate({"name": "new", "webhook": {"url": "http://127.0.0.1:9/"}})
    telemetry = Telemetry("notify")
    async with producing(settings) as producer:
        await producer.send(topics.ALERT_STATES, [(b"%d" % number, b"{}") for number in range(50)])
        count = partial(producer.partitions, topics.ALERT_STATES)
        delivery = Delivery(route, settings, telemetry, Problems(telemetry), count)
        await delivery.start()
        try:
            assert await delivery._waiting() == 0
            assert not await delivery._step()
        finally:
            await delivery.stop()
