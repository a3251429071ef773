"""Linear heads over hashed token n-grams, all heads in one table.

A feature is a token, a pair or a triple of tokens; pairs and triples share hashed buckets (Weinberger et
al. 2009, "Feature hashing for large scale multitask learning"). A text is read in windows of 64 tokens
that overlap by half, and its score is that of its highest window, so that a few bad words in a long
document are not diluted (MI-SVM: Andrews et al. 2003).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from detectors.models.embeddings import Floats, segment_sums
from detectors.models.tokenizer import Tokens

BLOCK = 32
"""Tokens in half a window."""
SMOOTHING = 8.0
"""Added to the length of a window before its square root divides the sum: no verdict on two tokens."""
ORDERS = 3
"""Longest n-gram."""
START = 101
"""The token `[CLS]`, which stands before the first one."""

_PRIMES = (np.uint32(2654435761), np.uint32(2246822519), np.uint32(3266489917))


def ngram_rows(
    ids: npt.NDArray[np.int32], offsets: npt.NDArray[np.int64], vocabulary: int, buckets: int
) -> npt.NDArray[np.int64]:
    """Return the table rows of each token's n-grams that end there, shape (tokens, ORDERS).

    Row numbers below `vocabulary` are tokens, the `buckets` after them hashed pairs and triples.
    """
    now = ids.astype(np.uint32)
    before = np.empty_like(now)
    before[1:] = now[:-1]
    starts = offsets[:-1][np.diff(offsets) > 0]
    before[starts] = START
    earlier = np.empty_like(now)
    earlier[1:] = before[:-1]
    earlier[starts] = START
    pairs = now * _PRIMES[0] + before * _PRIMES[1]
    triples = (pairs ^ (pairs >> np.uint32(15))) * _PRIMES[2] + earlier * _PRIMES[1] + np.uint32(1)
    rows = np.empty((len(ids), ORDERS), dtype=np.int64)
    rows[:, 0] = ids
    for column, mixed in ((1, pairs), (2, triples)):
        mixed ^= mixed >> np.uint32(16)
        mixed *= _PRIMES[0]
        rows[:, column] = vocabulary + (mixed >> np.uint32(8)) % np.uint32(buckets)
    return rows


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of N texts, in order; texts without tokens have none."""

    blocks: npt.NDArray[np.int64]
    """First token of each block."""
    first: npt.NDArray[np.int64]
    """First block of each window."""
    paired: npt.NDArray[np.bool_]
    """The window goes on into the next block."""
    lengths: npt.NDArray[np.int64]
    """Tokens in each window."""
    texts: npt.NDArray[np.int64]
    """The text of each window."""


def windows(tokens: Tokens) -> Windows:
    """Return the half-overlapping windows of each text."""
    counts = tokens.counts
    per_text = -(-counts // BLOCK)
    text = np.repeat(np.arange(len(tokens)), per_text)
    number = np.arange(len(text)) - np.repeat(np.cumsum(per_text) - per_text, per_text)
    left = counts[text] - number * BLOCK
    first = np.flatnonzero((left > BLOCK) | (number == 0))
    return Windows(
        blocks=tokens.offsets[text] + number * BLOCK,
        first=first,
        paired=left[first] > BLOCK,
        lengths=np.minimum(left[first], 2 * BLOCK),
        texts=text[first],
    )


def highest(by_window: Floats, texts: npt.NDArray[np.int64], count: int) -> Floats:
    """Return the highest window of each of `count` texts, shape (count, ...); -inf without tokens.

    `by_window` has the shape (windows, ...), `texts` is the text of each, ascending.
    """
    result = np.full((count, *by_window.shape[1:]), -np.inf, dtype=np.float32)
    if len(texts):
        filled, starts = np.unique(texts, return_index=True)
        result[filled] = np.maximum.reduceat(by_window, starts, axis=0)
    return result


@dataclass(frozen=True, slots=True)
class LinearHeads:
    """The table of all heads. P(head) = sigmoid(gain * sum / sqrt(length + SMOOTHING) + bias)."""

    names: tuple[str, ...]
    table: Floats
    """Shape (vocabulary + buckets, heads), 8-bit integers."""
    gains: npt.NDArray[np.float32]
    biases: npt.NDArray[np.float32]
    vocabulary: int

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the heads of a `heads.npz`."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(
                names=tuple(str(name) for name in arrays["names"]),
                table=arrays["table"].astype(np.float32),
                gains=arrays["gains"],
                biases=arrays["biases"],
                vocabulary=int(arrays["vocabulary"]),
            )

    def rows(self, ids: npt.NDArray[np.int32], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the table rows of each token, shape (tokens, ORDERS)."""
        return ngram_rows(ids, offsets, self.vocabulary, len(self.table) - self.vocabulary)

    def window_logits(self, tokens: Tokens, spans: Windows) -> npt.NDArray[np.float32]:
        """Return the calibrated log-odds of each window, shape (windows, heads)."""
        rows = self.rows(tokens.ids, tokens.offsets).ravel()
        sums = segment_sums(self.table, rows, spans.blocks * ORDERS)
        totals = sums[spans.first]
        totals[spans.paired] += sums[spans.first[spans.paired] + 1]
        length = np.sqrt(spans.lengths + SMOOTHING).astype(np.float32)
        return np.asarray(totals * self.gains / length[:, None] + self.biases, dtype=np.float32)

    def probabilities(self, tokens: Tokens) -> npt.NDArray[np.float32]:
        """Return the probability of each head for each text, shape (N, heads); 0 for no tokens."""
        spans = windows(tokens)
        logits = highest(self.window_logits(tokens, spans), spans.texts, len(tokens))
        return np.asarray(1.0 / (1.0 + np.exp(-logits)), dtype=np.float32)

    def contributions(self, ids: npt.NDArray[np.int32], heads: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return what each token of one text adds to the log-odds of its highest window.

        Shape (heads, tokens). An n-gram's share is split evenly over its tokens; tokens outside of the
        window that is highest for a head add nothing to it.
        """
        tokens = Tokens(ids, np.array([0, len(ids)]))
        weights = np.zeros((len(heads), len(ids)))
        if len(ids):
            spans = windows(tokens)
            logits = self.window_logits(tokens, spans)
            rows = self.rows(ids, tokens.offsets)
            for number, head in enumerate(heads):
                best = int(logits[:, head].argmax())
                start = int(spans.blocks[spans.first[best]])
                end = start + int(spans.lengths[best])
                values = self.table[rows[start:end], head] * float(self.gains[head])
                _share(weights[number], values / np.sqrt(end - start + SMOOTHING), start, end)
        return weights


def _share(weights: npt.NDArray[np.float64], values: npt.NDArray[np.float64], start: int, end: int) -> None:
    """Add the values of the n-grams that end at tokens `start` to `end`, to each of their tokens."""
    for order in range(ORDERS):
        for back in range(order + 1):
            np.add.at(weights, np.maximum(np.arange(start, end) - back, 0), values[:, order] / (order + 1))
