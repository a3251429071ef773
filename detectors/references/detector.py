"""Cosine distance to the nearest reference, for all sets in one matrix product."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detectors.base import FloatMatrix
from detectors.batch import Batch
from detectors.encoder import shared_encoder
from detectors.features import shared_embeddings
from detectors.references.sets import ReferenceKind, ReferenceSet, chosen_sets
from schemas.events import Evidence


class ReferenceDetector:
    """How near a text is to named reference sets, by static embeddings.

    A topic set NAME gives `distance_NAME`: cosine distance to the nearest reference, 0 to 2. An attack
    set NAME gives `similarity_NAME`: cosine similarity to the nearest reference, -1 to 1. A text without
    tokens is NaN in all of them.
    """

    name = "references"
    version = "1"

    def __init__(
        self,
        sets: Mapping[str, ReferenceSet] | None = None,
        files: Mapping[str, tuple[ReferenceKind, Path]] | None = None,
    ) -> None:
        """Embed the sets: `sets` (default: those that are shipped) and, beside them, those of `files`.

        Raises ReferenceSetError.
        """
        self._sets = chosen_sets(sets, files)
        encode, embed = shared_encoder().encode, shared_embeddings().embed
        vectors = [embed(encode(chosen.texts)) for chosen in self._sets.values()]
        self._starts = np.cumsum([0] + [len(v) for v in vectors])
        self._vectors = np.ascontiguousarray(np.concatenate(vectors).T)
        self._topic = np.array([chosen.kind == "topic" for chosen in self._sets.values()])
        self.metrics: tuple[str, ...] = tuple(
            f"distance_{name}" if chosen.kind == "topic" else f"similarity_{name}"
            for name, chosen in self._sets.items()
        )

    def score(self, batch: Batch) -> FloatMatrix:
        """Return distances and similarities, shape (len(batch), sets)."""
        nearest = np.maximum.reduceat(
            _similarities(batch.embeddings, self._vectors), self._starts[:-1], axis=1
        )
        scores = np.where(self._topic, 1.0 - nearest, nearest)
        scores[batch.tokens.counts == 0] = np.nan
        return scores.astype(np.float32, copy=False)

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return the nearest reference of each set with its similarity, nearest first."""
        if batch.tokens.counts[row] == 0:
            return []
        similarities = _similarities(batch.embeddings[row : row + 1], self._vectors)[0]
        found = []
        for number, (name, chosen) in enumerate(self._sets.items()):
            part = similarities[self._starts[number] : self._starts[number + 1]]
            best = int(part.argmax())
            found.append(
                Evidence(
                    detector=self.name,
                    metric=self.metrics[number],
                    label=name,
                    weight=round(float(part[best]), 4),
                    text=chosen.texts[best],
                )
            )
        return sorted(found, key=lambda evidence: evidence.weight or 0.0, reverse=True)


def _similarities(
    embeddings: npt.NDArray[np.float32], references: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    return np.asarray(np.clip(embeddings @ references, -1.0, 1.0))
