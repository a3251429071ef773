"""Which words a verdict rests on: how much the encoder's log-odds fall when a phrase is left out.

Occlusion: Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks".
"""

from dataclasses import dataclass

import numpy as np

from detectors.models.cascade import Cascade
from detectors.models.embeddings import Floats
from detectors.models.windows import BLOCK

MAX_PHRASES = 8
"""Phrases that a window is cut into; each is one more window for the encoder."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Characters `start` to `end` of a text and the log-odds that they add."""

    start: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True)
class Occlusion:
    """The phrases of one window, and what each adds to every head."""

    spans: list[tuple[int, int]]
    """Start and end (excluded) of each phrase, in characters."""
    falls: Floats
    """Shape (phrases, heads): by how much the log-odds fall without the phrase."""

    def phrases(self, head: int) -> list[Phrase]:
        """Return the phrases with what they add to one head."""
        weights = self.falls[:, head].tolist()
        return [Phrase(*span, weight) for span, weight in zip(self.spans, weights, strict=True)]


def occlude(cascade: Cascade, text: str, start: int) -> Occlusion:
    """Leave out one phrase after another of the window of a text that begins at its piece `start`."""
    ids = cascade.pieces.encode([text]).ids[start : start + 2 * BLOCK]
    places = np.arange(start, start + len(ids))
    words = cascade.pieces.words(text, start, start + len(ids))
    inside = np.flatnonzero((words.first < start + len(ids)) & (words.last > start))
    groups = np.array_split(inside, max(1, min(MAX_PHRASES, len(inside))))
    left_out = [(places >= words.first[g[0]]) & (places < words.last[g[-1]]) for g in groups if len(g)]
    # A window without any piece left would have no mean.
    windows = [ids, *(ids[~out] if not out.all() else ids[:1] * 0 for out in left_out)]
    logits = cascade.heads.logits(cascade.encoder.features(windows))
    spans = [(int(words.start[g[0]]), int(words.end[g[-1]])) for g in groups if len(g)]
    return Occlusion(spans, logits[0] - logits[1:])
