"""Sums over token rows of 8-bit tables: exact integers, so that no row depends on its neighbours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from detectors.models.tokenizer import Tokens

Floats = npt.NDArray[np.float32]


def segment_sums(table: Floats, rows: npt.NDArray[np.integer], starts: npt.NDArray[np.int64]) -> Floats:
    """Return the sums of `table[rows]` over the segments that begin at `starts`.

    The table holds integers of at most 8 bits, so the sums are exact up to 131,072 rows a segment.
    `starts` is strictly increasing; a segment ends where the next begins, the last at the end of `rows`.
    One product of a sparse matrix of ones, several times as fast as `np.add.reduceat`.
    """
    ones = np.ones(len(rows), np.float32)
    picks = csr_matrix((ones, rows, np.append(starts, len(rows))), shape=(len(starts), len(table)))
    return np.asarray(picks @ table, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Static token embeddings, 8-bit integers (as float32) with one scale per component."""

    values: Floats
    """Shape (vocabulary, D)."""
    scales: Floats
    """Shape (D,)."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the embeddings of an `embeddings.npz`."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["values"].astype(np.float32), arrays["scales"])

    @property
    def dimensions(self) -> int:
        """D, the length of an embedding."""
        return int(self.values.shape[1])

    def embed(self, tokens: Tokens) -> Floats:
        """Return the mean of each text's token embeddings, L2-normalised, shape (N, D).

        A text without tokens gives zeros.
        """
        vectors = np.zeros((len(tokens), self.dimensions), dtype=np.float32)
        filled = np.flatnonzero(tokens.counts)
        if len(filled):
            sums = segment_sums(self.values, tokens.ids, tokens.offsets[filled]) * self.scales
            norms = np.sqrt(np.einsum("nd,nd->n", sums, sums))[:, None]
            np.divide(sums, norms, out=sums, where=norms > 0)
            vectors[filled] = sums
        return vectors
