"""`llm.usage` on real brokers: guard and gate know what was there at their start, and what comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from schemas import topics
from schemas.events import Event
from streams.kafka.clients import BatchProducer, producing
from streams.kafka.following import Take
from streams.kafka.topics import create_topics
from streams.monitors import usage_topic
from streams.monitors.settings import LEAST_ENTITIES
from streams.monitors.usage import UsageMonitor
from streams.monitors.usage_topic import UsageReader
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry
from tests.brokers import KafkaBroker
from tests.streams.monitors.test_usage import counted
from tests.streams.records import NOW_MS

EVENT = Event(event_id="e", app="a", kind="prompt", text="", user="u", tenant="t")
NAME = "user_injections_1h"


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[tuple[UsageReader, Telemetry]]:
    telemetry = Telemetry("guard")
    reader = UsageReader(settings, LEAST_ENTITIES, telemetry, lambda: True)
    task = asyncio.create_task(reader.run())
    try:
        await reader.ready()
        yield reader, telemetry
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def known(reader: UsageReader) -> float:
    return float(reader.view([NAME], [EVENT], NOW_MS)[NAME][0])


@pytest.mark.kafka
async def test_what_watch_wrote_is_known(kafka: KafkaBroker) -> None:
    settings = Settings(kafka=kafka.address, group_prefix="mine", _env_file=None)
    await create_topics(settings)
    monitor = UsageMonitor(LEAST_ENTITIES, 0.9)

    async def write(producer: BatchProducer, prefix: str, start: int, stop: int) -> None:
        found = monitor.update([counted(n, injection=1.0) for n in range(start, stop)], 1)
        messages = [(f"{prefix}\0".encode() + key, value) for key, value in found]
        await producer.send(topics.USAGE, [*messages, (messages[0][0], b"junk")])

    async with producing(settings) as producer:
        await write(producer, "mine", 0, 3)
        async with reading(settings) as (reader, telemetry):
            assert known(reader) == 3, "it waits until it has read to the end"
            await write(producer, "mine", 3, 5)
            while known(reader) < 5:  # noqa: ASYNC110 -- the time limit of the test ends it
                await asyncio.sleep(0.01)
            await write(producer, "others", 5, 9)
            await write(producer, "mine", 9, 10)
            while known(reader) == 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert telemetry.health()[1]["degraded"] == []
            assert telemetry.registry.get_sample_value("weir_states_unreadable_total") == 3
            assert telemetry.registry.get_sample_value("weir_usage_entities") == len(reader.view)


async def test_a_policy_that_asks_later_is_not_held_to_be_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, reached = asyncio.Event(), asyncio.Event()

    async def follow(settings: Settings, topic: str, take: Take, failed: object) -> None:
        reached.set()
        await take([], False)
        assert telemetry.health()[1]["degraded"] == ["usage"]
        await take([], True)

    monkeypatch.setattr(usage_topic, "follow", follow)
    telemetry = Telemetry("guard")
    reader = UsageReader(Settings(_env_file=None), LEAST_ENTITIES, telemetry, asked.is_set)
    task = asyncio.create_task(reader.run())
    await reader.ready()
    assert telemetry.health()[1]["degraded"] == [], "nobody asks"
    asked.set()
    await task
    assert reached.is_set()
    assert telemetry.health()[1]["degraded"] == []


async def test_without_a_broker_a_start_goes_on_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_topic, "CATCH_UP_S", 0.05)
    settings = Settings(kafka="127.0.0.1:1", kafka_start_timeout_s=1, _env_file=None)
    async with reading(settings) as (reader, telemetry):
        assert known(reader) == 0
        assert telemetry.health()[1]["degraded"] == ["usage"]
