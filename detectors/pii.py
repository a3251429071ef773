"""Counts personal data of fixed form: see `detectors.privacy.personal_data`."""

import numpy as np

from detectors.base import COUNT, FloatMatrix
from detectors.batch import Batch
from detectors.limits import EVIDENCE_LIMIT
from detectors.privacy.personal_data import PII_KINDS, STRONG, personal_data
from schemas.events import Evidence


class PiiDetector:
    """Counts findings in text and tool calls: `pii` all kinds, `pii_strong` those of `STRONG`."""

    name = "pii"
    version = "12"
    metrics = ("pii", "pii_strong")
    ranges = dict.fromkeys(metrics, COUNT)
    cheap_to_explain = True
    find = staticmethod(personal_data)
    kinds = PII_KINDS

    def score(self, batch: Batch) -> FloatMatrix:
        """Return counts, shape (N, 2)."""
        scores = np.zeros((len(batch), 2), dtype=np.float32)
        if all_found := batch.found(self.find):
            for row, event in enumerate(batch.events):
                if found := all_found.said(event):
                    scores[row] = len(found), sum(finding.kind in STRONG for finding in found)
        return scores

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return kind and span of each finding, never its value; strong kinds first.

        What tool calls carry has no span in the text.
        """
        found = batch.found(self.find).said(batch.events[row])
        found.sort(key=lambda finding: (finding.kind not in STRONG, finding.start))
        return [
            Evidence(detector=self.name, metric=metric, label=f.kind, start=f.start, end=f.end)
            for f in found[:EVIDENCE_LIMIT]
            for metric in (("pii", "pii_strong") if f.kind in STRONG else ("pii",))
        ]
