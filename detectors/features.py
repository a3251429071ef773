"""Sums over token rows of int8 tables: exact integers, so that no row depends on its neighbours."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from detectors.encoder import MODELS, Tokens

CHUNK = 1 << 15
"""Table rows gathered at once, which bounds the memory of a batch of long texts."""


def segment_sums(
    table: npt.NDArray[np.int8], rows: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int32]:
    """Return the sums of `table[rows]` over the segments that begin at `starts`, int32.

    `starts` is strictly increasing; a segment ends where the next begins, the last at the end of `rows`.
    """
    sums = np.empty((len(starts), table.shape[1]), dtype=np.int32)
    ends = np.append(starts[1:], len(rows))
    first = 0
    while first < len(starts):
        last = max(first + 1, int(np.searchsorted(ends, starts[first] + CHUNK, side="right")))
        part = rows[starts[first] : ends[last - 1]]
        gathered = table.take(part, axis=0)
        np.add.reduceat(
            gathered, starts[first:last] - starts[first], axis=0, dtype=np.int32, out=sums[first:last]
        )
        first = last
    return sums


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Static token embeddings, int8 with one scale per component."""

    values: npt.NDArray[np.int8]
    """Shape (vocabulary, D)."""
    scales: npt.NDArray[np.float32]
    """Shape (D,)."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the embeddings of an `embeddings.npz`."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["values"], arrays["scales"])

    @property
    def dimensions(self) -> int:
        """D, the length of an embedding."""
        return int(self.values.shape[1])

    def embed(self, tokens: Tokens) -> npt.NDArray[np.float32]:
        """Return the mean of each text's token embeddings, L2-normalised, shape (N, D).

        A text without tokens gives zeros.
        """
        vectors = np.zeros((len(tokens), self.dimensions), dtype=np.float32)
        filled = np.flatnonzero(tokens.counts)
        if len(filled):
            sums = (
                segment_sums(self.values, tokens.ids.astype(np.int64), tokens.offsets[filled]) * self.scales
            )
            norms = np.sqrt(np.einsum("nd,nd->n", sums, sums))[:, None]
            np.divide(sums, norms, out=sums, where=norms > 0)
            vectors[filled] = sums
        return vectors


@cache
def shared_embeddings() -> Embeddings:
    """Return the shipped embeddings, loaded once per process."""
    return Embeddings.load(MODELS / "embeddings.npz")
