"""Windows: a text is read in parts that overlap by half, and its score is that of its highest part.

So a few bad words in a long document are not diluted (MI-SVM: Andrews et al. 2003).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from detectors.models.embeddings import Floats
from detectors.models.tokenizer import Tokens

BLOCK = 16
"""Tokens in half a window."""


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

    def __len__(self) -> int:
        return len(self.first)

    def sums(self, table: Floats, ids: npt.NDArray[np.integer]) -> Floats:
        """Return the sums of `table[ids]` over each window, added in order: no window depends on others."""
        picks = csr_matrix(
            (np.ones(len(ids), np.float32), ids, np.append(self.blocks, len(ids))),
            shape=(len(self.blocks), len(table)),
        )
        blocks = np.asarray(picks @ table, dtype=np.float32)
        sums = blocks[self.first]
        sums[self.paired] += blocks[self.first[self.paired] + 1]
        return sums

    def ids(self, tokens: Tokens, number: int) -> npt.NDArray[np.int32]:
        """Return the tokens of one window."""
        start = int(self.blocks[self.first[number]])
        return tokens.ids[start : start + int(self.lengths[number])]


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
