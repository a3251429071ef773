"""Says where a text is in a language that nobody has measured the heads in."""

from typing import Final

import numpy as np

from detectors.base import SHARE, FloatMatrix
from detectors.batch import Batch
from schemas.events import Evidence

MEASURED: Final = frozenset({
    "ar", "de", "el", "en", "es", "et", "fr", "hi", "ht", "id", "it", "ja", "ko", "nl", "pl", "pt", "qu",
    "ro", "ru", "sw", "ta", "th", "tr", "vi", "zh",
})  # fmt: skip
"""Languages of which docs/evaluation.md has a row: how often ordinary texts are flagged, or what is found."""


class LanguageDetector:
    """`language_unjudged`: 1 for a text in a language that no head was measured in, else 0.

    NaN where the language is not known: a word or two, code, numbers, a text that may be in one
    of two that are alike. The language itself is no score but a field of the scored event, `language`.
    """

    name = "language"
    version = "3"
    metrics = ("language_unjudged",)
    ranges = dict.fromkeys(metrics, SHARE)
    needs = ("languages",)
    cheap_to_explain = True

    def score(self, batch: Batch) -> FloatMatrix:
        """Return ones and zeros, shape (N, 1)."""
        return np.array(
            [[float(name not in MEASURED) if name else np.nan] for name in batch.languages], dtype=np.float32
        ).reshape(len(batch), 1)

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return the language, where it is one that was not measured."""
        name = batch.languages[row]
        if not name or name in MEASURED:
            return []
        return [Evidence(detector=self.name, metric="language_unjudged", label=name)]
