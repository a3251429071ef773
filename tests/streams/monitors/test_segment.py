"""Subjects and groups beside metrics: what is found, and that a worker that dies changes nothing of it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.drift import BiasRecord, DriftRecord
from schemas.sketches import COMPONENTS, pack
from streams.monitors import snapshots
from streams.monitors.drift import DriftMonitor
from streams.monitors.segment import SegmentState, Watched
from streams.monitors.snapshots import MAX_BYTES, Newest
from streams.monitors.watched import WatchedDecision, WatchedEvent, WatchedScores
from streams.settings import Settings
from tests.streams.records import FakeRecord

Item = tuple[WatchedScores, FakeRecord]
METRICS = ("toxicity", "refusal_rate", "completion_tokens")
CHANGE = 700


def log(count: int) -> list[Item]:
    """Return prompts and answers by turns: subjects move, and answers to women begin to be refusals."""
    points = 0.06 * np.random.default_rng(1).standard_normal((count, COMPONENTS))
    points[CHANGE:, 0] += 0.3
    items = []
    for at, sketch in enumerate(pack(1, points)):
        is_answer, is_to_women = at % 2 == 1, at % 4 >= 2
        event = WatchedEvent(
            event_id=f"e{at}", app="app", kind="completion" if is_answer else "prompt",
            request_id=f"r{at // 2}", completion_tokens=50 + at % 7,
        )  # fmt: skip
        refusal = 0.9 if is_answer and is_to_women and at >= CHANGE else 0.1
        scored = WatchedScores(
            event, {"toxicity": 0.01, "refusal": refusal}, 1_000 + at,
            named_groups=() if is_answer else ("women",) if is_to_women else ("men",), sketch=sketch,
        )  # fmt: skip
        items.append((scored, FakeRecord(None, at, partition=0, timestamp=1_000 + at)))
    return items


LOG = log(1_300)


def monitor() -> DriftMonitor:
    return DriftMonitor(METRICS, 200_000, 64, 10)


def feed(watcher: DriftMonitor, items: list[Item]) -> dict[str, DriftRecord | BiasRecord]:
    found: dict[str, DriftRecord | BiasRecord] = {}
    for item, place in items:
        found |= {each.drift_id: each for each in watcher.update(item, place)}
    return found | {each.bias_id: each for each in watcher.reports()}


def contents(watcher: DriftMonitor) -> dict[Any, bytes]:
    return {segment: state.content() for segment, state in watcher._states.items()}


WHOLE = monitor()
FOUND = feed(WHOLE, LOG)


def test_a_change_of_subjects_is_a_drift_with_shares_for_evidence() -> None:
    moved = [each for each in FOUND.values() if isinstance(each, DriftRecord) and each.metric == "topic"]
    assert {each.kind for each in moved} == {"prompt", "completion"}
    assert all(CHANGE - 40 < each.began_at - 1_000 < CHANGE + 40 for each in moved)
    assert {piece.label.partition(" ")[0] for piece in moved[0].evidence} == {"cluster"}
    assert all(0 <= (piece.weight or 0) <= 1 for piece in moved[0].evidence)


def test_a_group_that_is_treated_worse_is_a_drift_and_in_the_reports() -> None:
    [gap] = [each for each in FOUND.values() if isinstance(each, DriftRecord) and each.named_group]
    assert (gap.metric, gap.named_group, gap.kind) == ("bias_refusal", "women", "completion")
    assert gap.before < 0.1 < gap.after
    assert gap.after_low is not None
    assert gap.after_low > gap.before
    reports = [each for each in FOUND.values() if isinstance(each, BiasRecord)]
    assert {each.named_group for each in reports} == {"women", "men"}
    assert {each.named_group for each in reports if each.found} == {"women"}


@settings(max_examples=8)
@given(data=st.data())
def test_a_worker_that_dies_leaves_the_next_one_all_that_it_knew(data: Any) -> None:
    """Also where only a part of its snapshots was written: then what they lack is read again."""
    topic: list[tuple[int, bytes, bytes | None]] = []
    found: dict[str, DriftRecord | BiasRecord] = {}
    committed, worker = 0, monitor()
    for _ in range(data.draw(st.integers(1, 3), "deaths")):
        cut = data.draw(st.integers(committed, len(LOG)), "handled until")
        found |= feed(worker, LOG[committed:cut])
        written = list(worker.changes(1))
        part = data.draw(st.integers(0, len(written)), "written")
        topic += written[:part]
        if part == len(written):
            committed = cut
        worker, newest = monitor(), Newest(frozenset({0}), 1)
        for place, key, value in topic:
            newest.offer(place, key, value)
        worker.restore(newest)
    found |= feed(worker, LOG[committed:])
    assert found == FOUND
    assert contents(worker) == contents(WHOLE)


def test_a_segment_with_all_that_is_watched_is_bounded() -> None:
    assert max(map(len, contents(WHOLE).values())) < 32_000 < MAX_BYTES


@pytest.mark.parametrize("degraded", [("transformer",), ("long_text",)])
def test_texts_that_were_read_less_closely_do_not_count(degraded: tuple[str, ...]) -> None:
    watcher = monitor()
    for item, place in LOG[:600]:
        scored = WatchedScores(
            item.event, {}, item.timestamp, WatchedDecision(degraded=degraded), sketch=item.sketch
        )
        watcher.update(scored, place)
    assert all(state.topic is None for state in watcher._states.values())


def test_a_segment_with_all_that_there_is_stays_below_64_kb() -> None:
    defaults, rng = Settings(_env_file=None), np.random.default_rng(1)
    state = SegmentState(Watched(defaults.watch_metrics, defaults.watch_quiet_events, 64))
    groups = [f"group {number}" for number in range(20)]
    for at, sketch in enumerate(pack(1, rng.standard_normal((700, COMPONENTS)))):
        value = float(rng.random())
        event = WatchedEvent(
            event_id=f"e{at}", app="app", kind="completion", latency_ms=1e5 * value, completion_tokens=at,
            cost=value,
        )  # fmt: skip
        scores = dict.fromkeys(defaults.watch_metrics, value)
        named = (groups[at % len(groups)],)
        state.ask(WatchedScores(event, scores, 10**12 + at, named_groups=named))
        state.update(WatchedScores(event, scores, 10**12 + at, named_groups=named, sketch=sketch))
    content = snapshots.decode_segment(state.content())
    assert len(content.metrics) == len(defaults.watch_metrics)
    assert content.topic is not None
    assert content.bias is not None
    assert len(content.bias.groups) == 16
    assert len(state.content()) < 64_000
