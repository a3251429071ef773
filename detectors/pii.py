"""Counts personal data of fixed form: see `detectors.privacy.personal_data`."""

import numpy as np

from detectors.base import COUNT, FloatMatrix
from detectors.batch import Batch
from detectors.limits import EVIDENCE_LIMIT
from detectors.privacy.findings import Finding
from detectors.privacy.personal_data import STRONG
from schemas.events import Evidence


class PiiDetector:
    """Counts findings in text and tool calls: `pii` all kinds, `pii_strong` those of `STRONG`."""

    name = "pii"
    version = "3"
    metrics = ("pii", "pii_strong")
    ranges = dict.fromkeys(metrics, COUNT)
    needs = ("findings", "call_findings")
    cheap_to_explain = True

    def score(self, batch: Batch) -> FloatMatrix:
        """Return counts, shape (N, 2)."""
        scores = np.zeros((len(batch), 2), dtype=np.float32)
        for row, (of_text, of_calls) in enumerate(zip(batch.findings, batch.call_findings, strict=True)):
            if found := of_text[0] + of_calls[0]:
                scores[row] = len(found), sum(finding.kind in STRONG for finding in found)
        return scores

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return kind and span of each finding, never its value; strong kinds first.

        What tool calls carry has no span in the text.
        """
        of_calls = [Finding(found.kind, -1, -1) for found in batch.call_findings[row][0]]
        found = sorted(batch.findings[row][0] + of_calls, key=lambda f: (f.kind not in STRONG, f.start))[
            :EVIDENCE_LIMIT
        ]
        return [
            Evidence(detector=self.name, metric=metric, label=f.kind, start=f.start, end=f.end)
            for f in found[:EVIDENCE_LIMIT]
            for metric in (("pii", "pii_strong") if f.kind in STRONG else ("pii",))
        ]
