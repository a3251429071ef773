"""Counts credentials: see `detectors.privacy.credentials`."""

import numpy as np

from detectors.base import COUNT, FloatMatrix
from detectors.batch import Batch
from detectors.privacy.credentials import find
from detectors.privacy.findings import EVIDENCE_LIMIT
from schemas.events import Evidence


class SecretsDetector:
    """Counts the credentials in a text."""

    name = "secrets"
    version = "3"
    metrics = ("secrets",)
    ranges = dict.fromkeys(metrics, COUNT)
    cheap_to_explain = True

    def score(self, batch: Batch) -> FloatMatrix:
        """Return counts, shape (N, 1)."""
        counts = np.fromiter((len(find(text)) for text in batch.texts), dtype=np.float32, count=len(batch))
        return counts.reshape(-1, 1)

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return kind and span of each finding, never its value."""
        return [
            Evidence(detector=self.name, metric="secrets", label=f.kind, start=f.start, end=f.end)
            for f in find(batch.texts[row])[:EVIDENCE_LIMIT]
        ]
