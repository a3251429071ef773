"""Watch commits with its snapshots, and goes on from them wherever its segments move."""

from typing import Any

import msgspec
import pytest

from schemas import codec, topics
from schemas.events import DeadLetter, DriftRecord, Event
from streams.drift import WatchedEvent, WatchedScores
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.watch import Watch
from tests.streams.records import FakeProducer, FakeRecord


def scores(start: int, stop: int) -> list[FakeRecord]:
    """Return scored events whose toxicity rises at 200."""
    return [
        FakeRecord(
            msgspec.json.encode(
                WatchedScores(
                    event=WatchedEvent(event_id=f"e{i}", app="a", kind="prompt"),
                    scores={"toxicity": (0.1 if i < 200 else 0.7) + i % 5 / 100},
                    timestamp=1_000 + i,
                )
            ),
            i,
            topics.SCORES,
            timestamp=1_000 + i,
        )
        for i in range(start, stop)
    ]


def make(producer: FakeProducer, prefix: str = "weir") -> Watch:
    watch = Watch(Settings(group_prefix=prefix, watch_snapshot_s=3600, _env_file=None), Telemetry("watch"))
    fake: Any = producer
    watch._producer = fake

    async def read() -> list[FakeRecord]:
        return [FakeRecord(value, key=key) for key, value in producer.sent.get(topics.STATE, [])]

    async def snapshots() -> dict[bytes, bytes]:
        own = [r for r in await read() if r.key and r.key.startswith(watch._prefix)]
        return {r.key.removeprefix(watch._prefix): r.value for r in own if r.key and r.value}

    watch._read_snapshots = snapshots  # type: ignore[method-assign]
    return watch


def drifts(producer: FakeProducer) -> list[DriftRecord]:
    return [codec.decode(DriftRecord, value) for _, value in producer.sent.get(topics.DRIFT, [])]


async def test_offsets_wait_for_the_next_snapshot() -> None:
    producer = FakeProducer()
    watch = make(producer)
    assert await watch.handle(scores(0, 10)) is True, "the first batch is kept at once"
    states = len(producer.sent[topics.STATE])
    assert await watch.handle(scores(10, 20)) is False
    assert len(producer.sent[topics.STATE]) == states
    assert await watch.handle([]) is True, "idle: nothing may stay pending"
    assert len(producer.sent[topics.STATE]) == states + 1


@pytest.mark.parametrize("cut", [50, 210, 260])
async def test_another_worker_goes_on_where_the_snapshot_is(cut: int) -> None:
    alone, shared = FakeProducer(), FakeProducer()
    await make(alone).handle(scores(0, 400))
    first = make(shared)
    await first.handle(scores(0, cut))
    await first.handle(scores(cut, cut + 30))  # dies before these are in a snapshot
    second = make(shared)
    await second.assigned(frozenset({(topics.SCORES, 0)}))
    await second.handle(scores(0, 400))  # and the commit was behind the snapshot
    assert {r.drift_id: r for r in drifts(shared)} == {r.drift_id: r for r in drifts(alone)}
    assert len(drifts(alone)) > 0


async def test_a_snapshot_that_cannot_be_read_is_not_the_end() -> None:
    producer = FakeProducer()
    watch = make(producer)
    await watch.handle(scores(0, 10))
    key, _ = producer.sent[topics.STATE][0]
    producer.sent[topics.STATE].append((key, b"junk"))
    again = make(producer)
    await again.assigned(frozenset({(topics.SCORES, 0)}))
    assert await again.handle(scores(0, 10))


async def test_what_is_no_scored_event_becomes_a_dead_letter_without_payload() -> None:
    producer = FakeProducer()
    event = Event(event_id="e", app="a", kind="prompt", text="private")
    await make(producer).handle([FakeRecord(codec.encode(event), 0, topics.SCORES), FakeRecord(None, 1)])
    letters = [codec.decode(DeadLetter, value) for _, value in producer.sent[topics.DEAD_LETTERS]]
    assert [letter.payload for letter in letters] == [b"", b""]
