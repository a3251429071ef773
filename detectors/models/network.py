"""A small network on features that are there: one hidden layer, one output per head."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from detectors.models.embeddings import Floats

ROWS = 32
"""Rows in one product: a BLAS rounds otherwise for another number of rows."""


@dataclass(frozen=True, slots=True)
class Network:
    """Calibrated log-odds = relu(features @ inner + inner_bias) @ outer + outer_bias."""

    names: tuple[str, ...]
    """The outputs."""
    inner: Floats
    """Shape (features, hidden)."""
    inner_bias: Floats
    outer: Floats
    """Shape (hidden, outputs)."""
    outer_bias: Floats

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the network of a file; its weights may be of half precision."""
        with np.load(path, allow_pickle=False) as file:
            names = tuple(str(name) for name in file["names"])
            weights = (file[name].astype(np.float32) for name in ("w1", "b1", "w2", "b2"))
            return cls(names, *weights)

    def logits(self, features: Floats) -> Floats:
        """Return the log-odds, shape (N, outputs), of features of the shape (N, features)."""
        return by_rows(lambda rows: self.outputs(rows @ self.inner), features)

    def outputs(self, inner: Floats) -> Floats:
        """Return the log-odds, given what the features add to the hidden units."""
        return np.asarray(np.maximum(inner + self.inner_bias, 0) @ self.outer + self.outer_bias, np.float32)


def by_rows(layer: Callable[..., Floats], *inputs: Floats) -> Floats:
    """Return what `layer` makes of inputs with N rows each, always of `ROWS` at a time.

    So no row depends on those beside it, to the last bit.
    """
    count = len(inputs[0])
    missing = -count % ROWS
    full = [np.concatenate([each, np.ones((missing, each.shape[1]), each.dtype)]) for each in inputs]
    parts = [layer(*(each[at : at + ROWS] for each in full)) for at in range(0, count, ROWS)]
    return np.concatenate(parts)[:count] if parts else layer(*inputs)
