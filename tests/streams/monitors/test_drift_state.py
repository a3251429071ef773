"""Segments that move between workers, and what they take."""

import math
import os
import pickle
import random
from typing import Any

import msgspec
import pytest

from streams.monitors import snapshots
from streams.monitors.drift import DriftMonitor, WatchedDecision, WatchedEvent, WatchedScores
from tests.streams.monitors.feeding import feed, monitor, newest, record, save, stream


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
        msgspec.msgpack.encode([*fields[:5], b"no zlib"]),
        msgspec.msgpack.encode([*fields[:5], fields[5][:-3]]),
        snapshots.encode(0, 1, 5, 5, b"\x93"),
        snapshots.encode(0, 1, 5, 5, bytes(snapshots.MAX_BYTES + 1)),
        snapshots.encode(0, 1, 5, 5, msgspec.msgpack.encode([1, {"toxicity": [0.0, 0.0, 0, [9], [], []]}])),
        snapshots.encode(
            0, 1, 5, 5, msgspec.msgpack.encode([1, {"cost": [0.0, math.inf, 0, [1], [0.0], []]}])
        ),
    ]


@pytest.mark.parametrize("number", range(1, 12))
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


def test_a_segment_with_twelve_metrics_takes_5_kb() -> None:
    metrics = tuple(f"metric{n}" for n in range(12))
    watcher = DriftMonitor(metrics, 0.002, 10)
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
