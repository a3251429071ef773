"""A detector that reads some columns of the shared linear heads."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from detectors.base import FloatMatrix
from detectors.batch import Batch
from detectors.encoder import Words, shared_encoder
from detectors.linear import shared_heads
from schemas.events import Evidence, Kind

WORDS = 5
"""Words of evidence per metric."""
UNLIKELY = 0.05
"""A probability below this needs no explanation."""
NEGLIGIBLE = 0.01
"""A word that adds less log-odds than this is no evidence."""


class LinearDetector:
    """Calibrated probabilities of linear heads with the same names as its metrics.

    Subclasses state the name, the version, the metrics and, where only one kind of text is judged,
    that kind; other rows are NaN.
    """

    name: str
    version: str
    metrics: tuple[str, ...]
    only: Kind | None = None

    def __init__(self) -> None:
        names = shared_heads().names
        self._columns = [names.index(metric) for metric in self.metrics]

    def score(self, batch: Batch) -> FloatMatrix:
        """Return probabilities, shape (len(batch), len(metrics)); NaN where the kind is not judged."""
        scores = batch.head_probabilities[:, self._columns]
        if self.only is not None:
            scores[batch.is_completion != (self.only == "completion")] = np.nan
        return scores

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return up to `WORDS` words per metric that raise its log-odds, strongest first.

        Metrics with a probability below `UNLIKELY` have none: there is nothing to explain.
        """
        event = batch.events[row]
        if self.only not in (None, event.kind):
            return []
        scores = batch.head_probabilities[row, self._columns]
        likely = [number for number, score in enumerate(scores) if score >= UNLIKELY]
        tokens = batch.tokens
        ids = tokens.ids[tokens.offsets[row] : tokens.offsets[row + 1]]
        if not likely or not len(ids):
            return []
        words = shared_encoder().words(event.text)
        contributions = shared_heads().contributions(ids, [self._columns[number] for number in likely])
        found: list[Evidence] = []
        for metric, weights in zip([self.metrics[number] for number in likely], contributions, strict=True):
            found += self._evidence(metric, words, weights, event.text)
        return sorted(found, key=lambda evidence: evidence.weight or 0.0, reverse=True)

    def _evidence(
        self, metric: str, words: Words, weights: npt.NDArray[np.float64], text: str
    ) -> Iterator[Evidence]:
        sums = np.add.reduceat(weights, words.first)
        for word in np.argsort(-sums, kind="stable")[:WORDS].tolist():
            if sums[word] < NEGLIGIBLE:
                return
            start, end = int(words.start[word]), int(words.end[word])
            yield Evidence(
                detector=self.name,
                metric=metric,
                start=start,
                end=end,
                weight=round(float(sums[word]), 4),
                text=text[start:end],
            )
