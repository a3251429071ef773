"""What reviewers said of decisions, and what it says of a policy."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Z: Final = 1.959964
"""Of a 95 % interval."""


@dataclass(frozen=True)
class Opinion:
    """What one reviewer says: of a whole decision, or of one rule or metric in it."""

    reviewer: str
    about: str
    """The rule or metric; empty for the decision."""
    judgement: str


@dataclass
class Labels:
    """Whether an event should have been acted upon, as far as reviewers say."""

    overall: bool | None = None
    by_name: dict[str, bool] = field(default_factory=dict)
    """By the rule or metric that was judged."""
    disputed: bool = False

    def of(self, names: Iterable[str]) -> bool | None:
        """Return the label for a rule, by its id and metrics: what was said of it, or of the decision."""
        return next((self.by_name[name] for name in names if name in self.by_name), self.overall)


def labels(opinions: Iterable[Opinion], acted: bool, hit: Mapping[str, bool]) -> Labels:
    """Return what reviewers, of whom the majority counts, say of an event.

    Args:
        opinions: of the event, a later one of the same reviewer about the same thing in place of the earlier.
        acted: whether the decision that they judged was other than `allow`.
        hit: whether a rule hit, or a metric decided, in it; what is not there did not.

    """
    latest = {(each.reviewer, each.about): each.judgement for each in opinions}
    votes: dict[str, int] = defaultdict(int)
    for (_, about), judgement in latest.items():
        found = hit.get(about, False) if about else acted
        right = {"correct": found, "false_positive": False, "false_negative": True}.get(judgement)
        if right is not None:
            votes[about] += 1 if right else -1
    result = Labels(disputed=0 in votes.values())
    for about, balance in votes.items():
        if balance and about:
            result.by_name[about] = balance > 0
        elif balance:
            result.overall = balance > 0
    return result


class Share(msgspec.Struct, frozen=True):
    """A share with its 95 % interval (Wilson 1927)."""

    right: int
    of: int
    share: float
    low: float
    high: float


def share(right: int, of: int) -> Share | None:
    """Return `right` of `of` as a share; None of nothing.

    https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval
    """
    if not of:
        return None
    p, spread = right / of, Z * Z / of
    middle = (p + spread / 2) / (1 + spread)
    half = Z * math.sqrt(p * (1 - p) / of + spread / (4 * of)) / (1 + spread)
    return Share(right, of, round(p, 4), round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4))


def is_below(right: int, of: int, limit: float, level: float = 0.05) -> bool:
    """Return whether reviews show that a share is below `limit`, however often one looks.

    The likelihood ratio of the shares below the limit, in equal parts, against the limit itself is a test
    martingale: where the share is not below, it ever passes 1 / `level` with a probability of at most
    `level`. An interval that is looked at after every review would be passed sooner or later by chance.
    https://doi.org/10.1214/20-STS797
    """
    shares = limit * (np.arange(200) + 0.5) / 200
    ratios = right * np.log(shares / limit) + (of - right) * (np.log1p(-shares) - math.log1p(-limit))
    highest = float(ratios.max())
    return highest + math.log(float(np.exp(ratios - highest).mean())) >= -math.log(level)


@dataclass
class Confusion:
    """Counts of reviewed events: what was found of what was there."""

    found: int = 0
    """Acted upon, and rightly."""
    mistaken: int = 0
    missed: int = 0

    def add(self, acted: Bools, wanted: Bools) -> None:
        """Count events: whether each was acted upon, and whether it should have been."""
        self.found += int(np.count_nonzero(acted & wanted))
        self.mistaken += int(np.count_nonzero(acted & ~wanted))
        self.missed += int(np.count_nonzero(~acted & wanted))

    @property
    def precision(self) -> Share | None:
        """Of what was acted upon, what should have been."""
        return share(self.found, self.found + self.mistaken)

    @property
    def recall(self) -> Share | None:
        """Of what should have been acted upon, what was."""
        return share(self.found, self.found + self.missed)
