"""The archive keeps its rows while the store is away, and only the store's word on a row drops one."""

import asyncio
import dataclasses
import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec, topics
from schemas.events import Alert, DeadLetter, Decision, Event, Feedback, ScoredEvent
from schemas.policy import PolicyChange
from streams.kafka.dead_letters import TooManyDeadLetters
from streams.roles import archive
from streams.roles.archive import Archive, _pieces
from streams.settings import Settings
from streams.store.client import Store
from streams.store.errors import RetryableStoreError, RowError
from streams.telemetry.metrics import Telemetry
from tests.streams.records import FakeProducer, FakeRecord, records_of


class FakeStore:
    """Fails as told, and notes what it is given."""

    def __init__(self, failures: int = 0, poison: str = "", changed: int = 0) -> None:
        self.failures = failures
        self.poison = poison
        self.changed = changed
        """Inserts that are refused whole, as by a table whose columns were changed."""
        self.sizes: list[int] = []
        self.inserted: dict[type, list[Any]] = {}
        self.tokens: list[str] = []

    def insert(self, batch: Sequence[Any], token: str) -> None:
        self.tokens.append(token)
        if self.failures:
            self.failures -= 1
            raise RetryableStoreError("away")
        if self.changed:
            self.changed -= 1
            raise RowError("a value does not fit its column")
        if self.poison and any(getattr(row, "feedback_id", "") == self.poison for row in batch):
            raise RowError("never")
        self.sizes.append(len(batch))
        self.inserted.setdefault(type(batch[0]), []).extend(batch)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "FIRST_DELAY_S", 0.001)


def make(store: FakeStore | Store, **settings: Any) -> tuple[Archive, FakeProducer]:
    fake: Any = store
    role = Archive(Settings(_env_file=None, **settings), Telemetry("archive"), fake)
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
    assert [row.feedback_id for row in store.inserted[Feedback]] == ["a", "b"]
    assert len(store.tokens) == 4
    assert len(set(store.tokens)) == 1
    assert not producer.sent.get(topics.DEAD_LETTERS)


async def test_a_row_that_the_store_refuses_becomes_a_dead_letter_alone() -> None:
    store = FakeStore(poison="c")
    role, producer = make(store)
    assert await role.handle(feedback("a", "b", "c", "d"))
    assert sorted(row.feedback_id for row in store.inserted[Feedback]) == ["a", "b", "d"]
    [(_, value)] = producer.sent[topics.DEAD_LETTERS]
    letter = codec.decode(DeadLetter, value)
    assert (letter.offset, letter.reason) == (2, codec.Reason.STORE_REJECTED.value)


async def test_feedback_without_a_time_gets_kafkas() -> None:
    store = FakeStore()
    role, _ = make(store)
    await role.handle(feedback("a"))
    assert store.inserted[Feedback][0].timestamp == 1_763_000_000_000


async def test_it_looks_what_reviews_ask_for_once_their_words_and_changes_of_the_policy_are_written() -> None:
    store = FakeStore()
    role, _ = make(store)
    looks: list[set[type]] = []
    role._reviews.look = lambda: looks.append(set(store.inserted))  # type: ignore[method-assign]
    back = PolicyChange(change_id="r", what="restored", timestamp=1, by="ann", rule="inj")
    await role.handle(records_of(back, topic=topics.POLICY))
    await role.handle(feedback("a"))
    await role.handle([FakeRecord(b"{", 0, topics.SCORES)])
    assert looks == [{PolicyChange}, {PolicyChange, Feedback}]


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


def degraded(role: Archive) -> list[str]:
    found: list[str] = role._telemetry.health()[1]["degraded"]
    return found


async def test_health_says_why_rows_are_kept_for_as_long_as_they_are() -> None:
    store = FakeStore(failures=1_000_000)
    role, _ = make(store)
    writing = asyncio.create_task(role.handle(feedback("text of a user")))
    while not degraded(role):  # noqa: ASYNC110 (health has no event)
        await asyncio.sleep(0.001)
    assert role._telemetry.health()[1]["problems"] == {"store": "away"}
    store.failures = 0
    await writing
    assert role._telemetry.health()[1]["problems"] == {}


async def test_rows_are_kept_when_it_is_the_table_that_was_changed() -> None:
    store = FakeStore(changed=200)
    role, producer = make(store, dlq_max_run=5)
    seen = set()

    async def looking() -> None:
        while True:
            seen.update(degraded(role))
            await asyncio.sleep(0.001)

    watching = asyncio.create_task(looking())
    ids = [f"f{number}" for number in range(200)]
    assert await role.handle(feedback(*ids))
    watching.cancel()
    assert sorted(row.feedback_id for row in store.inserted[Feedback]) == sorted(ids)
    assert not producer.sent.get(topics.DEAD_LETTERS)
    assert seen == {"store"}
    assert degraded(role) == []


async def test_refused_rows_count_for_the_limit_and_stop_the_worker_that_asked_for_it() -> None:
    store = FakeStore(poison="bad")
    role, _ = make(store, dlq_max_run=2)
    await role.handle(feedback("a", "bad", "bad", "b"))
    with pytest.raises(TooManyDeadLetters, match="in a row"):
        await role.handle(feedback("a", "bad", "bad", "bad"))


async def test_a_flood_of_refused_rows_is_told_and_stops_nothing() -> None:
    role, producer = make(FakeStore(poison="bad"), dlq_flood=10)
    assert await role.handle(feedback("good", *["bad"] * 100))
    letters = [codec.decode(DeadLetter, value) for _, value in producer.sent[topics.DEAD_LETTERS]]
    assert len(letters) == 11
    assert sum(1 + len(letter.repeats) for letter in letters) == 100
    [(_, value)] = producer.sent[topics.ALERTS]
    alert = codec.decode(Alert, value)
    assert (alert.source, alert.severity) == ("archive", "critical")
    assert degraded(role) == ["dead_letters"]


async def test_a_dead_letter_that_is_refused_does_not_become_another() -> None:
    class Refusing(FakeStore):
        def insert(self, batch: Sequence[Any], token: str) -> None:
            if isinstance(batch[0], DeadLetter):
                raise RowError("never")

    role, producer = make(Refusing())
    letter = DeadLetter(
        dead_letter_id="d", topic="t", partition=0, offset=1, timestamp=1, reason="empty", detail="", size=0
    )
    assert await role.handle(records_of(letter, topic=topics.DEAD_LETTERS))
    assert not producer.sent.get(topics.DEAD_LETTERS)
    registry = role._telemetry.registry
    assert registry.get_sample_value("weir_dead_letters_total", {"reason": "store_rejected"}) == 1


async def test_a_bug_of_ours_ends_the_archive_and_is_no_dead_letter() -> None:
    class Buggy(FakeStore):
        def insert(self, batch: Sequence[Any], token: str) -> None:
            raise KeyError("ours")

    role, producer = make(Buggy())
    with pytest.raises(KeyError):
        await role.handle(feedback("a"))
    assert not producer.sent.get(topics.DEAD_LETTERS)


async def test_a_metric_that_cannot_be_a_column_is_refused_when_it_is_read() -> None:
    decision = Decision(
        decision_id="d", event_id="e", app="a", kind="prompt", verdict="allow", action="allow"
    )
    scored = ScoredEvent(
        event=Event(event_id="e", app="a", kind="prompt", text=""), scores={"x; DROP": 1.0},
        decision=decision, timestamp=1,
    )  # fmt: skip
    store = FakeStore()
    role, producer = make(store)
    assert await role.handle(records_of(scored, topic=topics.SCORES))
    letter = codec.decode(DeadLetter, producer.sent[topics.DEAD_LETTERS][0][1])
    assert letter.reason == codec.Reason.INVALID_VALUE
    assert "DROP" not in letter.detail
    assert not store.inserted


async def test_what_a_guard_of_tomorrow_says_becomes_rows(clickhouse: str) -> None:
    golden = Path(__file__).parents[2] / "schemas" / "golden" / "tomorrow.json"
    messages = json.loads(golden.read_text("utf-8"))
    store = Store(clickhouse, database=f"test_{uuid.uuid4().hex}")
    store.migrate(["toxicity"])
    role, producer = make(store)
    assert await role.handle([FakeRecord(json.dumps(m).encode(), 0, topic) for topic, m in messages.items()])
    assert producer.sent.get(topics.DEAD_LETTERS) is None
    words = "verdict, action, severity, rule_actions, rule_severities, rule_modes, storage"
    assert store.query(f"SELECT {words} FROM events").rows == [
        ("quarantine", "throttle", "fatal", ["quarantine"], ["fatal"], ["canary"], "encrypted")
    ]
    alert = store.query("SELECT source, severity, action, mode FROM alerts").rows
    assert alert == [("gate", "fatal", "throttle", "canary")]
    store.client.command(f"DROP DATABASE {store.database}")
    store.close()


async def test_blocks_are_bounded_in_bytes_and_messages_are_let_go_of() -> None:
    big = [
        Alert(
            alert_id=f"a{number}",
            source="guard",
            severity="low",
            rule="r",
            title="x" * 20_000,
            timestamp=1,
            app="a",
        )
        for number in range(40)
    ]
    store = FakeStore()
    role, _ = make(store, archive_bytes=100_000)
    assert await role.handle(records_of(*big, topic=topics.ALERTS))
    assert store.inserted[Alert] == big
    assert max(store.sizes) == 4


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 10), st.integers(1, 100))
def test_pieces_hold_everything_in_order(sizes: list[int], most: int, most_bytes: int) -> None:
    records = [FakeRecord(bytes(size), offset) for offset, size in enumerate(sizes)]
    pieces = list(_pieces(records, most, most_bytes))
    assert [record for piece in pieces for record in piece] == records
    for piece in pieces:
        assert 1 <= len(piece) <= most
        assert len(piece) == 1 or sum(len(record.value or b"") for record in piece) <= most_bytes
