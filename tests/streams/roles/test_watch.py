"""Watch commits with its snapshots, and goes on from them wherever its segments move."""

import gc
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from typing import Any

import msgspec
import pytest

from schemas import codec, topics
from schemas.drift import DriftRecord
from schemas.events import DeadLetter, Event
from streams.monitors.settings import LEAST_ENTITIES
from streams.monitors.snapshots import Newest
from streams.monitors.state_topic import Snapshot
from streams.monitors.usage_view import UsageView
from streams.monitors.watched import WatchedEvent, WatchedScores
from streams.roles.watch import SNAPSHOT_MAX_S, STATE_BYTES_PER_S, Watch
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry
from tests.streams.records import FakeProducer, FakeRecord

OURS = frozenset({(topics.SCORES, 0)})


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


class FakeState:
    """Remembers the snapshots, of all workers that share it."""

    def __init__(self) -> None:
        self.topic: list[Snapshot] = []

    async def partitions(self, topic: str) -> int:
        return 1

    async def write(self, found: Iterable[Snapshot], ours: Callable[[], Awaitable[bool]]) -> bool:
        if not await ours():
            return False
        self.topic += found
        return True

    async def read(self, assigned: frozenset[int], partitions: int) -> Newest:
        newest = Newest(assigned, partitions)
        for place, key, value in self.topic:
            newest.offer(place, key, value)
        return newest


def make(producer: FakeProducer, state: FakeState | None = None) -> Watch:
    watch = Watch(Settings(watch_snapshot_s=3600, _env_file=None), Telemetry("watch"))
    watch._clock = count().__next__  # each look at the clock is a second later
    fakes: Any = producer, state or FakeState()
    watch._producer, watch._state = fakes
    return watch


def drifts(producer: FakeProducer) -> list[DriftRecord]:
    return [codec.decode(DriftRecord, value) for _, value in producer.sent.get(topics.DRIFT, [])]


async def test_offsets_wait_for_the_next_snapshot() -> None:
    state = FakeState()
    watch = make(FakeProducer(), state)
    assert await watch.handle(scores(0, 10)) is True, "the first batch is kept at once"
    written = len(state.topic)
    assert await watch.handle(scores(10, 20)) is False
    assert len(state.topic) == written
    assert await watch.handle([]) is True, "idle: nothing may stay pending"
    assert len(state.topic) == 2 * written


@pytest.mark.parametrize("cut", [50, 210, 260])
async def test_another_worker_goes_on_where_the_snapshot_is(cut: int) -> None:
    alone, shared, state = FakeProducer(), FakeProducer(), FakeState()
    await make(alone).handle(scores(0, 400))
    first = make(shared, state)
    await first.handle(scores(0, cut))
    await first.handle(scores(cut, cut + 30))  # dies before these are in a snapshot
    second = make(shared, state)
    await second.assigned(OURS)
    await second.handle(scores(0, 400))  # and the commit was behind the snapshot
    assert {r.drift_id: r for r in drifts(shared)} == {r.drift_id: r for r in drifts(alone)}
    assert len(drifts(alone)) > 0


async def test_what_a_guard_publishes_again_is_not_used_twice() -> None:
    producer = FakeProducer()
    watch = make(producer)
    again = scores(0, 20)
    for number, record in enumerate(again):
        record.offset, record.timestamp = 20 + number, 2_000 + number
    await watch.handle([*scores(0, 20), *again])
    view = UsageView(LEAST_ENTITIES)
    assert view.take([value for _, value in producer.sent[topics.USAGE]]) == 0
    asked = Event(event_id="e", app="a", kind="prompt", text="")
    assert view(["app_events_1d"], [asked], 2_000)["app_events_1d"].tolist() == [20.0]


async def test_no_snapshot_is_written_once_the_partitions_are_anothers() -> None:
    state = FakeState()
    watch = make(FakeProducer(), state)

    async def lost() -> bool:
        return False

    watch.holds = lost
    assert await watch.handle(scores(0, 10)) is False, "and nothing is committed"
    assert state.topic == []
    del watch.holds
    watch.holds = make(FakeProducer()).holds
    watch._snapshot_at = 0.0
    assert await watch.handle([]) is True
    assert state.topic, "what was not written is not forgotten"


async def test_a_snapshot_that_cannot_be_read_is_counted_and_not_the_end() -> None:
    state = FakeState()
    await make(FakeProducer(), state).handle(scores(0, 10))
    state.topic = [(place, key, b"junk") for place, key, _ in state.topic]
    again = make(FakeProducer(), state)
    await again.assigned(OURS)
    assert again._telemetry.registry.get_sample_value("weir_states_unreadable_total") == len(state.topic)
    assert await again.handle(scores(0, 10))


async def test_nobody_looks_for_garbage_among_what_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = make(FakeProducer())
    looked = []

    def restore(newest: Newest) -> None:
        looked.append(gc.isenabled())
        raise MemoryError

    monkeypatch.setattr(watch._monitor, "restore", restore)
    with pytest.raises(MemoryError):
        await watch.assigned(OURS)
    assert looked == [False]
    assert gc.isenabled()


def test_snapshots_become_rarer_rather_than_more() -> None:
    watch = make(FakeProducer())

    def waits(size: int, *, idle: bool, draining: bool = False) -> float:
        watch._size, watch.draining, watch._snapshot_at = size, draining, 1e9
        pauses = (s for s in range(10_000) if _at(watch, 1e9 + s, idle=idle))
        return next(pauses)

    assert waits(1_000, idle=True) == 1
    assert waits(1_000, idle=False) == watch._settings.watch_snapshot_s
    assert waits(10 * STATE_BYTES_PER_S, idle=True) == 10
    assert waits(10_000 * STATE_BYTES_PER_S, idle=True) == SNAPSHOT_MAX_S
    assert waits(10_000 * STATE_BYTES_PER_S, idle=False, draining=True) == 0


def _at(watch: Watch, now: float, *, idle: bool) -> bool:
    watch._clock = lambda: now
    return watch._is_time(idle=idle)


async def test_what_is_no_scored_event_becomes_a_dead_letter_without_payload() -> None:
    producer = FakeProducer()
    event = Event(event_id="e", app="a", kind="prompt", text="private")
    await make(producer).handle([FakeRecord(codec.encode(event), 0, topics.SCORES), FakeRecord(None, 1)])
    letters = [codec.decode(DeadLetter, value) for _, value in producer.sent[topics.DEAD_LETTERS]]
    assert [letter.payload for letter in letters] == [b"", b""]
