"""Detectors that give calibrated probabilities of the cascade's heads, and what they rest on."""

from collections.abc import Iterator

import numpy as np

from detectors.base import SHARE, UNLIKELY, FloatMatrix, strength
from detectors.batch import Batch
from detectors.models.occlusion import Phrase
from detectors.models.weights import Models
from schemas.events import Evidence, Kind

PHRASES = 5
"""Words or phrases of evidence per metric."""
NEGLIGIBLE = 0.01
"""What adds less log-odds than this is no evidence."""


class HeadDetector:
    """Calibrated probabilities of the cascade's heads with the same names as its metrics.

    Subclasses state the name, the version, the metrics and, where only one kind of text is judged,
    that kind; other rows are NaN.
    """

    name: str
    version: str
    metrics: tuple[str, ...]
    only: Kind | None = None
    needs: tuple[str, ...] = ("head_probabilities",)

    def __init__(self, models: Models) -> None:
        self._cascade = models.cascade
        names = self._cascade.names
        self.ranges = dict.fromkeys(self.metrics, SHARE)
        self._columns = [names.index(metric) for metric in self.metrics if metric in names]

    def score(self, batch: Batch) -> FloatMatrix:
        """Return probabilities, shape (len(batch), len(metrics)); NaN where the kind is not judged."""
        scores = batch.head_probabilities[:, self._columns]
        if self.only is not None:
            scores[batch.is_completion != (self.only == "completion")] = np.nan
        return scores

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return up to `PHRASES` words or phrases per metric that raise its log-odds, strongest first.

        Metrics with a probability below `UNLIKELY` have none: there is nothing to explain. Where another
        reading of the text decided (see `normalise`), its span is the evidence.
        """
        event = batch.events[row]
        if self.only not in (None, event.kind):
            return []
        likely = [column for column in self._columns if batch.head_probabilities[row, column] >= UNLIKELY]
        plain = [
            c for c in likely if batch.verdicts.probabilities[row, c] == batch.head_probabilities[row, c]
        ]
        found = [
            item for column in likely if column not in plain for item in self._hidden(batch, row, column)
        ]
        if plain and batch.tokens.counts[row]:
            found += self._phrases(batch, row, plain)
        return sorted(found, key=strength, reverse=True)

    def _phrases(self, batch: Batch, row: int, columns: list[int]) -> Iterator[Evidence]:
        deciding = np.maximum(batch.verdicts.deciding[row], 0).tolist()
        by_column = [batch.occlusion(row, deciding[column]).phrases(column) for column in columns]
        for column, parts in zip(columns, by_column, strict=True):
            for part in _strongest(parts):
                yield Evidence(
                    detector=self.name,
                    metric=self._cascade.names[column],
                    label="encoder",
                    start=part.start,
                    end=part.end,
                    weight=round(part.weight, 4),
                    text=batch.texts[row][part.start : part.end],
                )

    def _hidden(self, batch: Batch, row: int, column: int) -> Iterator[Evidence]:
        """Yield the reading that decided; its weight is the log-odds themselves."""
        for place, (owner, reading) in enumerate(batch.hidden):
            probability = batch.hidden_verdicts.probabilities[place, column]
            if owner == row and probability == batch.head_probabilities[row, column]:
                yield Evidence(
                    detector=self.name,
                    metric=self._cascade.names[column],
                    label=reading.how,
                    start=reading.start,
                    end=reading.end,
                    weight=round(log_odds(float(probability)), 4),
                )
                return


def log_odds(probability: float) -> float:
    """Return the natural logarithm of the odds, with the probability kept away from 0 and 1."""
    inside = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(inside / (1 - inside)))


def _strongest(parts: list[Phrase]) -> list[Phrase]:
    order = sorted(parts, key=lambda part: -part.weight)
    return [part for part in order[:PHRASES] if part.weight >= NEGLIGIBLE]
