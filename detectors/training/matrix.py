"""Examples as a sparse matrix of windows, with exactly the features that scoring uses."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from detectors.models.embeddings import Embeddings, segment_sums
from detectors.models.linear import BLOCK, ORDERS, SMOOTHING, ngram_rows, windows
from detectors.models.tokenizer import Tokens

MAX_TOKENS = 16 * BLOCK
"""Tokens of an example that train."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Matrix:
    """One row per window; the windows of an example follow each other."""

    ngrams: sparse.csr_matrix
    """Shape (windows, vocabulary + buckets): n-gram counts times idf, over the root of the length."""
    dense: Floats
    """Shape (windows, D): summed token embeddings over the root of the length."""
    example: npt.NDArray[np.int64]
    """The example of each window."""
    idf: Floats
    token_vectors: Floats
    """Shape (vocabulary, D), as summed in `dense`."""


def cut(tokens: Tokens, limit: int = MAX_TOKENS) -> Tokens:
    """Return the first `limit` tokens of each text."""
    return _parts(tokens, tokens.offsets[:-1], np.minimum(tokens.counts, limit))


def subset(tokens: Tokens, rows: npt.NDArray[np.int64]) -> Tokens:
    """Return the tokens of some of the texts."""
    return _parts(tokens, tokens.offsets[rows], tokens.counts[rows])


def _parts(tokens: Tokens, starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> Tokens:
    offsets = np.concatenate([[0], np.cumsum(counts)])
    place = np.repeat(starts - offsets[:-1], counts) + np.arange(offsets[-1])
    return Tokens(tokens.ids[place], offsets)


def build(texts: Tokens, embeddings: Embeddings, buckets: int) -> Matrix:
    """Return the matrix of the examples' texts."""
    tokens = cut(texts)
    spans = windows(tokens)
    vocabulary = len(embeddings.values)
    rows = ngram_rows(tokens.ids, tokens.offsets, vocabulary, buckets)
    starts, lengths = spans.blocks[spans.first], spans.lengths
    pointers = np.concatenate([[0], np.cumsum(lengths)])
    place = np.repeat(starts - pointers[:-1], lengths) + np.arange(pointers[-1])
    columns = rows[place].ravel()
    width = vocabulary + buckets
    idf = _idf(columns, width, len(starts))
    root = np.sqrt(lengths + SMOOTHING).astype(np.float32)
    values = idf[columns] / np.repeat(root, lengths * ORDERS)
    ngrams = sparse.csr_matrix(
        (values, columns.astype(np.int32), pointers * ORDERS), shape=(len(starts), width)
    )
    ngrams.sum_duplicates()
    scale = 1.0 / np.linalg.norm(embeddings.values * embeddings.scales, axis=1).mean()
    sums = segment_sums(embeddings.values, tokens.ids, spans.blocks)
    pairs = sums[spans.first]
    pairs[spans.paired] += sums[spans.first[spans.paired] + 1]
    vectors = embeddings.scales * np.float32(scale)
    return Matrix(ngrams, pairs * vectors / root[:, None], spans.texts, idf, embeddings.values * vectors)


def _idf(columns: npt.NDArray[np.int64], width: int, documents: int) -> Floats:
    """Return log(documents / occurrences), near to inverse document frequency as most n-grams occur once."""
    counts = np.bincount(columns, minlength=width)
    return (np.log((documents + 1) / (counts + 1)).clip(min=0.5) / 4).astype(np.float32)
