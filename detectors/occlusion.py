"""Which words a verdict rests on.

Of the transformer: how much the log-odds fall when a phrase is left out (occlusion: Zeiler and Fergus
2014). Of the linear heads: what the phrase's n-grams add, exactly.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from detectors.cascade import Cascade
from detectors.encoder import Tokens, Words
from detectors.transformer import WINDOW

MAX_PHRASES = 16
"""Phrases that a window is cut into; each costs one run of the transformer."""

Tier = Literal["linear", "transformer"]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Characters `start` to `end` of a text and the log-odds that they add."""

    start: int
    end: int
    weight: float


def phrases(
    cascade: Cascade, tokens: Tokens, words: Words, deciding: Ints, heads: list[int]
) -> tuple[Tier, list[list[Phrase]]]:
    """Return the tier that decided on one text, and for each head the phrases of the deciding window.

    `tokens` and `words` are those of the one text, `deciding` its row of `Verdicts.deciding`.
    """
    deciding = deciding[heads]
    if (deciding < 0).any():
        return "linear", _linear(cascade, tokens, words, heads)
    found: list[list[Phrase]] = [[] for _ in heads]
    for start in np.unique(deciding).tolist():
        asked = np.flatnonzero(deciding == start).tolist()
        for number, parts in zip(
            asked, _occluded(cascade, tokens, words, start, [heads[i] for i in asked]), strict=True
        ):
            found[number] = parts
    return "transformer", found


def _linear(cascade: Cascade, tokens: Tokens, words: Words, heads: list[int]) -> list[list[Phrase]]:
    columns = [cascade.linear.names.index(cascade.names[head]) for head in heads]
    weights = cascade.linear.contributions(tokens.ids, columns)
    spans = list(zip(words.start.tolist(), words.end.tolist(), strict=True))
    sums = np.add.reduceat(weights, words.first, axis=1)
    return [[Phrase(*span, weight) for span, weight in zip(spans, row, strict=True)] for row in sums.tolist()]


def _occluded(
    cascade: Cascade, tokens: Tokens, words: Words, start: int, heads: list[int]
) -> list[list[Phrase]]:
    """Return the phrases of the window that begins at token `start`, for each head."""
    end = min(start + WINDOW, len(tokens.ids))
    inside = np.flatnonzero((words.first < end) & (words.last > start))
    groups = np.array_split(inside, min(MAX_PHRASES, len(inside)))
    places = np.arange(start, end)
    left_out = [(places >= words.first[g[0]]) & (places < words.last[g[-1]]) for g in groups]
    ids = tokens.ids[start:end]
    logits = cascade.transformer.logits([ids, *(ids[~out] for out in left_out)])[:, heads]
    falls = (logits[0] - logits[1:]) * cascade.weights[0, heads]
    spans = [(int(words.start[g[0]]), int(words.end[g[-1]])) for g in groups]
    return [
        [Phrase(*span, weight) for span, weight in zip(spans, fall, strict=True)] for fall in falls.T.tolist()
    ]
