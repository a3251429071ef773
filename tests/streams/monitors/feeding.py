"""A monitor of drift, and scores for it."""

import numpy as np

from schemas.events import DriftRecord
from streams.monitors.drift import DriftMonitor, WatchedEvent, WatchedScores
from streams.monitors.snapshots import Newest
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
    return DriftMonitor(("toxicity", "latency_ms", "cost"), 0.002, max_segments)


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
