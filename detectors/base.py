"""The protocol that every detector keeps."""

from math import inf
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from detectors.batch import Batch
from schemas.events import Evidence

FloatMatrix = npt.NDArray[np.float32]
UNLIKELY = 0.05
"""A probability below this needs no explanation."""


class Range(NamedTuple):
    """The values that a metric can have, both ends among them; a threshold outside never holds, or always."""

    low: float = -inf
    high: float = inf
    whole: bool = False
    """Only whole numbers."""


SHARE = Range(0.0, 1.0)
"""Of probabilities, too."""
COUNT = Range(0.0, inf, whole=True)


@runtime_checkable
class Detector(Protocol):
    """Gives scores, never decisions; holds no threshold; keeps no state between batches.

    The invariant, tested for every detector in the registry: `score(a + b)` equals
    `score(a)` above `score(b)`, for any batch size and order.

    A detector may say in `needs`, a tuple of names, which features of `Batch` it shares with others: they
    are computed before it is called, each within a budget of its own. When one fails, or something that it is
    made of, the detector is not called and has failed. It may say in `ranges`, a dict of metric names to
    `Range`, which values they can have: a policy with a threshold outside is refused.

    A detector may offer `find(text)`, which returns a `Finding` (a kind such as `EMPLOYEE_NUMBER`, and a span
    in characters) for each thing in a text that must not be kept; in linear time, since it is given texts of
    `SCAN_LIMIT` characters. It is asked about all that events carry (texts, tool calls, system prompts,
    contexts, metadata), also without disguise, and what it finds is redacted wherever personal data is.
    `batch.found(self.find)` tells the detector what was found. Where `find` raises, the text is not kept, and
    the detector has failed.

    A detector with `find` may name in `kinds` those that a policy can count: the kind `EMAIL` of the detector
    `pii` is `pii_email` there. They are no columns of the matrix, since most texts hold nothing.
    """

    name: str
    """The same in the file, the registry, the policy, the columns and the dashboard."""
    version: str
    metrics: tuple[str, ...]
    """Names of the columns of `score`, unique over all detectors; they become ClickHouse columns."""

    def score(self, batch: Batch) -> FloatMatrix:
        """Return a matrix of shape (len(batch), len(metrics)); NaN means "does not apply"."""
        ...

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return the evidence for one row, strongest first; asked only for rows that trip a rule."""
        ...


def counted_name(detector: str, kind: str) -> str:
    """Return the name by which a policy counts a kind of findings."""
    return f"{detector}_{kind.lower()}"


def counted(detector: "Detector | type[Detector]") -> tuple[str, ...]:
    """Return the names by which a policy counts what a detector finds."""
    return tuple(counted_name(detector.name, kind) for kind in getattr(detector, "kinds", ()))


def strength(evidence: Evidence) -> float:
    """Return the weight that evidence is ordered by."""
    return evidence.weight or 0.0
