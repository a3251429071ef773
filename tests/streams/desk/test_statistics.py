"""Intervals: they hold while one looks again and again, and a mix of apps is not taken for a change."""

import math

import numpy as np
import pytest

from streams.desk.statistics import (
    Moments,
    Sort,
    adjusted,
    change,
    effect,
    estimate,
    interval,
    mix,
)  # fmt: skip


def moments(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Moments:
    return Moments(len(values), float(values.sum()), float((values**2).sum()))


def test_looking_again_and_again_misleads_seldom() -> None:
    """An ordinary interval at every look is wrong in far more runs than it says."""
    chance, looks, runs = np.random.default_rng(5), range(100, 3_001, 100), 300
    ours = ordinary = 0
    for _ in range(runs):
        old, new = chance.exponential(size=3_000), chance.exponential(size=3_000)
        wrong = naive = False
        for size in looks:
            before, after = (estimate(moments(side[:size]), "score") for side in (old, new))
            found = change(before, after, "score")
            assert found is not None
            wrong |= found.sure
            naive |= abs(after.mean - before.mean) > 1.96 * math.sqrt(before.error + after.error)
        ours += wrong
        ordinary += naive
    assert ours <= 0.05 * runs
    assert ordinary > 0.15 * runs


@pytest.mark.parametrize("sort", ["share", "amount", "score"])
def test_a_real_change_is_found_and_its_size_is_in_the_interval(sort: Sort) -> None:
    chance = np.random.default_rng(2)
    if sort == "share":
        old, new = ((chance.random(8_000) < share).astype(float) for share in (0.05, 0.12))
        truth = 0.07
    else:
        old, new = chance.exponential(2.0, 8_000), chance.exponential(2.6, 8_000)
        truth = 0.3 if sort == "amount" else 0.6
    found = change(estimate(moments(old), sort), estimate(moments(new), sort), sort)
    assert found is not None
    assert found.sure
    assert found.low < truth < found.high


def test_nothing_seen_in_few_events_is_not_certain() -> None:
    none = Moments(20, 0.0, 0.0)
    found = interval(none, "share")
    assert found is not None
    assert found[1] > 0.1
    assert interval(Moments(9, 0.0, 0.0), "share") is None
    assert change(estimate(none, "amount"), estimate(none, "amount"), "amount") is None, "no ratio to nothing"


def shares(share: float, size: int) -> Moments:
    return Moments(size, share * size, share * size)


def test_no_share_changes_by_more_than_all_of_it() -> None:
    few = change(estimate(shares(0.05, 12), "share"), estimate(shares(0.6, 12), "share"), "share")
    assert few is not None
    assert not few.sure
    assert few.high == 1.0


def test_a_change_of_the_mix_alone_is_no_change() -> None:
    """Each app is as it was; the second side has more of the app with the higher share."""
    strata = [(shares(0.1, 8_000), shares(0.1, 2_000)), (shares(0.5, 2_000), shares(0.5, 8_000))]
    before, after = (strata[0][side].plus(strata[1][side]) for side in (0, 1))
    crude = change(estimate(before, "share"), estimate(after, "share"), "share")
    alike = adjusted(strata, "share")
    assert crude is not None
    assert alike is not None
    assert crude.sure
    assert crude.value == pytest.approx(0.24)
    adjusted_change = change(*alike, "share")
    assert adjusted_change is not None
    assert not adjusted_change.sure
    assert adjusted_change.value == pytest.approx(0.0)


def test_mix_and_effect() -> None:
    assert mix({"a": (90, 10), "b": (10, 90)}) == pytest.approx(0.8)
    assert mix({"a": (10, 100)}) == 0.0
    assert mix({"a": (0, 5)}) == 0.0
    chance = np.random.default_rng(1)
    old, new = chance.normal(0, 2, 5_000), chance.normal(1, 2, 5_000)
    assert effect(moments(old), moments(new)) == pytest.approx(0.5, abs=0.1)
    assert effect(Moments(5, 5.0, 5.0), Moments(5, 5.0, 5.0)) is None
