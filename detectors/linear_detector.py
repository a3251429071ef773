"""A detector that reads some columns of the shared linear heads."""

import numpy as np

from detectors.base import FloatMatrix
from detectors.batch import Batch
from detectors.encoder import Word, shared_encoder
from detectors.linear import shared_heads
from schemas.events import Evidence, Kind

WORDS = 5
"""Words of evidence per metric."""
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
        """Return up to `WORDS` words per metric that raise its log-odds, strongest first."""
        event = batch.events[row]
        if self.only not in (None, event.kind):
            return []
        tokens = batch.tokens
        ids = tokens.ids[tokens.offsets[row] : tokens.offsets[row + 1]]
        words = shared_encoder().words(event.text)
        found = []
        for metric, column in zip(self.metrics, self._columns, strict=True):
            weights = shared_heads().contributions(ids, column)
            found += [
                self._evidence(metric, word, event.text, weight)
                for word, weight in _strongest(words, weights)
            ]
        return sorted(found, key=lambda evidence: evidence.weight or 0.0, reverse=True)

    def _evidence(self, metric: str, word: Word, text: str, weight: float) -> Evidence:
        return Evidence(
            detector=self.name,
            metric=metric,
            start=word.start,
            end=word.end,
            weight=round(weight, 4),
            text=text[word.start : word.end],
        )


def _strongest(
    words: list[Word], weights: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> list[tuple[Word, float]]:
    weighted = [(word, float(weights[word.first : word.last].sum())) for word in words]
    return sorted((pair for pair in weighted if pair[1] >= NEGLIGIBLE), key=lambda pair: -pair[1])[:WORDS]
