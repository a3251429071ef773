"""`weir watch --explain` against the embedded broker."""

import asyncio

import pytest

from schemas import topics
from streams.monitors.drift import DriftMonitor
from streams.monitors.state_topic import StateTopic
from streams.monitors.watched import WatchedEvent, WatchedScores
from streams.settings import load
from tests.streams.records import FakeRecord
from tests.streams.weir import run

pytestmark = pytest.mark.usefixtures("on_broker")


async def ours() -> bool:
    return True


async def leave(count: int) -> None:
    """Leave what watch would leave of two segments in `llm.state`."""
    settings = load()
    state = StateTopic(settings)
    watcher = DriftMonitor(settings.watch_metrics, settings.watch_quiet_events, 64, 10)
    await state.start()
    try:
        partitions = await state.partitions(topics.SCORES)
        for at in range(count):
            model = "a/b" if at % 4 else "c"
            event = WatchedEvent(event_id=f"e{at}", app="explained", kind="completion", model=model)
            named = ("women",) if at % 2 else ("men",)
            item = WatchedScores(event, {"toxicity": 0.01}, 1_000 + at, named_groups=named)
            place = item.segment.partition(partitions)
            watcher.update(item, FakeRecord(None, at, partition=place, timestamp=1_000 + at))
        assert await state.write(watcher.changes(partitions), ours)
    finally:
        await state.stop()


def test_it_shows_levels_and_what_is_being_learned() -> None:
    asyncio.run(leave(240))
    outcome = run("watch", "--explain", "explained", "--once")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert [line for line in lines if line.startswith("explained/")] == [
        "explained/a/b//completion: 180 events",
        "explained/c//completion: 60 events, some of it is being learned",
    ]
    first, second = (line for line in lines if line.startswith("toxicity"))
    assert "0.01 of 1" in first
    assert "watching" in first
    assert "learning: 60 of 64 values" in second
    assert any(line.startswith("bias_toxicity women") for line in lines)


@pytest.mark.parametrize(
    ("segment", "shown"), [("explained/c", 1), ("explained/a/b//completion", 1), ("expl", 0)]
)
def test_a_segment_is_named_as_far_as_wanted(segment: str, shown: int) -> None:
    asyncio.run(leave(240))
    outcome = run("watch", "--explain", segment, "--once")
    assert (outcome.code, outcome.out.count(" events")) == (0, shown)
    if not shown:
        assert outcome.out == f"no segment {segment} in llm.state\n"


def test_once_goes_with_explain() -> None:
    outcome = run("watch", "--once")
    assert (outcome.code, "--once goes with --explain" in outcome.err) == (2, True)
