"""Live first; bulk gets what is left, and a tenth of the time at least."""

import asyncio
import itertools

from schemas import topics
from streams.kafka.fetcher import BULK_BEGIN, BULK_S, LIMITS, bulk_limits
from streams.kafka.lanes import BULK_SHARE, Lane, Lanes, lane_of


async def turns(lanes: Lanes[str], seconds: dict[Lane, float], count: int) -> list[Lane]:
    """Take so many, and let each take its time."""
    taken: list[Lane] = []
    for _ in range(count):
        lane, _item = await lanes.next()
        lanes.took(lane, seconds[lane])
        taken.append(lane)
    return taken


def filled(live: int, bulk: int) -> Lanes[str]:
    lanes: Lanes[str] = Lanes()
    for _ in range(live):
        lanes.put("live", "l")
    for _ in range(bulk):
        lanes.put("bulk", "b")
    return lanes


def test_only_the_bulk_topic_is_bulk() -> None:
    assert [name for name in topics.ALL if lane_of(name) == "bulk"] == [topics.EVENTS_BULK]


async def test_live_goes_first_and_bulk_when_nothing_live_waits() -> None:
    assert await turns(filled(3, 2), {"live": 0.0, "bulk": 0.5}, 5) == ["live"] * 3 + ["bulk"] * 2


async def test_bulk_goes_on_under_a_constant_live_load() -> None:
    seconds: dict[Lane, float] = {"live": 0.1, "bulk": 0.3}
    taken = await turns(filled(1_000, 1_000), seconds, 500)
    spent = {lane: seconds[lane] * taken.count(lane) for lane in seconds}
    assert 0.7 * BULK_SHARE < spent["bulk"] / sum(spent.values()) <= 1.1 * BULK_SHARE
    assert ("bulk", "bulk") not in set(itertools.pairwise(taken)), "never two in a row"


async def test_a_costly_bulk_turn_is_paid_back_before_the_next() -> None:
    lanes = filled(200, 3)
    taken = await turns(lanes, {"live": 0.01, "bulk": 1.0}, 150)
    assert taken.count("bulk") <= 2


async def test_join_waits_for_all() -> None:
    lanes = filled(1, 1)
    joining = asyncio.create_task(lanes.join())
    await turns(lanes, {"live": 0.0, "bulk": 0.0}, 2)
    lanes.done(1)
    await asyncio.sleep(0)
    assert not joining.done()
    lanes.done(1)
    await asyncio.wait_for(joining, 60)


async def test_next_waits_for_either_lane() -> None:
    lanes: Lanes[str] = Lanes()
    waiting = asyncio.create_task(lanes.next())
    await asyncio.sleep(0)
    lanes.put("bulk", "b")
    assert await asyncio.wait_for(waiting, 60) == ("bulk", "b")


def test_bulk_polls_become_as_large_as_takes_half_a_second() -> None:
    for pace_s in (0.0001, 0.002, 0.01, 0.2, 9.0):
        limits, longest = BULK_BEGIN, []
        for _ in range(20):
            longest.append(pace_s * limits.records)
            limits = bulk_limits(limits, limits.records, pace_s * limits.records)
            assert 1 <= limits.records <= LIMITS["bulk"].records
            assert limits.size == LIMITS["bulk"].size
        assert longest[-1] <= max(BULK_S, pace_s)
        assert longest[-1] >= min(0.9 * BULK_S, LIMITS["bulk"].records * pace_s) - pace_s, (
            "not smaller either"
        )
