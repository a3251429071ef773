"""Drift per segment: snapshots go on where they were taken, replays change nothing."""

import os
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.drift import DriftMonitor, SnapshotError, WatchedEvent, WatchedScores, drift_alert

Item = tuple[WatchedScores, int]


def stream(count: int = 600, shift_at: int = 300, segments: int = 2, seed: int = 7) -> list[Item]:
    """Return scores whose mean rises from 0.1 to 0.6 half way, segments in turn."""
    rng = np.random.default_rng(seed)
    items = []
    for i in range(count):
        level = 0.1 if i < shift_at else 0.6
        event = WatchedEvent(event_id=f"e{i}", app=f"app{i % segments}", kind="prompt", latency_ms=20.0)
        score = float(np.clip(level + 0.05 * rng.standard_normal(), 0, 1))
        items.append((WatchedScores(event=event, scores={"toxicity": score}, timestamp=1_000 + i), i))
    return items


def monitor(max_segments: int = 10) -> DriftMonitor:
    return DriftMonitor(("toxicity", "latency_ms", "cost"), 0.002, max_segments)


def feed(watcher: DriftMonitor, items: list[Item]) -> list[Any]:
    return [found for item, offset in items for found in watcher.update(item, offset, item.timestamp)]


def states(watcher: DriftMonitor) -> dict[bytes, bytes | None]:
    return dict(watcher.snapshot())


def restored(snapshots: dict[bytes, bytes | None]) -> DriftMonitor:
    fresh = monitor()
    fresh.restore((key, value) for key, value in snapshots.items() if value)
    return fresh


def progress(watcher: DriftMonitor) -> dict[Any, Any]:
    """Return how far each segment is, and the width and mean of its windows."""
    return {
        segment: (
            state.samples,
            state.offset,
            {name: (d.width, d.estimation) for name, d in state.detectors.items()},
        )
        for segment, state in watcher._states.items()
    }


def test_a_shift_is_found_in_its_metric_soon_after_it() -> None:
    found = feed(monitor(), stream())
    assert {record.metric for record in found} == {"toxicity"}
    assert {record.app for record in found} == {"app0", "app1"}
    first = found[0]
    assert first.before + 0.1 < first.after
    assert 300 < int(first.event_id[1:]) < 400
    assert first.timestamp == 1_000 + int(first.event_id[1:])


def test_no_shift_no_drift() -> None:
    assert feed(monitor(), stream(shift_at=600)) == []


def test_ids_of_records_and_alerts_are_the_same_at_a_replay() -> None:
    one, other = feed(monitor(), stream()), feed(monitor(), stream())
    assert [(r.drift_id, drift_alert(r).alert_id) for r in one] == [
        (r.drift_id, drift_alert(r).alert_id) for r in other
    ]
    assert len({r.drift_id for r in one}) == len(one)


@settings(max_examples=10)
@given(cut=st.integers(1, 599), again=st.integers(0, 200))
def test_a_restart_at_any_place_is_as_if_nothing_had_happened(cut: int, again: int) -> None:
    items = stream()
    whole = monitor()
    expected = feed(whole, items)
    first = monitor()
    found = feed(first, items[:cut])
    second = restored(states(first))
    # Offsets are committed after the snapshot: some records come again.
    found += feed(second, items[max(0, cut - again) :])
    assert found == expected
    assert progress(second) == progress(whole)


def test_a_snapshot_holds_only_what_changed() -> None:
    watcher = monitor()
    feed(watcher, stream(20))
    assert len(watcher.snapshot()) == 2
    assert watcher.snapshot() == []
    feed(watcher, [(stream(21)[20][0], 100)])
    assert len(watcher.snapshot()) == 1


def test_the_segment_idle_longest_is_forgotten_and_its_snapshot_deleted() -> None:
    watcher = monitor(max_segments=2)
    feed(watcher, stream(30, segments=3))
    assert len(watcher) == 2
    assert sorted(value is None for _, value in watcher.snapshot()) != [False, False]


def test_a_topic_made_anew_counts_from_0_again() -> None:
    watcher = monitor()
    feed(watcher, stream(40))
    later = [
        (WatchedScores(event=item.event, scores=item.scores, timestamp=item.timestamp + 10_000), offset)
        for item, offset in stream(10)
    ]
    feed(watcher, later)
    assert sum(state.samples for state in watcher._states.values()) == 50


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("exit 1",)


@pytest.mark.parametrize("value", [b"", b"junk", pickle.dumps(Evil()), pickle.dumps((1, 2)), pickle.dumps(1)])
def test_what_is_no_snapshot_is_refused_and_not_executed(value: bytes) -> None:
    with pytest.raises(SnapshotError):
        monitor().restore([(b'["a","m","v","prompt"]', value)])


def test_a_key_that_is_no_segment_is_refused() -> None:
    watcher = monitor()
    feed(watcher, stream(2))
    value = states(watcher).popitem()[1]
    assert value
    with pytest.raises(SnapshotError):
        monitor().restore([(b'["a"]', value)])
