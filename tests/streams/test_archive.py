"""The archive keeps its rows while the store is away, and only the store's word on a row drops one."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from schemas import codec, topics
from schemas.events import DeadLetter, Feedback
from streams import archive
from streams.archive import Archive
from streams.settings import Settings
from streams.store_errors import RetryableStoreError, RowError
from streams.telemetry import Telemetry
from tests.streams.records import FakeProducer, FakeRecord, records_of


class FakeStore:
    """Fails as told, and notes what it is given."""

    def __init__(self, failures: int = 0, poison: str = "") -> None:
        self.failures = failures
        self.poison = poison
        self.inserted: dict[str, list[Any]] = {}
        self.tokens: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def insert(batch: Sequence[Any], token: str) -> None:
            self.tokens.append(token)
            if self.failures:
                self.failures -= 1
                raise RetryableStoreError("away")
            if self.poison and any(getattr(row, "feedback_id", "") == self.poison for row in batch):
                raise RowError("never")
            self.inserted.setdefault(name, []).extend(batch)

        return insert


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "FIRST_DELAY_S", 0.001)


def make(store: FakeStore) -> tuple[Archive, FakeProducer]:
    fake: Any = store
    role = Archive(Settings(_env_file=None), Telemetry("archive"), fake)
    producer: Any = FakeProducer()
    role._producer = producer
    return role, producer


def feedback(*ids: str) -> list[FakeRecord]:
    messages = [
        Feedback(feedback_id=i, event_id="e", app="a", reviewer="r", judgement="correct") for i in ids
    ]
    records = records_of(*messages, topic=topics.FEEDBACK)
    return [dataclasses.replace(record, timestamp=1_763_000_000_000) for record in records]


async def test_a_store_that_is_away_is_asked_again_with_the_same_token() -> None:
    store = FakeStore(failures=3)
    role, producer = make(store)
    assert await role.handle(feedback("a", "b")) is True
    assert [row.feedback_id for row in store.inserted["insert_feedback"]] == ["a", "b"]
    assert len(store.tokens) == 4
    assert len(set(store.tokens)) == 1
    assert not producer.sent[topics.DEAD_LETTERS]


async def test_a_row_that_the_store_refuses_becomes_a_dead_letter_alone() -> None:
    store = FakeStore(poison="c")
    role, producer = make(store)
    assert await role.handle(feedback("a", "b", "c", "d"))
    assert sorted(row.feedback_id for row in store.inserted["insert_feedback"]) == ["a", "b", "d"]
    [(_, value)] = producer.sent[topics.DEAD_LETTERS]
    letter = codec.decode(DeadLetter, value)
    assert (letter.offset, letter.reason) == (2, codec.Reason.STORE_REJECTED.value)


async def test_feedback_without_a_time_gets_kafkas() -> None:
    store = FakeStore()
    role, _ = make(store)
    await role.handle(feedback("a"))
    assert store.inserted["insert_feedback"][0].timestamp == 1_763_000_000_000


async def test_what_is_not_a_message_becomes_a_dead_letter_but_not_for_ever() -> None:
    store = FakeStore()
    role, producer = make(store)
    bad = [FakeRecord(b"{", 0, topics.SCORES), FakeRecord(b"{", 1, topics.DEAD_LETTERS)]
    assert await role.handle(bad)
    letters = [codec.decode(DeadLetter, value) for _, value in producer.sent[topics.DEAD_LETTERS]]
    assert [letter.topic for letter in letters] == [topics.SCORES]


async def test_the_same_records_have_the_same_token_and_others_another() -> None:
    store = FakeStore()
    role, _ = make(store)
    for records in (feedback("a", "b"), feedback("a", "b"), feedback("a")):
        await role.handle(records)
    one, same, other = store.tokens
    assert one == same != other
