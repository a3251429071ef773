"""Drift per segment: snapshots go on where they were taken; what comes again changes nothing."""

import random
from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import DriftRecord
from streams.monitors import snapshots
from streams.monitors.drift import DriftMonitor, WatchedEvent, WatchedScores, drift_alert
from streams.monitors.snapshots import Segment
from tests.streams.monitors.feeding import Item, Topic, feed, monitor, newest, record, save, stream


def restored(topic: Topic, max_segments: int = 10) -> DriftMonitor:
    fresh = monitor(max_segments)
    fresh.restore(newest(topic))
    return fresh


def progress(watcher: DriftMonitor) -> dict[Any, Any]:
    """Return how far each segment is, and the width and mean of its windows."""
    return {
        segment: (
            state.samples,
            state.offset,
            state.timestamp,
            {name: (d.width, d.estimation) for name, d in state.detectors.items() if not d.drift_detected},
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


def disturbed(seed: int, count: int = 600) -> list[Item]:
    """Return a log as guards leave it: clocks that differ by 50 ms, and batches that were published twice."""
    rng = random.Random(seed)
    log: list[WatchedScores] = []
    for item, _ in stream(count, count // 2, seed=seed % 5):
        log.append(item)
        if rng.random() < 0.02:
            log += log[-rng.randint(1, 40) :]
    return [(item, record(i, 1_000 + 3 * i + rng.choice((0, 50)))) for i, item in enumerate(log)]


@settings(max_examples=60)
@given(seed=st.integers(0, 1000), data=st.data())
def test_whatever_is_read_again_the_state_is_that_of_the_undisturbed_run(seed: int, data: Any) -> None:
    """Workers die at any place, some of them while they write snapshots, and others begin behind those."""
    log = disturbed(seed)
    whole = monitor()
    expected = {r.drift_id: r for r in feed(whole, log)}
    topic: Topic = []
    found: dict[str, DriftRecord] = {}
    committed = 0
    worker = monitor()
    for _ in range(data.draw(st.integers(0, 4), "deaths")):
        cut = data.draw(st.integers(committed, len(log)), "handled until")
        found |= {r.drift_id: r for r in feed(worker, log[committed:cut])}
        written = list(worker.changes(1))
        part = data.draw(st.integers(0, len(written)), "written")
        topic += written[:part]
        if part == len(written):
            committed = data.draw(st.integers(committed, cut), "committed")
        worker = restored(topic)
    found |= {r.drift_id: r for r in feed(worker, log[committed:])}
    assert progress(worker) == progress(whole)
    assert found == expected


def test_replays_are_known_though_the_clocks_of_guards_differ() -> None:
    items = [(item, record(i, 1_000 - 50 * (i % 2))) for i, (item, _) in enumerate(stream(20, segments=1))]
    watcher = monitor()
    feed(watcher, items)
    topic: Topic = []
    save(watcher, topic)
    again = restored(topic)
    feed(again, items)
    assert [state.samples for state in again._states.values()] == [20]


def test_an_event_that_is_published_again_counts_once() -> None:
    items = stream(40)
    watcher = monitor()
    feed(watcher, items)
    feed(watcher, [(item, record(40 + i, 5_000)) for i, (item, _) in enumerate(items)])
    assert sum(state.samples for state in watcher._states.values()) == 40


def test_one_id_in_two_apps_is_two_events() -> None:
    watcher = monitor()
    for offset, app in enumerate(("a", "b")):
        event = WatchedEvent(event_id="1", app=app, kind="prompt")
        watcher.update(WatchedScores(event=event, scores={}, timestamp=1), record(offset, 1))
    assert [state.samples for state in watcher._states.values()] == [1, 1]


def test_a_snapshot_of_a_worker_that_had_been_paused_changes_nothing() -> None:
    items, topic = stream(), list[Any]()
    paused, other = monitor(), monitor()
    feed(paused, items[:100])
    feed(other, items[:500])
    save(other, topic)
    save(paused, topic)
    assert progress(restored(topic)) == progress(other)


def test_a_topic_made_anew_counts_from_0_again() -> None:
    watcher = monitor()
    feed(watcher, stream(40))
    topic: Topic = []
    save(watcher, topic)
    other_events = [
        (msgspec.structs.replace(item, event=msgspec.structs.replace(item.event, event_id=f"n{i}")), i)
        for i, (item, _) in enumerate(stream(10))
    ]
    feed(watcher, [(item, record(i, 90_000 + i)) for item, i in other_events])
    assert sum(state.samples for state in watcher._states.values()) == 50
    save(watcher, topic)
    assert progress(restored(topic)) == progress(watcher), "its snapshots are the newer ones"


def test_a_snapshot_holds_only_what_changed() -> None:
    watcher, topic = monitor(), list[Any]()
    feed(watcher, stream(20))
    save(watcher, topic)
    assert len(topic) == 3, "two segments and a block of ids"
    assert list(watcher.changes(1)) == []
    feed(watcher, [(stream(21)[20][0], record(100, 9_999))])
    assert len(list(watcher.changes(1))) == 2


def test_the_segment_idle_longest_is_forgotten_and_its_snapshot_deleted() -> None:
    watcher, topic = monitor(max_segments=2), list[Any]()
    feed(watcher, stream(3, segments=3))
    save(watcher, topic)
    assert len(watcher) == 2
    assert [key for _, key, value in topic if value is None] == [
        snapshots.encode_key(Segment("app0", "", "", "prompt"))
    ]
    assert len(restored(topic)) == 2


def test_the_limit_takes_nothing_from_other_workers() -> None:
    topic: Topic = []
    for partition in (0, 1):
        watcher = monitor()
        for item, at in stream(20, segments=5):
            event = msgspec.structs.replace(item.event, model=f"model{partition}")
            watcher.update(msgspec.structs.replace(item, event=event), replace(at, partition=partition))
        topic += watcher.changes(2)
    small = monitor(max_segments=2)
    small.restore(newest(topic, frozenset({1}), 2))
    assert len(small) == 2
    topic += small.changes(2)
    left = monitor()
    left.restore(newest(topic, frozenset({0, 1}), 2))
    assert sorted(segment.model for segment in left._states) == ["model0"] * 5 + ["model1"] * 2
