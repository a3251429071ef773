"""Counts personal data of fixed form: see `detectors.privacy.personal_data`."""

import numpy as np

from detectors.base import COUNT, FloatMatrix
from detectors.batch import Batch
from detectors.privacy.findings import EVIDENCE_LIMIT
from detectors.privacy.personal_data import STRONG, find
from schemas.events import Evidence


class PiiDetector:
    """Counts findings: `pii` all kinds, `pii_strong` those of `STRONG`."""

    name = "pii"
    version = "3"
    metrics = ("pii", "pii_strong")
    ranges = dict.fromkeys(metrics, COUNT)
    cheap_to_explain = True

    def score(self, batch: Batch) -> FloatMatrix:
        """Return counts, shape (N, 2)."""
        scores = np.zeros((len(batch), 2), dtype=np.float32)
        for row, text in enumerate(batch.texts):
            if found := find(text):
                scores[row] = len(found), sum(finding.kind in STRONG for finding in found)
        return scores

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return kind and span of each finding, never its value; strong kinds first."""
        found = sorted(find(batch.texts[row]), key=lambda f: (f.kind not in STRONG, f.start))[:EVIDENCE_LIMIT]
        return [
            Evidence(detector=self.name, metric=metric, label=f.kind, start=f.start, end=f.end)
            for f in found
            for metric in (("pii", "pii_strong") if f.kind in STRONG else ("pii",))
        ]
