"""The nearest words of every word: what `detectors.grounding.alignment` looks up."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from detectors.grounding.alignment import CONTENT_WEIGHT, NEAR, is_number, whole_words, word_weights
from detectors.models.embeddings import Embeddings
from detectors.models.tokenizer import Encoder
from detectors.training.files import write_arrays

MOST = 32
"""Neighbours of one word."""
BLOCK = 2_000
"""Words compared at a time."""


def write_neighbours(path: Path, encoder: Encoder, embeddings: Embeddings) -> None:
    """Write the content words at a cosine above `NEAR` of each content word, for `Lexicon.load`."""
    vocabulary = whole_words(encoder)
    weights = word_weights(vocabulary, embeddings)
    rows = np.array(
        sorted(
            vocabulary[w] for w, weight in weights.items() if weight >= CONTENT_WEIGHT and not is_number(w)
        )
    )
    vectors = embeddings.values[rows] * embeddings.scales
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    counts = np.zeros(encoder.vocabulary_size, np.int64)
    words: list[npt.NDArray[np.uint16]] = []
    supports: list[npt.NDArray[np.uint8]] = []
    for at in range(0, len(rows), BLOCK):
        cosines = vectors[at : at + BLOCK] @ vectors.T
        for number, row in enumerate(cosines, at):
            row[number] = 0
            near = np.flatnonzero(row > NEAR)
            near = near[np.lexsort((near, -row[near]))][:MOST]
            counts[rows[number]] = len(near)
            words.append(rows[near].astype(np.uint16))
            supports.append(np.rint((row[near] - NEAR) / (1 - NEAR) * 255).astype(np.uint8))
    starts = np.append(0, np.cumsum(counts)).astype(np.int32)
    write_arrays(path, starts=starts, words=np.concatenate(words), supports=np.concatenate(supports))
