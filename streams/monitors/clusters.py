"""Which shares of the texts are about what: clusters of sketches, and nearest references. Pure: no I/O."""

from collections.abc import Mapping
from typing import Annotated, Final, Self

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from streams.monitors.reference import Count

CLUSTERS: Final = 8
ROUNDS: Final = 10
NAMES: Final = 16
"""References that are counted; a new one takes the place of the rarest."""
NAME_LENGTH: Final = 200

Floats = npt.NDArray[np.float64]


class Shares(msgspec.Struct, array_like=True):
    """How many texts were in each cluster, and nearest to which reference."""

    counts: Annotated[list[Count], Meta(min_length=CLUSTERS, max_length=CLUSTERS)] = msgspec.field(
        default_factory=lambda: [0] * CLUSTERS
    )
    names: Annotated[dict[Annotated[str, Meta(max_length=NAME_LENGTH)], Count], Meta(max_length=NAMES)] = (
        msgspec.field(default_factory=dict)
    )

    def name(self, nearest: str) -> None:
        """Count a reference as the nearest ("Space-Saving", Metwally et al. 2005); empty is none."""
        if not nearest:
            return
        nearest = nearest[:NAME_LENGTH]
        if nearest not in self.names and len(self.names) == NAMES:
            rarest = min(self.names, key=lambda name: (self.names[name], name))
            self.names[nearest] = self.names.pop(rarest)
        self.names[nearest] = self.names.get(nearest, 0) + 1

    def add(self, other: Self) -> None:
        """Take over what another has counted."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        both = dict(self.names)
        for name, count in other.names.items():
            both[name] = both.get(name, 0) + count
        kept = sorted(both, key=lambda name: (-both[name], name))[:NAMES]
        self.names = {name: both[name] for name in kept}

    def halve(self) -> None:
        """Let all that was counted weigh half."""
        self.counts = [(count + 1) // 2 for count in self.counts]
        self.names = {name: (count + 1) // 2 for name, count in self.names.items()}

    def of_clusters(self) -> list[float]:
        """Return the share of each cluster."""
        total = max(1, sum(self.counts))
        return [count / total for count in self.counts]

    def of_names(self) -> Mapping[str, float]:
        """Return the share of each reference, the largest first."""
        total = max(1, sum(self.names.values()))
        return {
            name: self.names[name] / total for name in sorted(self.names, key=lambda n: (-self.names[n], n))
        }


def learn(points: Floats) -> Floats:
    """Return `CLUSTERS` centroids of points, shape (N, D): k-means from points that lie far apart."""
    found = points[[int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())]]
    for _ in range(CLUSTERS - 1):
        found = np.vstack([found, points[_distances(points, found).min(axis=1).argmax()]])
    for _ in range(ROUNDS):
        nearest = _distances(points, found).argmin(axis=1)
        found = np.stack(
            [
                points[nearest == n].mean(axis=0) if (nearest == n).any() else old
                for n, old in enumerate(found)
            ]
        )
    return found


def nearest(centroids: Floats, point: Floats) -> int:
    """Return the number of the centroid that is nearest to a point."""
    return int(((centroids - point) ** 2).sum(axis=1).argmin())


def _distances(points: Floats, centroids: Floats) -> Floats:
    return np.asarray(((points[:, None] - centroids) ** 2).sum(axis=2))
