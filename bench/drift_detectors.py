"""Drift detectors side by side: weir's, river's as they come and on bounded values, and hourly tests."""

import math
import pickle
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from river.drift import ADWIN, KSWIN, PageHinkley
from scipy.stats import ks_2samp

from bench.drift_streams import DAY_MS, METRICS, PER_DAY
from streams.monitors.cusum import SegmentTests
from streams.monitors.scales import LEVELS, Scale, learn
from streams.monitors.segment import SegmentState, Watched
from streams.monitors.watched import sort_of

QUIET = 200_000
LEARN = 64
HOUR = PER_DAY // 24


class Detector(Protocol):
    """Watches all metrics of one segment."""

    def update(self, values: Sequence[float | None], now: int) -> list[int]:
        """Return the metrics that changed."""
        ...

    def size(self) -> int:
        """Return the bytes of its state."""
        ...


class Weir:
    """`streams.monitors.cusum`."""

    def __init__(self, names: Sequence[str] = METRICS) -> None:
        self.state = SegmentState(Watched(names, QUIET, LEARN))
        self.tests: SegmentTests = self.state.tests
        self.changes: list[Any] = []

    def update(self, values: Sequence[float | None], now: int) -> list[int]:
        """Return the metrics that changed."""
        found = self.tests.update(values, now)
        self.changes += found
        return [change.metric for change in found]

    def size(self) -> int:
        """Return the bytes of a snapshot's content, not packed."""
        return len(self.state.content())


class PerMetric:
    """One detector for each metric."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._each = [make(name) for name in METRICS]

    def update(self, values: Sequence[float | None], now: int) -> list[int]:
        """Return the metrics that changed."""
        found = []
        for metric, value in enumerate(values):
            if value is not None:
                self._each[metric].update(value)
                if self._each[metric].drift_detected:
                    found.append(metric)
        return found

    def size(self) -> int:
        """Return the bytes of the pickles."""
        return sum(len(pickle.dumps(each)) for each in self._each)


class Bounded:
    """Gives a detector of river the level on weir's scale, in spreads, or in 0..1."""

    def __init__(self, name: str, detector: Any, unit: bool) -> None:
        self._sort = sort_of(name)
        self._detector = detector
        self._unit = unit
        self._learned: list[float] = []
        self._scale: Scale | None = None
        self.drift_detected = False

    def update(self, value: float) -> None:
        """Learn the scale, and then pass the level on."""
        if self._scale is None:
            self._learned.append(value)
            if len(self._learned) == LEARN:
                self._scale = learn(self._learned, self._sort)
            return
        transformed = self._scale.transform(value)
        if self._scale.logarithmic or not self._unit:
            level = LEVELS[self._scale.level(transformed)]
            transformed = (level - LEVELS[0]) / (LEVELS[-1] - LEVELS[0]) if self._unit else level
        self._detector.update(transformed)
        self.drift_detected = self._detector.drift_detected


class Hourly:
    """Kolmogorov-Smirnov test of each hour against the first day, at one false alarm in `QUIET` events."""

    def __init__(self) -> None:
        self._level = HOUR / QUIET / len(METRICS)
        self._first: list[list[float]] = [[] for _ in METRICS]
        self._hour: list[list[float]] = [[] for _ in METRICS]
        self._positive = [False] * len(METRICS)

    def update(self, values: Sequence[float | None], now: int) -> list[int]:
        """Return the metrics that changed: those of which the hour before was as the first day."""
        found = []
        for metric, value in enumerate(values):
            if value is None:
                continue
            if now < DAY_MS:
                self._first[metric].append(value)
                continue
            self._hour[metric].append(value)
            if len(self._hour[metric]) == HOUR:
                positive = bool(ks_2samp(self._first[metric], self._hour[metric]).pvalue < self._level)
                if positive and not self._positive[metric]:
                    found.append(metric)
                self._positive[metric] = positive
                self._hour[metric] = []
        return found

    def size(self) -> int:
        """Return the bytes of the values."""
        return 8 * sum(map(len, self._first)) + 8 * sum(map(len, self._hour))


def _river(make: Any, **options: Any) -> Callable[[], Detector]:
    return lambda: PerMetric(lambda _: make(**options))


def _bounded(make: Any, unit: bool, **options: Any) -> Callable[[], Detector]:
    return lambda: PerMetric(lambda name: Bounded(name, make(**options), unit))


SHARE = 1 / QUIET / len(METRICS)
SLOW = "KSWIN (river), as it comes"
"""Watched on less: each value costs a test."""
DETECTORS: dict[str, Callable[[], Detector]] = {
    "weir: CUSUM of likelihood ratios": Weir,
    "ADWIN (river), as it comes": _river(ADWIN),
    "ADWIN (river), bounded values, corrected": _bounded(ADWIN, True, delta=SHARE),
    "Page-Hinkley (river), as it comes": _river(PageHinkley),
    # Its threshold is that of a CUSUM of normal values, by the same approximation as weir's.
    "Page-Hinkley (river), bounded values, corrected": _bounded(
        PageHinkley, False, delta=0.1, threshold=math.log(0.02 / SHARE) / 0.2, min_instances=LEARN, alpha=1.0
    ),
    SLOW: _river(KSWIN, seed=1),
    "Kolmogorov-Smirnov, hourly, corrected": Hourly,
}


def rows(values: Any) -> list[list[float | None]]:
    """Return the rows of a matrix; None for NaN."""
    return [[None if value != value else value for value in row] for row in np.asarray(values).tolist()]
