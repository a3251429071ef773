"""Detectors that do as they are told."""

from collections.abc import Callable
from typing import Any

import numpy as np

from detectors.batch import Batch
from schemas.events import Evidence
from tests.models import MODELS

BATCH = Batch.of_texts(["one", "two", "three"], MODELS)


class Scripted:
    """A detector that does what the test says."""

    version = "1"

    def __init__(self, name: str, act: Callable[[Batch], Any], width: int = 1) -> None:
        self.name = name
        self.metrics = tuple(f"{name}_{i}" for i in range(width))
        self._act = act

    def score(self, batch: Batch) -> Any:
        return self._act(batch)

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        self._act(batch)
        return [Evidence(detector=self.name, metric=metric, label=str(row)) for metric in self.metrics]


def constant(name: str, value: float, width: int = 1) -> Scripted:
    return Scripted(name, lambda b: np.full((len(b), width), value, dtype=np.float32), width)
