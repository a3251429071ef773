"""What a view of a metric was like before, and what a test may conclude from that. Pure: no I/O.

A test compares it, f, with what it would be when tilted, f(x) exp(t g(x) - psi(t)), where psi(t) is the
logarithm of the mean of exp(t g). So every step of a test is a fair bet against "nothing changed" (an
e-process; Shin, Ramdas and Rinaldo 2023, "E-detectors"), whatever f looks like.
"""

import math
from array import array
from collections.abc import Sequence
from operator import mul
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from streams.monitors.scales import GRID, LEVELS, SHARES

LEVEL_TILTS: Final = (0.2, -0.2, 0.4, -0.4)
"""Best for shifts of a fifth and of two fifths of a spread. A tenth is no change."""
SHARE_TILTS: Final = (math.log(2), -math.log(2), math.log(4), -math.log(4))
"""Best for odds that double, halve, or more; half as much again is no change."""
TILTS: Final = 4
SHORT: Final = 32
LONG: Final = 256
"""Values of a block. The means of short ones show how alike neighbours are; those of long ones, which also
last an hour, how far the level wanders."""
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
SHORT_MEMORY: Final = 2_048
LONG_MEMORY: Final = 168
"""Blocks that count: of the long ones a week at least."""
PRIOR: Final = 32
"""Short blocks that the assumption of independent values weighs."""
MOST_ALIKE: Final = 4.0
"""Neighbours that are alike make block means vary more; beyond this factor it is wandering."""
DOUBT: Final = 2.5
"""Standard errors by which block means have to vary more than independent values would make them."""
TOLERANCE: Final = 2.0
"""Standard deviations of the wandering that are no change."""
UNKNOWN_WANDER: Final = 0.25
"""Standard deviations by which a level is held to wander until it was watched for a day, and, when it has
changed, for `YOUNG` values."""
YOUNG: Final = 1_024
LEAST: Final = 4.0
"""Of a threshold, for what the approximation does not reach."""
CAUTION: Final = 0.5
"""Standard errors by which the reference may be off."""
UNSEEN: Final = 1.5
"""Values added at an end of the grid: what was never seen is not held to be impossible. Of a hundred values
without a hit the rate may well be 1.5 %."""
WEIGHT: Final = 32_768
"""Values that a reference holds; then all that it has counts half."""

Count = Annotated[int, Meta(ge=0, le=2**30)]
Grid = Annotated[list[Count], Meta(min_length=GRID, max_length=GRID)]
Number = Annotated[float, Meta(ge=-1e16, le=1e16)]
Time = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Powers(NamedTuple):
    """The grid of a view and, per tilt, exp(t g) on it."""

    grid: Sequence[float]
    tilts: Sequence[float]
    powers: Sequence[Sequence[float]]


def _powers(grid: Sequence[float], tilts: Sequence[float]) -> Powers:
    return Powers(grid, tilts, [[math.exp(tilt * point) for point in grid] for tilt in tilts])


LEVEL: Final = _powers(LEVELS, LEVEL_TILTS)
SHARE: Final = _powers(SHARES, SHARE_TILTS)


class Wander(msgspec.Struct, array_like=True):
    """How the means of blocks vary; kept when a level has changed."""

    short_blocks: Annotated[int, Meta(ge=1, le=SHORT_MEMORY)] = PRIOR
    """Short blocks that count."""
    alike: Annotated[float, Meta(ge=0, le=1e12)] = 1.0
    """Variance of short block means, times what it would be of independent values."""
    variance: Annotated[float, Meta(ge=-100, le=100)] = 0.0
    """Of the level from hour to hour, in squares of the grid's unit: what chance does not explain."""
    explained: Annotated[float, Meta(ge=0, le=100)] = 0.0
    """What chance explains."""
    long_blocks: Count = 0
    first: Time | None = None
    """Milliseconds: when the metric was first seen."""
    settled: bool = False
    """It was watched for a day."""

    @property
    def correlation(self) -> float:
        """The factor by which neighbours that are alike make sums vary more, where that is beyond doubt."""
        doubt = DOUBT * math.sqrt(2 / self.short_blocks)
        return min(MOST_ALIKE, self.alike) if self.alike > 1 + doubt else 1.0

    @property
    def deviation(self) -> float:
        """The standard deviation of the level from hour to hour, where that is beyond doubt."""
        doubt = DOUBT * self.explained * math.sqrt(2 / max(1, self.long_blocks))
        return math.sqrt(self.variance) if self.variance > doubt else 0.0


class Test(NamedTuple):
    """One step adds slope * g - drop; the test is positive at the threshold."""

    slope: float
    drop: float
    threshold: float


class Reference:
    """Counts per grid point of what a view was like, and the sums of the values."""

    __slots__ = ("counts", "sums", "wander")

    def __init__(self, wander: Wander | None = None) -> None:
        self.counts = array("I", bytes(4 * GRID))
        self.sums = [0.0, 0.0, 0.0]
        self.wander = wander or Wander()

    def add(self, counts: Sequence[int], sums: Sequence[float]) -> None:
        """Take over more values; the older ones count half once there are `WEIGHT`."""
        for point, count in enumerate(counts):
            self.counts[point] += count
        self.sums = [mine + other for mine, other in zip(self.sums, sums, strict=True)]
        if sum(self.counts) > WEIGHT:
            # Rounded up: what is rare is not to vanish.
            self.counts = array("I", [(count + 1) // 2 for count in self.counts])
            self.sums = [value / 2 for value in self.sums]

    def moments(self, grid: Sequence[float]) -> tuple[float, float]:
        """Return mean and variance on the grid."""
        low, high = grid[0], grid[-1]
        number = sum(self.counts) + 2 * UNSEEN
        mean = (sum(map(mul, self.counts, grid)) + UNSEEN * (low + high)) / number
        square = sum(count * point * point for count, point in zip(self.counts, grid, strict=True))
        square = (square + UNSEEN * (low * low + high * high)) / number
        return mean, square - mean * mean

    def learn_blocks(
        self, grid: Sequence[float], short: Sequence[float], long: Sequence[float], now: int
    ) -> None:
        """Learn from the means of blocks how alike neighbours are, and how far the level wanders.

        Args:
            grid: of the view.
            short: how many blocks, values in them, their sum, and the squares of the blocks' sums, each by
                its number of values, summed.
            long: the same of blocks that lasted an hour.
            now: milliseconds.

        """
        mean, variance = self.moments(grid)
        wander = self.wander
        if short[0]:
            ratio = _scatter(short, mean) / short[0] / variance
            wander.short_blocks = min(wander.short_blocks + int(short[0]), SHORT_MEMORY)
            weight = min(1.0, short[0] / wander.short_blocks)
            wander.alike += (min(ratio, 100.0) - wander.alike) * weight
        if long[0]:
            wander.long_blocks = min(wander.long_blocks + int(long[0]), LONG_MEMORY)
            explained = wander.correlation * variance * long[0] / long[1]
            square = _scatter(long, mean) / long[1] - explained
            weight = min(1.0, long[0] / wander.long_blocks)
            wander.variance += (square - wander.variance) * weight
            wander.explained += (explained - wander.explained) * weight
        wander.settled = wander.settled or (wander.long_blocks > 0 and now - (wander.first or 0) >= DAY_MS)

    def tests(self, powers: Powers, run_length: float) -> list[Test]:
        """Return the tests of a view against this reference.

        Args:
            powers: of the view.
            run_length: values per false alarm of each test.

        """
        mean, variance = self.moments(powers.grid)
        wander = self.wander.deviation
        if not self.wander.settled or sum(self.counts) < YOUNG:
            wander = max(wander, UNKNOWN_WANDER * math.sqrt(variance))
        return [
            self._test(tilt, row, mean, wander, run_length)
            for tilt, row in zip(powers.tilts, powers.powers, strict=True)
        ]

    def _test(self, tilt: float, row: Sequence[float], mean: float, wander: float, run_length: float) -> Test:
        """Return a test whose threshold follows from its run length.

        By Siegmund's approximation (1985, "Sequential Analysis", ch. 2): with a drift of -d per step and a
        variance of 2d, a CUSUM reaches b once in exp(b + 1.166 sqrt(2d)) / d steps.
        """
        # At the end that speaks against a change.
        end = UNSEEN * (row[-1] if tilt > 0 else row[0])
        number = sum(self.counts) + UNSEEN
        first = (sum(map(mul, self.counts, row)) + end) / number
        second = sum(count * power * power for count, power in zip(self.counts, row, strict=True))
        second = (second + end * end / UNSEEN) / number
        alike = self.wander.correlation
        error = math.sqrt(max(0.0, second - first * first) * alike / number) / first
        psi = math.log(first)
        drift = max(0.0, psi - tilt * mean) / alike
        threshold = math.log(max(1.0, run_length * drift)) - 1.166 * math.sqrt(2 * drift)
        drop = psi + CAUTION * error + abs(tilt) * TOLERANCE * wander
        return Test(tilt / alike, drop / alike, max(LEAST, threshold))


def _scatter(blocks: Sequence[float], mean: float) -> float:
    """Return the sum of the squared deviations of the blocks' means, each times its number of values."""
    _, number, total, squares = blocks
    return max(0.0, squares - 2 * mean * total + mean * mean * number)
