"""Restored segments: they take little until their next event, and then go on where they were."""

import tracemalloc
from typing import Any

from streams.monitors import snapshots
from streams.monitors.drift import DriftMonitor
from streams.monitors.snapshots import Newest, Segment
from streams.monitors.watched import WatchedEvent, WatchedScores
from tests.streams.records import FakeRecord

METRICS = tuple(f"metric{n}" for n in range(12))
SEGMENTS = 20


def monitor(most: int = 100) -> DriftMonitor:
    return DriftMonitor(METRICS, 200_000, 64, most)


def feed(watcher: DriftMonitor, first: int, segments: int, each: int = 1) -> None:
    """Let so many segments have events, in partition 1, at offsets from `first` on."""
    for number in range(segments * each):
        event = WatchedEvent(event_id=f"e{first + number}", app=f"app{number % segments}", kind="prompt")
        scores = {name: 0.01 * ((7 * number + n) % 50) for n, name in enumerate(METRICS)}
        at = FakeRecord(None, first + number, partition=1, timestamp=first + number)
        watcher.update(WatchedScores(event, scores, first + number), at)


def newest(snapshots: list[Any]) -> Newest:
    gathered = Newest(frozenset({1}), 2)
    for place, key, value in snapshots:
        gathered.offer(place, key, value)
    return gathered


def contents(watcher: DriftMonitor) -> dict[Segment, tuple[int, int, bytes]]:
    return {name: (each.partition, each.offset, each.content()) for name, each in watcher._states.items()}


WHOLE = monitor()
feed(WHOLE, 0, SEGMENTS, 100)
TOPIC = list(WHOLE.changes(2))


def test_restored_segments_take_what_their_snapshots_take() -> None:
    packed = sum(len(value or b"") for _, key, value in TOPIC if key.startswith(b"segment"))
    fresh, gathered = monitor(), newest([each for each in TOPIC if each[1].startswith(b"segment")])
    tracemalloc.start()
    try:
        fresh.restore(gathered)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(fresh) == SEGMENTS
    assert kept < packed, "beside the snapshots themselves, which were there"


def test_a_restored_segment_goes_on_with_its_next_event_and_no_other_is_written() -> None:
    again = monitor()
    again.restore(newest(TOPIC))
    assert (len(again), again.learning) == (len(WHOLE), WHOLE.learning)
    feed(again, 10_000, 1)
    written = [key for _, key, _ in again.changes(2) if key.startswith(b"segment")]
    assert written == [snapshots.encode_key(Segment("app0", "", "", "prompt"))]
    other = monitor()
    other.restore(newest(TOPIC))
    contents(other)
    feed(other, 10_000, 1)
    assert contents(again) == contents(other)


def test_restored_segments_that_stay_idle_are_forgotten_first_and_deleted_where_they_lie() -> None:
    small = monitor(SEGMENTS)
    small.restore(newest(TOPIC))
    feed(small, 10_000, SEGMENTS // 2)
    event = WatchedEvent(event_id="n", app="new", kind="prompt")
    small.update(WatchedScores(event, {}, 1), FakeRecord(None, 20_000, partition=1, timestamp=20_000))
    gone = [(place, key) for place, key, value in small.changes(2) if value is None]
    assert gone == [(1, snapshots.encode_key(Segment(f"app{SEGMENTS // 2}", "", "", "prompt")))]


def test_what_nobody_asked_for_is_the_same_in_every_later_snapshot() -> None:
    """A worker that comes and goes while its segments are idle takes nothing from them."""
    again = monitor()
    again.restore(newest(TOPIC))
    assert list(again.changes(2)) == []
    assert contents(again) == contents(WHOLE)
