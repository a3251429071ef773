"""Prompt injection and jailbreaks: in prompts, and hidden in what was retrieved."""

import numpy as np

from detectors.base import UNLIKELY, FloatMatrix, strength
from detectors.batch import Batch
from detectors.head_detector import PHRASES, HeadDetector, log_odds
from schemas.events import Evidence


class InjectionDetector(HeadDetector):
    """`injection`: direct injections and jailbreaks in a prompt, also inside a document that it carries.

    `injection_context`: the highest of an event's contexts, for prompts and completions; NaN without one
    (indirect prompt injection: Greshake et al. 2023).
    """

    name = "injection"
    version = "4"
    metrics = ("injection", "injection_context")
    only = "prompt"
    needs = ("head_probabilities", "passage_verdicts")

    def score(self, batch: Batch) -> FloatMatrix:
        """Return probabilities, shape (len(batch), 2); NaN where a metric does not apply."""
        scores = np.full((len(batch), 2), np.nan, dtype=np.float32)
        scores[:, :1] = super().score(batch)
        if batch.passages:
            rows = [row for row, _, _ in batch.passages]
            np.fmax.at(scores[:, 1], rows, batch.passage_verdicts.probabilities[:, self._columns[0]])
        return scores

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return the phrases of the prompt and the likeliest contexts, by their numbers, strongest first."""
        contexts = [
            Evidence(
                detector=self.name,
                metric="injection_context",
                label=f"context {number}",
                weight=round(log_odds(float(probability)), 4),
            )
            for (owner, number, _), probability in zip(
                batch.passages, batch.passage_verdicts.probabilities[:, self._columns[0]], strict=True
            )
            if owner == row and probability >= UNLIKELY
        ]
        contexts.sort(key=strength, reverse=True)
        return sorted([*super().explain(batch, row), *contexts[:PHRASES]], key=strength, reverse=True)
