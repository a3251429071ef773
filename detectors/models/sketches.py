"""Sketches of texts: static embeddings in 33 bytes, to follow what texts are about without keeping them."""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from detectors.models.embeddings import Floats
from detectors.models.weights import Models
from schemas.sketches import COMPONENTS, pack

FILE: Final = "sketch.npy"
_STEPS: Final = 4096.0
"""Of an embedding's component: of whole numbers a product is exact, so that no row depends on the others."""


class Sketches:
    """Projects embeddings on the directions in which the vocabulary differs most.

    Args:
        directions: shape (D, `COMPONENTS`), 8-bit integers.
        scales: of the embeddings: others make another space, whose sketches do not compare.

    """

    def __init__(self, directions: npt.NDArray[np.int8], scales: Floats) -> None:
        self._directions = directions.astype(np.float64)
        # One length for all, so that they compare; each is close to it.
        self._unit = _STEPS * float(np.linalg.norm(self._directions, axis=0).mean())
        self.space = hashlib.blake2b(directions.tobytes() + scales.tobytes(), digest_size=1).digest()[0]

    def of(self, embeddings: Floats) -> list[bytes]:
        """Return the sketches of L2-normalised embeddings, shape (N, D); of zeros there is none: empty."""
        whole = np.rint(embeddings.astype(np.float64) * _STEPS) @ self._directions
        made = pack(self.space, whole / self._unit)
        return [sketch if row.any() else b"" for sketch, row in zip(made, embeddings, strict=True)]


def load(models: Models) -> Sketches | None:
    """Return the sketches of a folder of weights, None where it has none: for `Models.part`."""
    if not (models.folder / FILE).exists():
        return None
    return Sketches(np.load(models.folder / FILE, allow_pickle=False), models.embeddings.scales)


def fit(vocabulary: Floats) -> npt.NDArray[np.int8]:
    """Return the principal directions of the vocabulary, shape (D, `COMPONENTS`), as 8-bit integers."""
    _, vectors = np.linalg.eigh(np.cov(vocabulary.T.astype(np.float64)))
    chosen = vectors[:, ::-1][:, :COMPONENTS]
    return np.asarray(np.rint(chosen / np.abs(chosen).max() * 127), np.int8)


def write(models: Models, folder: Path) -> None:
    """Write the directions for the embeddings of `models`."""
    np.save(folder / FILE, fit(models.embeddings.values * models.embeddings.scales))
