"""How the values of a metric are made bounded, so that one absurd value moves no test by more than a step.

A metric is seen in one or two views, each on a grid of `GRID` points: its *level*, in spreads from the median
of what was learned, cut at three; and, where the values are probabilities, its *share*: how much counts as a
hit, which a few high scores more move long before the level does.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

Sort = Literal["score", "quantity", "rate"]
"""Of a metric: what a detector says; tokens, time or money, of which ratios count; 0 or 1."""

GRID: Final = 49
REACH: Final = 3.0
"""Of the level, in spreads."""
LIMIT: Final = 1e9
"""A larger value is no measurement (a latency of eleven days): it is left out."""
MIN_SPREAD: Final = 0.05
"""In 0..1, or 5 % of a quantity: where values hardly differ, a smaller one would make news of nothing."""
MISS: Final = 0.4
HIT: Final = 0.6
"""A score up to `MISS` counts for nothing, from `HIT` on as one: below is the noise of harmless texts."""
_SMALLEST: Final = 1e-9
_BOUND: Final = math.log(LIMIT / _SMALLEST)
_HALF: Final = GRID // 2
_STEPS: Final = _HALF / REACH
"""Grid points in one spread."""

LEVELS: Final = tuple((point - _HALF) / _STEPS for point in range(GRID))
SHARES: Final = tuple(point / (GRID - 1) for point in range(GRID))
"""What a grid point stands for: spreads from the median, and parts of a hit."""


class Scale(msgspec.Struct, frozen=True, array_like=True):
    """Where the values of a metric lie, as learned."""

    logarithmic: bool
    signed: bool
    """The logarithm is of 1 + the value, with its sign: for whatever may be 0 or less."""
    center: Annotated[float, Meta(ge=-_BOUND, le=_BOUND)]
    spread: Annotated[float, Meta(ge=MIN_SPREAD, le=2 * _BOUND)]

    def transform(self, value: float) -> float:
        """Return the value in the form that is averaged: itself in 0..1, or its logarithm."""
        if not self.logarithmic:
            return min(1.0, max(0.0, value))
        if self.signed:
            return math.copysign(math.log1p(abs(value)), value)
        return math.log(max(value, _SMALLEST))

    def invert(self, average: float) -> float:
        """Return a mean, or a geometric mean, of transformed values as a value."""
        average = min(_BOUND, max(-_BOUND, average))
        if not self.logarithmic:
            return average
        return math.copysign(math.expm1(abs(average)), average) if self.signed else math.exp(average)

    def level(self, transformed: float) -> int:
        """Return the grid point of the level."""
        steps = (transformed - self.center) / self.spread * _STEPS
        return _HALF + round(min(_HALF, max(-_HALF, steps)))


def share(transformed: float) -> int:
    """Return the grid point of the share."""
    return round(min(1.0, max(0.0, (transformed - MISS) / (HIT - MISS))) * (GRID - 1))


def learn(values: Sequence[float], sort: Sort) -> Scale:
    """Return the scale of values: numbers within `LIMIT`, at least one."""
    if sort == "rate":
        return Scale(False, False, 0.0, 1.0)
    unit = sort == "score" and all(0 <= value <= 1 for value in values)
    scale = Scale(not unit, sort == "score", 0.0, 1.0)
    ordered = sorted(map(scale.transform, values))
    quarter = len(ordered) // 4
    # Of a normal distribution the middle half is 1.349 standard deviations wide.
    spread = (ordered[-1 - quarter] - ordered[quarter]) / 1.349
    return Scale(scale.logarithmic, scale.signed, ordered[len(ordered) // 2], max(MIN_SPREAD, spread))
