"""Which words a verdict rests on.

Of the transformer: how much the log-odds fall when a phrase is left out (occlusion: Zeiler and Fergus
2014). Of the linear heads: what the phrase's n-grams add, exactly.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.models.cascade import Cascade
from detectors.models.tokenizer import Tokens, Words
from detectors.models.transformer import WINDOW

MAX_PHRASES = 8
"""Phrases that a window is cut into; each costs one run of the transformer."""

Floats = npt.NDArray[np.float32]


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


def occlude(cascade: Cascade, tokens: Tokens, words: Words, start: int) -> Occlusion:
    """Leave out one phrase after another of the window that begins at token `start`.

    `tokens` and `words` are those of the one text.
    """
    end = min(start + WINDOW, len(tokens.ids))
    inside = np.flatnonzero((words.first < end) & (words.last > start))
    groups = np.array_split(inside, min(MAX_PHRASES, len(inside)))
    places = np.arange(start, end)
    left_out = [(places >= words.first[g[0]]) & (places < words.last[g[-1]]) for g in groups]
    ids = tokens.ids[start:end]
    logits = cascade.transformer.logits([ids, *(ids[~out] for out in left_out)])
    spans = [(int(words.start[g[0]]), int(words.end[g[-1]])) for g in groups]
    return Occlusion(spans, (logits[0] - logits[1:]) * cascade.weights[0])


def contributions(cascade: Cascade, tokens: Tokens, words: Words, heads: list[int]) -> list[list[Phrase]]:
    """Return the words of one text with what the linear heads' n-grams add, for each head."""
    columns = cascade.columns
    weights = cascade.linear.contributions(tokens.ids, [columns[head] for head in heads])
    spans = list(zip(words.start.tolist(), words.end.tolist(), strict=True))
    sums = np.add.reduceat(weights, words.first, axis=1)
    return [[Phrase(*span, weight) for span, weight in zip(spans, row, strict=True)] for row in sums.tolist()]
