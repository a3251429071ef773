"""What waits together is judged together; whose time is up is told so; too much is refused at once."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from schemas.events import Event
from streams.gate.batcher import Batcher, BusyError


def event(text: str = "x") -> Event:
    return Event(event_id=text, app="a", kind="prompt", text=text)


def late(events: Sequence[Event]) -> list[str]:
    return ["late"] * len(events)


@asynccontextmanager
async def running(
    judge: Callable[[Sequence[Event]], list[str]], most: int = 512
) -> AsyncIterator[Batcher[str]]:
    batcher = Batcher(judge, late, most)
    task = asyncio.create_task(batcher.run())
    try:
        yield batcher
    finally:
        task.cancel()


class Gatekeeper:
    """A judge that waits until it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.batches: list[list[str]] = []

    def __call__(self, events: Sequence[Event]) -> list[str]:
        self.may.wait(100)
        self.batches.append([each.text for each in events])
        return [each.text for each in events]


async def test_what_waits_while_the_judge_is_busy_is_one_batch_and_each_gets_its_own() -> None:
    judge = Gatekeeper()
    async with running(judge) as batcher:
        first = asyncio.create_task(batcher.judged([event("first")], 60))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batcher.judged([event(f"{n}"), event(f"{n}b")], 60)) for n in range(20)]
        await asyncio.sleep(0.05)
        judge.may.set()
        assert await first == ["first"]
        assert [await other for other in others] == [[f"{n}", f"{n}b"] for n in range(20)]
    assert [len(batch) for batch in judge.batches] == [1, 40]


async def test_a_batch_is_bounded_in_events_and_in_bytes() -> None:
    judge = Gatekeeper()
    judge.may.set()
    async with running(judge, most=10) as batcher:
        sizes = (1, 1, 1, 300_000, 1, 300_000)
        asked = [asyncio.create_task(batcher.judged([event("x" * size)] * 4, 60)) for size in sizes]
        await asyncio.gather(*asked)
    assert sum(map(len, judge.batches)) == 24
    assert max(map(len, judge.batches)) <= 10
    assert all(len(batch) == 4 for batch in judge.batches if any(len(text) > 1_000 for text in batch))


async def test_batches_are_short_so_that_their_answers_do_not_wait_for_each_other() -> None:
    judge = Gatekeeper()
    judge.may.set()
    async with running(judge) as batcher:
        batcher._s_per_byte = 1e-5
        asked = [asyncio.create_task(batcher.judged([event("x" * 2_000)], 600)) for _ in range(50)]
        await asyncio.gather(*asked)
    assert len(judge.batches[0]) == 7, "what takes a sixth of a second, and not the whole second"


async def test_whose_time_is_up_is_told_so_and_is_not_judged_for_nobody() -> None:
    judge = Gatekeeper()
    async with running(judge) as batcher:
        first = asyncio.create_task(batcher.judged([event("first")], 0.1))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(batcher.judged([event("second")], 0.1))
        gone = asyncio.create_task(batcher.judged([event("gone")], 60))
        await asyncio.sleep(0.01)
        gone.cancel()
        assert await first == await second == ["late"]
        judge.may.set()
        assert await batcher.judged([event("third")], 60) == ["third"]
    assert judge.batches == [["first"], ["third"]]
    assert batcher.waiting == 0
    assert batcher._bytes == 0


async def test_what_cannot_be_judged_in_time_is_refused_at_once() -> None:
    judge = Gatekeeper()
    async with running(judge) as batcher:
        batcher._s_per_byte = 1e-3
        waiting = [asyncio.create_task(batcher.judged([event(f"{n}")], 60)) for n in range(3)]
        await asyncio.sleep(0.01)
        with pytest.raises(BusyError) as busy:
            await batcher.judged([event("more")], 0.1)
        assert 0.1 < busy.value.retry_after_s < 2
        judge.may.set()
        await asyncio.gather(*waiting)


async def test_an_error_of_the_judge_ends_the_run_and_nobody_waits_for_ever() -> None:
    def broken(_: Sequence[Event]) -> list[str]:
        raise ZeroDivisionError

    batcher = Batcher(broken, late, 10)
    task = asyncio.create_task(batcher.run())
    assert await batcher.judged([event()], 0.2) == ["late"]
    with pytest.raises(ZeroDivisionError):
        await task


def test_the_pace_is_that_of_large_batches_not_of_many_small_ones() -> None:
    batcher = Batcher(lambda _: [], late, 10)
    for _ in range(100):
        batcher._keep_pace(400, 0.006)
    batcher._keep_pace(40_000, 0.1)
    assert batcher._s_per_byte < 5e-6


def test_a_machine_that_has_become_slower_is_so_with_the_next_batch() -> None:
    batcher = Batcher(lambda _: [], late, 10)
    for _ in range(20):
        batcher._keep_pace(40_000, 0.08)
    batcher._keep_pace(40_000, 0.8)
    assert batcher._s_per_byte == pytest.approx(2e-5)
    batcher._keep_pace(400, 0.006)
    assert batcher._s_per_byte == pytest.approx(2e-5), "of a small one that is not known"
    batcher._keep_pace(40_000, 0.08)
    assert batcher._s_per_byte < 5e-6


class Slow:
    """A clock by which the event loop comes a tenth of a second late to whatever it does."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        if threading.current_thread() is threading.main_thread():
            self.now += 0.1
        return self.now


async def test_a_late_event_loop_counts_in_the_time_of_a_request() -> None:
    judge = Gatekeeper()
    judge.may.set()
    batcher = Batcher(judge, late, 10, clock=Slow())
    task = asyncio.create_task(batcher.run())
    assert await batcher.judged([event("first")], 60) == ["first"]
    batcher.admit(0.3)  # nothing waits, so it is tried
    judge.may.clear()
    waiting = asyncio.create_task(batcher.judged([event("second")], 60))
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        batcher.admit(0.3)
    batcher.admit(60)
    judge.may.set()
    assert await waiting == ["second"]
    task.cancel()


class Stands:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def stuck(
    clock: Stands, unjudged: Callable[[Sequence[Event]], list[str]]
) -> AsyncIterator[Batcher[str]]:
    """Yield a batcher whose judge has begun with a request and does not come back."""
    judge = Gatekeeper()
    batcher = Batcher(judge, unjudged, 10, clock=clock)
    task = asyncio.create_task(batcher.run())
    first = asyncio.create_task(batcher.judged([event("first")], 600))
    while not batcher._bytes or batcher.waiting:  # noqa: ASYNC110 (until it is taken)
        await asyncio.sleep(0)
    try:
        yield batcher
    finally:
        judge.may.set()
        await first
        task.cancel()


async def test_those_whose_time_is_up_are_answered_together_and_not_one_after_another() -> None:
    calls, clock = [], Stands()

    def unjudged(events: Sequence[Event]) -> list[str]:
        calls.append(len(events))
        return [f"late {each.text}" for each in events]

    async with stuck(clock, unjudged) as batcher:
        asked = [asyncio.create_task(batcher.judged([event(f"{n}")] * 2, 0.2)) for n in range(50)]
        while batcher.waiting < 50:  # noqa: ASYNC110 (until all have asked)
            await asyncio.sleep(0)
        clock.now = 1.2
        assert await asyncio.gather(*asked) == [[f"late {n}"] * 2 for n in range(50)]
        assert calls == [100]
        assert batcher.waits_s > 1, "that the event loop came a second late to them is known"


async def test_time_to_answer_is_kept_before_anything_was_late() -> None:
    clock = Stands()
    async with stuck(clock, late) as batcher:
        asked = asyncio.create_task(batcher.judged([event("x")], 10))
        while not batcher.waiting:  # noqa: ASYNC110 (until it has asked)
            await asyncio.sleep(0)
        assert batcher._waiting[0].deadline <= 8
        asked.cancel()


async def test_while_a_batch_takes_longer_than_foreseen_others_are_refused() -> None:
    clock = Stands()
    async with stuck(clock, late) as batcher:
        batcher.admit(1)
        clock.now = 0.7
        with pytest.raises(BusyError):
            batcher.admit(1)
        batcher.admit(10)


async def test_how_late_the_event_loop_is_counts_while_a_batch_is_judged() -> None:
    judge = Gatekeeper()
    batcher = Batcher(judge, late, 10, clock=Slow())
    task = asyncio.create_task(batcher.run())
    waiting = asyncio.create_task(batcher.judged([event("first")], 60))
    try:
        while not batcher._late:  # noqa: ASYNC110 (until it was looked at; the judge does not come back)
            await asyncio.sleep(0.01)
        assert not judge.batches
    finally:
        judge.may.set()
        await waiting
        task.cancel()
