"""Differences between two groups of events, with intervals that hold however often one looks.

Pure. The intervals are asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2021,
*Time-uniform central limit theory and asymptotic confidence sequences*), about half as wide again as an
ordinary interval: who looks every day until something differs is not misled.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple, Self

TUNED_FOR: Final = 200
"""Events at which the intervals are narrowest for their level."""
LEVEL: Final = 0.05
"""All intervals of a page miss together at most so often."""
LEAST: Final = 10
"""Values that a side needs for an interval."""
Sort = Literal["share", "amount", "score"]
"""`share`: from 0 to 1; `amount`: 0 and more, compared by ratio; `score`: any number."""


class Moments(NamedTuple):
    """Of some values: how many, their sum, and the sum of their squares."""

    size: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """NaN of none."""
        return self.total / self.size if self.size else math.nan

    @property
    def variance(self) -> float:
        """Unbiased; 0 of fewer than two."""
        if self.size < 2:
            return 0.0
        return max(0.0, (self.squares - self.total**2 / self.size) / (self.size - 1))

    def plus(self, other: Self) -> "Moments":
        """Return those of both together."""
        return Moments(self.size + other.size, self.total + other.total, self.squares + other.squares)


NONE: Final = Moments(0, 0.0, 0.0)


class Estimate(NamedTuple):
    """A mean and its squared standard error."""

    mean: float
    error: float
    size: int


class Change(NamedTuple):
    """From one side to the other: a difference, or for amounts a ratio less 1, and where it lies."""

    value: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Whether "no change" is outside of the interval."""
        return self.low > 0 or self.high < 0


def sum_up(moments: Iterable[Moments]) -> Moments:
    """Return the moments of all values together."""
    whole = NONE
    for each in moments:
        whole = whole.plus(each)
    return whole


def estimate(moments: Moments, sort: Sort) -> Estimate:
    """Return the mean with its error.

    Of a share the error counts one more 0 and one more 1 (Agresti and Caffo 2000): so that nothing seen in
    ten events is not taken for certain.
    """
    if not moments.size:
        return Estimate(math.nan, math.inf, 0)
    careful = moments.plus(Moments(2, 1.0, 1.0)) if sort == "share" else moments
    return Estimate(moments.mean, careful.variance / moments.size, moments.size)


def change(before: Estimate, after: Estimate, sort: Sort, level: float = LEVEL) -> Change | None:
    """Return how `after` differs; None where there are too few values, or a ratio to nothing."""
    if min(before.size, after.size) < LEAST:
        return None
    wide = _factor(1 / (1 / before.size + 1 / after.size), level)
    if sort != "amount":
        value, half = after.mean - before.mean, wide * math.sqrt(before.error + after.error)
        most = 1.0 if sort == "share" else math.inf
        return Change(value, max(-most, value - half), min(most, value + half))
    if before.mean <= 0 or after.mean <= 0:
        return None
    half = wide * math.sqrt(before.error / before.mean**2 + after.error / after.mean**2)
    middle = math.log(after.mean / before.mean)
    return Change(math.expm1(middle), math.expm1(middle - half), math.expm1(min(middle + half, 700)))


def effect(before: Moments, after: Moments) -> float | None:
    """Return Cohen's d, the difference in standard deviations; None where nothing varies."""
    freedom = before.size + after.size - 2
    if min(before.size, after.size) < 2 or freedom <= 0:
        return None
    pooled = ((before.size - 1) * before.variance + (after.size - 1) * after.variance) / freedom
    return (after.mean - before.mean) / math.sqrt(pooled) if pooled > 0 else None


Stratum = tuple[Moments, Moments]


def adjusted(strata: Iterable[Stratum], sort: Sort) -> tuple[Estimate, Estimate] | None:
    """Return both sides as if each had the same mix of strata; None where no stratum has both.

    Direct standardisation: every stratum weighs as much as it does on both sides together.
    """
    both = [each for each in strata if min(each[0].size, each[1].size) >= 2]
    whole = sum(old.size + new.size for old, new in both)
    if not whole:
        return None
    weights = [(old.size + new.size) / whole for old, new in both]
    old, new = (_weighed([estimate(each[side], sort) for each in both], weights) for side in (0, 1))
    return old, new


def _weighed(estimates: list[Estimate], weights: list[float]) -> Estimate:
    pairs = list(zip(weights, estimates, strict=True))
    return Estimate(
        sum(weight * each.mean for weight, each in pairs),
        sum(weight**2 * each.error for weight, each in pairs),
        sum(each.size for each in estimates),
    )


def mix(counts: Mapping[str, tuple[int, int]]) -> float:
    """Return how far two mixes are apart, from 0 to 1: the share that would have to move."""
    old, new = (sum(each[side] for each in counts.values()) for side in (0, 1))
    if not old or not new:
        return 0.0
    return sum(abs(one / old - other / new) for one, other in counts.values()) / 2


def interval(moments: Moments, sort: Sort, level: float = LEVEL) -> tuple[float, float] | None:
    """Return where a mean lies; None of too few values."""
    if moments.size < LEAST:
        return None
    each = estimate(moments, sort)
    half = _factor(each.size, level) * math.sqrt(each.error)
    low, high = each.mean - half, each.mean + half
    return (max(0.0, low), min(1.0, high)) if sort == "share" else (low, high)


def _factor(count: float, level: float) -> float:
    """Return half the width of a confidence sequence, in standard errors, at so many values."""
    tuned = (2 * math.log(1 / level) + math.log(2 * math.log(1 / level) + 1)) / TUNED_FOR
    seen = count * tuned
    return math.sqrt(2 * (seen + 1) / seen * math.log(math.sqrt(seen + 1) / level))
