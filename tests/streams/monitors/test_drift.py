"""Drift per segment: snapshots go on where they were taken; what comes again changes nothing."""

import math
import os
import pickle
import random
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.drift import DriftRecord
from schemas.events import OpenVerdict
from streams.monitors import snapshots
from streams.monitors.drift import DriftMonitor, drift_alert
from streams.monitors.snapshots import Newest, Segment
from streams.monitors.watched import WatchedDecision, WatchedEvent, WatchedScores
from tests.streams.records import FakeRecord

Item = tuple[WatchedScores, FakeRecord]
Topic = list[tuple[int, bytes, bytes | None]]


def record(offset: int, timestamp: int, partition: int = 0) -> FakeRecord:
    return FakeRecord(None, offset, partition=partition, timestamp=timestamp)


def stream(count: int = 600, shift_at: int = 300, segments: int = 2, seed: int = 7) -> list[Item]:
    """Return scores whose mean rises from 0.1 to 0.6 half way, segments in turn."""
    rng = np.random.default_rng(seed)
    items = []
    for i in range(count):
        level = 0.1 if i < shift_at else 0.6
        event = WatchedEvent(event_id=f"e{i}", app=f"app{i % segments}", kind="prompt", latency_ms=20.0)
        score = float(np.clip(level + 0.05 * rng.standard_normal(), 0, 1))
        scored = WatchedScores(event=event, scores={"toxicity": score}, timestamp=1_000 + i)
        items.append((scored, record(i, 1_000 + i)))
    return items


def monitor(max_segments: int = 10) -> DriftMonitor:
    return DriftMonitor(("toxicity", "latency_ms", "cost"), 200_000, 64, max_segments)


def feed(watcher: DriftMonitor, items: list[Item]) -> list[DriftRecord]:
    return [found for item, place in items for found in watcher.update(item, place)]


def save(watcher: DriftMonitor, topic: Topic) -> None:
    topic.extend(watcher.changes(1))
    watcher.written()


def newest(topic: Topic, own: frozenset[int] = frozenset({0}), partitions: int = 1) -> Newest:
    gathered = Newest(own, partitions)
    for place, key, value in topic:
        gathered.offer(place, key, value)
    return gathered


def restored(topic: Topic, max_segments: int = 10) -> DriftMonitor:
    fresh = monitor(max_segments)
    fresh.restore(newest(topic))
    return fresh


def progress(watcher: DriftMonitor) -> dict[Any, Any]:
    """Return how far each segment is, and all that its tests remember."""
    return {
        segment: (state.offset, state.timestamp, state.content())
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


def test_a_record_says_when_it_began_and_how_sure_its_levels_are() -> None:
    found = feed(monitor(), stream())[0]
    assert abs(found.began_at - 1_300) < 10
    assert found.before_samples + found.after_samples <= found.samples
    assert found.after_low is not None
    assert found.after_high is not None
    assert found.after_low < 0.6 < found.after_high


def test_what_moves_together_is_one_cause_with_one_alert() -> None:
    items = []
    for item, place in stream(900, 300, segments=1):
        late = place.offset >= 300
        event = msgspec.structs.replace(item.event, latency_ms=900.0 if late else 100.0, cost=0.01)
        if place.offset >= 700:
            event = msgspec.structs.replace(event, cost=0.05)
        items.append((msgspec.structs.replace(item, event=event), place))
    found = feed(monitor(), items)
    first, second, later = found
    assert {first.metric, second.metric} == {"toxicity", "latency_ms"}
    assert (first.cause, second.cause) == ("", first.drift_id)
    assert (later.metric, later.cause) == ("cost", "")


@pytest.mark.parametrize(
    ("metric", "before", "after"),
    [
        ("action_rate", ("allow", 0.1), ("flag", 0.1)),
        ("block_rate", ("flag", 0.1), ("block", 0.1)),
        ("refusal_rate", ("allow", 0.1), ("allow", 0.8)),
    ],
)
def test_rates_of_actions_and_refusals_are_watched(
    metric: str, before: tuple[OpenVerdict, float], after: tuple[OpenVerdict, float]
) -> None:
    watcher = DriftMonitor((metric,), 200_000, 64, 1)
    items = []
    for i in range(200):
        action, refusal = after if i >= 150 else before
        event = WatchedEvent(event_id=f"e{i}", app="a", kind="completion")
        scored = WatchedScores(event, {"refusal": refusal}, i, WatchedDecision(action))
        items.append((scored, record(i, i)))
    [found] = feed(watcher, items)
    assert (found.before, found.after) == (0.0, 1.0)
    assert found.began_at == 149


def test_a_segment_says_that_it_is_learning() -> None:
    watcher = monitor()
    feed(watcher, stream(127))
    assert watcher.learning == 1, "the second segment has one value too few"
    topic: Topic = []
    save(watcher, topic)
    assert restored(topic).learning == 1
    feed(watcher, stream(128)[127:])
    assert watcher.learning == 0


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
    items = stream(3, segments=3)
    feed(watcher, items[:2])
    save(watcher, topic)
    feed(watcher, items[2:])
    save(watcher, topic)
    assert len(watcher) == 2
    assert [key for _, key, value in topic if value is None] == [
        snapshots.encode_key(Segment("app0", "", "", "prompt"))
    ]
    assert len(restored(topic)) == 2
    feed(watcher, [stream(4, segments=4)[3]])
    assert [key for _, key, value in watcher.changes(1) if value is None] == [
        snapshots.encode_key(Segment("app1", "", "", "prompt"))
    ]


def test_segments_that_come_and_go_between_two_snapshots_leave_nothing() -> None:
    """Names that somebody makes up cost neither memory nor a record each."""
    watcher, topic = monitor(max_segments=2), list[Any]()
    feed(watcher, stream(500, segments=500))
    assert len(watcher._unwritten) == 2
    save(watcher, topic)
    assert sorted(value is None for _, _, value in topic) == [False] * 3, "two segments and a block of ids"


def test_a_scored_event_with_longer_names_than_an_event_may_have_is_none() -> None:
    scored = b'{"event":{"event_id":"e","app":"%s","kind":"prompt"},"scores":{},"timestamp":1}'
    assert msgspec.json.decode(scored % (b"a" * 256), type=WatchedScores)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(scored % (b"a" * 65_536), type=WatchedScores)


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


def test_partitions_that_were_added_take_their_segments_along() -> None:
    watcher, topic = monitor(), list[Any]()
    feed(watcher, stream(40, segments=8))
    save(watcher, topic)
    everything = {}
    for partition in range(3):
        worker = monitor()
        worker.restore(newest(topic, frozenset({partition}), 3))
        for segment, state in worker._states.items():
            assert segment.partition(3) == state.partition == partition
            assert state.offset == (-1 if partition else watcher._states[segment].offset)
            everything[segment] = state.samples
    assert everything == {segment: state.samples for segment, state in watcher._states.items()}


@pytest.mark.parametrize("absurd", [1e200, -1e200, math.inf, math.nan, 10**400])
def test_one_absurd_number_does_not_end_the_watch_on_a_metric(absurd: float) -> None:
    watcher = monitor()
    values = [absurd, *[500.0 + i % 9 for i in range(1_100)], *[5_000.0 + i % 9 for i in range(400)]]
    items = []
    for i, value in enumerate(values):
        event = WatchedEvent(event_id=f"e{i}", app="a", kind="completion", latency_ms=value)
        items.append((WatchedScores(event=event, scores={"toxicity": value}, timestamp=i), record(i, i)))
    assert {found.metric for found in feed(watcher, items)} == {"latency_ms", "toxicity"}


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (99,)


def damaged(value: bytes) -> list[bytes]:
    """Return what may lie in the topic in place of a snapshot."""
    fields = msgspec.msgpack.decode(value)
    return [
        b"",
        b"junk",
        b"\x91" * 10_000,
        pickle.dumps(Evil()),
        value[: len(value) // 2],
        msgspec.msgpack.encode([99, *fields[1:]]),
        msgspec.msgpack.encode([1, *fields[1:]]),
        msgspec.msgpack.encode([*fields[:5], b"no zlib"]),
        msgspec.msgpack.encode([*fields[:5], fields[5][:-3]]),
        snapshots.encode(0, 1, 5, 5, b"\x93"),
        snapshots.encode(0, 1, 5, 5, bytes(snapshots.MAX_BYTES + 1)),
        snapshots.encode(0, 1, 5, 5, msgspec.msgpack.encode([1, None, {"toxicity": [[], None, []]}])),
        snapshots.encode(0, 1, 5, 5, msgspec.msgpack.encode([1, None, {"cost": [[math.inf], None, []]}])),
    ]


@pytest.mark.parametrize("number", range(1, 13))
@pytest.mark.parametrize("kind", [b"segment", b"ids"])
def test_one_bad_record_costs_one_segment(number: int, kind: bytes) -> None:
    watcher, topic = monitor(), list[Any]()
    feed(watcher, stream(200, segments=4))
    save(watcher, topic)
    index = next(i for i, (_, key, _) in enumerate(topic) if key.startswith(kind))
    place, key, value = topic[index]
    topic[index] = place, key, damaged(value)[number]
    fresh, gathered = monitor(), newest(topic)
    fresh.restore(gathered)
    assert (len(fresh), gathered.unreadable) == (3 if kind == b"segment" else 4, 1)
    assert gathered.problem


@pytest.mark.parametrize(
    "key", [b"", b"segment\0", b'segment\0["a"]', b'ids\0["a",1]', b"other\0[]", b"\xff"]
)
def test_a_key_that_is_no_segment_is_skipped(key: bytes) -> None:
    watcher, topic = monitor(), list[Any]()
    feed(watcher, stream(4))
    save(watcher, topic)
    gathered = newest([*topic, (0, key, topic[0][2]), (0, key, None)])
    assert gathered.unreadable == 2
    assert len(gathered.found) == 3


def test_a_snapshot_of_a_segment_with_twelve_metrics_takes_less_than_8_kb() -> None:
    metrics = tuple(f"metric{n}" for n in range(12))
    watcher = DriftMonitor(metrics, 200_000, 64, 10)
    rng = random.Random(1)
    for i in range(900):
        event = WatchedEvent(event_id=f"e{i}", app="a", kind="prompt")
        scores = {name: round(rng.betavariate(1, 20), 6) for name in metrics}
        watcher.update(WatchedScores(event=event, scores=scores, timestamp=i), record(i, i))
    sizes = [len(value) for _, key, value in watcher.changes(1) if value and key.startswith(b"segment")]
    assert sizes[0] < 8_000


def test_scores_that_rest_on_less_are_no_drift() -> None:
    items = stream(segments=1)
    less = WatchedDecision(degraded=("transformer",))
    flooded = [
        (msgspec.structs.replace(item, decision=less) if i >= 300 else item, place)
        for i, (item, place) in enumerate(items)
    ]
    assert [found.metric for found in feed(monitor(), items)] == ["toxicity"]
    assert feed(monitor(), flooded) == []
    slower = msgspec.structs.replace(items[0][0].event, latency_ms=900.0)
    late = [
        (
            msgspec.structs.replace(
                item, event=msgspec.structs.replace(slower, event_id=item.event.event_id)
            ),
            place,
        )
        for item, place in flooded[300:]
    ]
    assert {found.metric for found in feed(monitor(), flooded[:300] + late)} == {"latency_ms"}
