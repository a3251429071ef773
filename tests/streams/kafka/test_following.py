"""Who keeps a topic in mind has all of it, whatever is done to the topic meanwhile."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import NewPartitions
from aiokafka.structs import ConsumerRecord

from streams.kafka import clients, fetcher
from streams.kafka.fetcher import BoundedFetcher
from streams.kafka.following import follow
from streams.kafka.topics import administering
from streams.settings import Settings
from tests.streams.kafka.test_consumption import create_anew
from tests.streams.kafka.working import numbers, producing, publish, until

pytestmark = pytest.mark.kafka


class Mind:
    """What was read since it failed last, and how often that was."""

    def __init__(self) -> None:
        self.values: set[bytes] = set()
        self.failures = 0

    async def take(self, records: list[ConsumerRecord], _is_all: bool) -> None:
        self.values |= {record.value for record in records}

    def failed(self) -> None:
        self.values.clear()
        self.failures += 1


@contextlib.asynccontextmanager
async def following(settings: Settings, topic: str) -> AsyncIterator[Mind]:
    mind = Mind()
    reading = asyncio.create_task(follow(settings, topic, mind.take, mind.failed))
    try:
        yield mind
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[BoundedFetcher]:
    """Who has looked at the ids of its topics; clients look often."""
    check, found = BoundedFetcher.check_ids, list[BoundedFetcher]()

    async def noting(self: BoundedFetcher) -> None:
        await check(self)
        found.append(self)

    monkeypatch.setattr(BoundedFetcher, "check_ids", noting)
    monkeypatch.setattr(clients, "METADATA_S", 0.5)
    monkeypatch.setattr(fetcher, "CHECK_S", 0.5)
    return found


@pytest.mark.parametrize("size", [3, 30])
async def test_a_topic_made_anew_is_what_is_kept_in_mind(
    settings: Settings, topic: str, size: int, checked: list[BoundedFetcher]
) -> None:
    """Whether its log is shorter than the old one or has already grown beyond it."""
    await publish(settings, topic, numbers(0, 10))
    async with following(settings, topic) as mind:
        await until(lambda: mind.values == set(numbers(0, 10)))
        known = len(checked)
        await until(lambda: len(checked) > known)  # the old log, by its id
        await create_anew(settings, topic)
        await publish(settings, topic, numbers(100, 100 + size))
        await until(lambda: mind.values == set(numbers(100, 100 + size)))
        assert mind.failures >= 1


async def test_partitions_that_are_added_are_read(
    settings: Settings, topic: str, checked: list[BoundedFetcher]
) -> None:
    await publish(settings, topic, numbers(0, 3))
    async with following(settings, topic) as mind:
        await until(lambda: mind.values == set(numbers(0, 3)))
        async with administering(settings) as admin:
            await admin.create_partitions({topic: NewPartitions(2)})
        async with producing(settings) as producer:
            await producer.send_and_wait(topic, b"new", partition=1)
        await until(lambda: mind.values == {*numbers(0, 3), b"new"})
