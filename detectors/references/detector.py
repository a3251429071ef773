"""Cosine distance to the nearest reference, of each set."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from detectors.base import FloatMatrix, Range, strength
from detectors.batch import Batch
from detectors.models.weights import Models
from detectors.references.index import Index
from detectors.references.sets import ReferenceKind, ReferenceSet, ReferenceSetError, chosen_sets
from schemas.events import Evidence

COSINE: Final = Range(-1.0, 1.0)
TOLD: Final = 1_000
"""References of a set of which the nearest is told of every text; of larger ones it would cost too much."""
DISTANCE: Final = Range(0.0, 2.0)


class ReferenceDetector:
    """How near a text is to named reference sets, by static embeddings.

    A topic set NAME gives `distance_NAME`: cosine distance to the k-th nearest reference, 0 to 2. An attack
    set NAME gives `similarity_NAME`: cosine similarity to the k-th nearest reference, -1 to 1. A text without
    tokens is NaN in all of them.

    The k-th neighbour is the score of Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest
    Neighbors". With k = 1, the default, one reference is enough to be near; with more, a single odd one
    among tens of thousands does not vouch for a text.
    """

    name = "references"
    needs = ("embeddings",)
    cheap_to_explain = True

    def __init__(
        self,
        models: Models,
        sets: Mapping[str, ReferenceSet] | None = None,
        files: Mapping[str, tuple[ReferenceKind, Path]] | None = None,
        k: int = 1,
    ) -> None:
        """Embed the sets: `sets` (default: those that are shipped) and, beside them, those of `files`.

        Raises ReferenceSetError, also when a set has less than `k` different references.
        """
        self._sets = chosen_sets(sets, files)
        self._k = k
        texts = repr([chosen.texts for chosen in self._sets.values()]).encode()
        self.version = f"1-k{k}-{hashlib.sha256(texts).hexdigest()[:8]}"
        encode, embed = models.encoder.encode, models.embeddings.embed
        self._indexes = [Index(embed(encode(chosen.texts))) for chosen in self._sets.values()]
        self._check_sizes()
        mine = [self._sets[name] for name in files or () if self._sets[name].kind == "topic"]
        self._told_texts = [text for each in mine if len(each.texts) <= TOLD for text in each.texts]
        self._told = Index(embed(encode(self._told_texts))) if self._told_texts else None
        self._topic = np.array([chosen.kind == "topic" for chosen in self._sets.values()])
        self.metrics: tuple[str, ...] = tuple(
            f"distance_{name}" if chosen.kind == "topic" else f"similarity_{name}"
            for name, chosen in self._sets.items()
        )
        self.ranges = {
            metric: DISTANCE if is_topic else COSINE
            for metric, is_topic in zip(self.metrics, self._topic, strict=True)
        }

    def score(self, batch: Batch) -> FloatMatrix:
        """Return distances and similarities, shape (len(batch), sets)."""
        scores = np.full((len(batch), len(self.metrics)), np.nan, dtype=np.float32)
        known = batch.embeddings.any(axis=1)
        queries = batch.embeddings[known]
        columns = [index.nearest(queries, self._k).similarities[:, -1] for index in self._indexes]
        similarities = np.stack(columns, axis=1)
        scores[known] = np.where(self._topic, 1.0 - similarities, similarities)
        return scores

    def nearest_topics(self, batch: Batch) -> list[str]:
        """Return for each of N texts the nearest reference of all small topic sets of the operator's.

        Empty where there are none, and for a text without tokens.
        """
        found = [""] * len(batch)
        if self._told is not None:
            known = np.flatnonzero(batch.embeddings.any(axis=1))
            places = self._told.nearest(batch.embeddings[known]).places[:, 0]
            for row, place in zip(known.tolist(), places.tolist(), strict=True):
                found[row] = self._told_texts[place]
        return found

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return the k nearest references of each set with their similarity, nearest first."""
        query = batch.embeddings[row : row + 1]
        if not query.any():
            return []
        found = []
        for metric, index, (name, chosen) in zip(
            self.metrics, self._indexes, self._sets.items(), strict=True
        ):
            similarities, places = index.nearest(query, self._k)
            found += [
                Evidence(
                    detector=self.name,
                    metric=metric,
                    label=name,
                    weight=round(float(similarity), 4),
                    text=chosen.texts[place],
                )
                for similarity, place in zip(similarities[0], places[0], strict=True)
            ]
        return sorted(found, key=strength, reverse=True)

    def _check_sizes(self) -> None:
        if self._k < 1:
            raise ReferenceSetError(f"references: k is {self._k}; it counts neighbours, from 1")
        for name, index in zip(self._sets, self._indexes, strict=True):
            if index.size < self._k:
                raise ReferenceSetError(
                    f"reference set {name!r}: {index.size} different references, fewer than k = {self._k}; "
                    "add some or lower k"
                )
