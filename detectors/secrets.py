"""Counts credentials: see `detectors.privacy.credentials`."""

import numpy as np

from detectors.base import COUNT, FloatMatrix
from detectors.batch import Batch
from detectors.limits import EVIDENCE_LIMIT
from detectors.privacy.findings import Finding
from schemas.events import Evidence


class SecretsDetector:
    """Counts the credentials in a text and in its tool calls."""

    name = "secrets"
    version = "3"
    metrics = ("secrets",)
    ranges = dict.fromkeys(metrics, COUNT)
    needs = ("findings", "call_findings")
    cheap_to_explain = True

    def score(self, batch: Batch) -> FloatMatrix:
        """Return counts, shape (N, 1)."""
        rows = zip(batch.findings, batch.call_findings, strict=True)
        found = (len(of_text[1]) + len(of_calls[1]) for of_text, of_calls in rows)
        counts = np.fromiter(found, dtype=np.float32, count=len(batch))
        return counts.reshape(-1, 1)

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return kind and span of each finding, never its value; in a tool call there is no span."""
        of_calls = [Finding(found.kind, -1, -1) for found in batch.call_findings[row][1]]
        return [
            Evidence(detector=self.name, metric="secrets", label=f.kind, start=f.start, end=f.end)
            for f in (batch.findings[row][1] + of_calls)[:EVIDENCE_LIMIT]
        ]
