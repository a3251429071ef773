"""How much a worker asks for at once."""

import uuid
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from schemas import topics
from streams.kafka.poll_fetcher import AHEAD_BYTES, ANSWER_BYTES, PARTITION_BYTES, PollFetcher
from streams.settings import Settings
from tests.streams.kafka.working import create_topic, producing, until, working


@pytest.mark.kafka
async def test_large_records_come_several_in_an_answer(
    settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one each costs a round trip, and the broker sends the beginning of the next one for nothing."""
    answers: list[bool] = []
    original = Fetcher._proc_fetch_request

    async def counted(self: Any, *arguments: Any) -> bool:
        brought: bool = await original(self, *arguments)
        answers.append(brought)
        return brought

    monkeypatch.setattr(Fetcher, "_proc_fetch_request", counted)
    values = [b"%d" % number * 800_000 for number in range(10)]
    async with producing(settings) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)  # a batch each
    async with working(settings, topic) as role:
        await until(lambda: len(role.records) >= len(values))
        assert role.values == values
    assert sum(answers) <= len(values) / 2


class Answer(FetchResult):  # type: ignore[misc]
    """An answer that waits."""

    def __init__(self, size: int) -> None:
        self._partition_records: Any = self
        self._records = self
        self.size = size


def asked(monkeypatch: pytest.MonkeyPatch, held: dict[str, int]) -> dict[str, int]:
    """Return by topic what is asked for while so many bytes are held."""
    wanted = [(topic, [(0, 0, PARTITION_BYTES)]) for topic in (topics.EVENTS, topics.EVENTS_BULK)]
    actions: Any = ([(0, FetchRequest(200, 1, ANSWER_BYTES, 0, wanted))], {}, 0.1, False, [])
    monkeypatch.setattr(Fetcher, "_get_actions_per_node", lambda *_: actions)
    fetcher: Any = object.__new__(PollFetcher)
    fetcher._served = {}
    fetcher._records = {TopicPartition(topic, 1): Answer(size) for topic, size in held.items()}
    ((_, request),) = fetcher._get_actions_per_node(None)[0]
    return {topic: size for topic, ((_, _, size),) in request.topics}


def test_much_is_asked_for_only_while_little_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.kafka.poll_fetcher.FetchResult", Answer)
    little = {topics.EVENTS: AHEAD_BYTES, topics.EVENTS_BULK: PARTITION_BYTES}
    assert asked(monkeypatch, {}) == little
    assert asked(monkeypatch, {topics.EVENTS: ANSWER_BYTES - 1}) == little
    assert asked(monkeypatch, {topics.EVENTS_BULK: 2 * ANSWER_BYTES}) == little
    assert set(asked(monkeypatch, {topics.EVENTS: ANSWER_BYTES}).values()) == {PARTITION_BYTES}


@pytest.mark.kafka
async def test_partitions_take_turns(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker fills an answer with the first ones: who is in one that is drawn last waits for all others."""
    monkeypatch.setattr("random.shuffle", lambda each: each.sort())  # as chance may have it
    name = f"t{uuid.uuid4().hex}"
    await create_topic(settings, NewTopic(name, 4, 1))
    async with producing(settings) as producer:
        for partition in range(4):
            for _ in range(16):
                await producer.send_and_wait(name, b"x" * 800_000, partition=partition)
    async with working(settings, name) as role:
        await until(lambda: len(role.records) >= 64)
    assert {record.partition for record in role.records[:32]} == {0, 1, 2, 3}
