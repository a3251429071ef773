"""Counts credentials: see `detectors.privacy.credentials`."""

import numpy as np

from detectors.base import COUNT, FloatMatrix
from detectors.batch import Batch
from detectors.limits import EVIDENCE_LIMIT
from detectors.privacy.credentials import CREDENTIAL_KINDS, credentials
from schemas.events import Evidence


class SecretsDetector:
    """Counts the credentials in a text and in its tool calls."""

    name = "secrets"
    version = "12"
    metrics = ("secrets",)
    ranges = dict.fromkeys(metrics, COUNT)
    cheap_to_explain = True
    find = staticmethod(credentials)
    kinds = CREDENTIAL_KINDS

    def score(self, batch: Batch) -> FloatMatrix:
        """Return counts, shape (N, 1)."""
        scores = np.zeros((len(batch), 1), dtype=np.float32)
        if all_found := batch.found(self.find):
            scores[:, 0] = [len(all_found.said(event)) for event in batch.events]
        return scores

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return kind and span of each finding, never its value; in a tool call there is no span."""
        found = batch.found(self.find).said(batch.events[row])
        return [
            Evidence(detector=self.name, metric="secrets", label=f.kind, start=f.start, end=f.end)
            for f in found[:EVIDENCE_LIMIT]
        ]
