"""Detectors of subjects that move, side by side: weir's, and the candidates that it was chosen from."""

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from schemas.sketches import unpack
from streams.monitors import clusters
from streams.monitors.cusum import SegmentTests
from streams.monitors.topic import TopicTest
from streams.monitors.views import Layout

QUIET: Final = 200_000
LEARN: Final = 256


class Detector(Protocol):
    """Watches the subjects of one segment."""

    def update(self, text: bytes, now: int) -> bool:
        """Return whether they have changed."""
        ...

    def size(self) -> int:
        """Return the bytes of its state."""
        ...


class Weir:
    """`streams.monitors.topic`."""

    def __init__(self) -> None:
        self._test = TopicTest(QUIET)

    def update(self, text: bytes, now: int) -> bool:
        """Return whether the subjects have changed."""
        return self._test.update(text, "", now) is not None

    def size(self) -> int:
        """Return the bytes of a snapshot's content, not packed."""
        return len(msgspec.msgpack.encode(self._test.export()))


class Mmd:
    """Maximum mean discrepancy in linear time: moving averages of random Fourier features against their mean.

    Gretton et al. 2012, "A Kernel Two-Sample Test"; Rahimi & Recht 2007, "Random Features for Large-Scale
    Kernel Machines". Twelve standard deviations of what chance gives are a change.
    """

    FEATURES = 64
    SPEEDS = (1 / 32, 1 / 256)

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self._directions = rng.standard_normal((self.FEATURES, 32))
        self._phases = rng.uniform(0, 2 * np.pi, self.FEATURES)
        self._learned: list[Any] = []

    def update(self, text: bytes, now: int) -> bool:
        """Return whether the subjects have changed."""
        point = unpack(text[1:])[0]
        if len(self._learned) < LEARN:
            self._learned.append(point)
            if len(self._learned) == LEARN:
                self._learn(np.stack(self._learned))
            return False
        away = self._features(point) - self._mean
        for average, speed in zip(self._averages, self.SPEEDS, strict=True):
            average += speed * (away - average)
            excess = average @ average / (speed / (2 - speed) + 1 / LEARN) - self._trace
            if excess / self._deviation > 12:
                self._learned = []
                return True
        return False

    def _features(self, points: Any) -> Any:
        return np.sqrt(2 / self.FEATURES) * np.cos(points @ self._directions.T / self._width + self._phases)

    def _learn(self, points: Any) -> None:
        distances = ((points[:, None] - points[None]) ** 2).sum(axis=2)
        self._width = np.sqrt(np.median(distances) / 2)
        features = self._features(points)
        self._mean, variances = features.mean(axis=0), np.linalg.eigvalsh(np.cov(features.T))
        self._trace, self._deviation = variances.sum(), np.sqrt(2 * (variances**2).sum())
        self._averages = np.zeros((len(self.SPEEDS), self.FEATURES))

    def size(self) -> int:
        """Return the bytes of its numbers."""
        return 8 * (3 + len(self.SPEEDS)) * self.FEATURES + 8 * 33 * self.FEATURES


class Clusters:
    """Shares of eight clusters and of none of them: weir's tests of rates, one for each."""

    def __init__(self) -> None:
        rates = clusters.CLUSTERS + 1
        self._layout = Layout(["rate"] * rates, QUIET * 10, 64)
        self._learned: list[Any] = []

    def update(self, text: bytes, now: int) -> bool:
        """Return whether the subjects have changed."""
        point = unpack(text[1:])[0]
        if len(self._learned) < LEARN:
            self._learned.append(point)
            if len(self._learned) == LEARN:
                points = np.stack(self._learned)
                self._centroids = clusters.learn(points)
                nearest = [self._nearest(each)[1] for each in points]
                self._radius = np.quantile(nearest, 0.98)
                self._tests = SegmentTests(self._layout)
            return False
        number, distance = self._nearest(point)
        values = [0.0] * (clusters.CLUSTERS + 1)
        values[number if distance <= self._radius else -1] = 1.0
        changed = bool(self._tests.update(values, now))
        if changed:
            self._learned = []
        return changed

    def _nearest(self, point: Any) -> tuple[int, float]:
        number = clusters.nearest(self._centroids, point)
        return number, float(((self._centroids[number] - point) ** 2).sum())

    def size(self) -> int:
        """Return the bytes of its tests and centroids."""
        states = [self._tests.export(metric) for metric in range(clusters.CLUSTERS + 1)]
        return len(msgspec.msgpack.encode(states)) + self._centroids.nbytes


DETECTORS: Final[dict[str, Callable[[], Detector]]] = {
    "weir: moving averages, whitened": Weir,
    "MMD on random features, moving averages": Mmd,
    "shares of clusters, CUSUM of each": Clusters,
}
