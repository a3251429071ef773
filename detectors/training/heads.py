"""The linear heads: fit, calibrate, fold, quantise, and what they reach on texts they never saw."""

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detectors.models.embeddings import Embeddings
from detectors.models.linear import LinearHeads, highest
from detectors.training import datasets
from detectors.training.corpus import NATURAL
from detectors.training.files import write_arrays
from detectors.training.fit import Linear, Task, fit, platt
from detectors.training.matrix import Matrix, build
from detectors.training.pool import COLUMNS, Pool

log = logging.getLogger(__name__)

BUCKETS = (1 << 18) - 30522
"""With the vocabulary of 30,522 tokens the table has 2^18 rows."""
CLIP = 99.99
"""Percentile of a head's absolute weights, over the rows in use, that int8 covers."""

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class Trainer:
    """A pool of examples as one matrix, from which each head takes the rows that it has labels for."""

    def __init__(self, pool: Pool, models: Path) -> None:
        self.pool = pool
        self.matrix: Matrix = build(pool.tokens, Embeddings.load(models / "embeddings.npz"), BUCKETS)
        log.info("%d examples, %d windows", len(pool), len(self.matrix.example))

    def select(self, head: str, mask: Mask) -> Task:
        """Return the labels of one head over the examples of `mask` that have one."""
        rows, labels = self.pool.known(head, mask)
        return Task(rows, labels)

    def fit(self, head: str, mask: Mask) -> Linear:
        """Fit one head on the examples of `mask`."""
        return fit(self.matrix, self.select(head, mask), len(self.pool))

    def scores(self, model: Linear) -> Floats:
        """Return the uncalibrated log-odds of every example."""
        return highest(model.logits(self.matrix), self.matrix.example, len(self.pool))

    def calibrate(self, head: str, scores: Floats) -> tuple[float, float]:
        """Return Platt's slope and intercept from the examples kept for that."""
        kept = self.pool.of(NATURAL) if head in datasets.TOXICITY else self.pool.real
        task = self.select(head, kept & (self.pool.split == "calibrate") & np.isfinite(scores))
        return platt(scores[task.examples], task.labels)


def _table(trainer: Trainer, models: list[Linear]) -> tuple[npt.NDArray[np.int8], Floats]:
    """Fold idf and dense weights into the n-gram rows and quantise: the table and one step per head."""
    matrix = trainer.matrix
    table = np.stack([model.ngrams * matrix.idf for model in models], axis=1)
    vocabulary = len(matrix.token_vectors)
    table[:vocabulary] += matrix.token_vectors @ np.stack([model.dense for model in models], axis=1)
    steps = np.array(
        [np.percentile(np.abs(column[column != 0]), CLIP) / 127 for column in table.T], dtype=np.float32
    )
    return np.clip(np.rint(table / steps), -127, 127).astype(np.int8), steps


def train(trainer: Trainer, out: Path) -> LinearHeads:
    """Fit all heads on the split `fit`, calibrate them and write `heads.npz`."""
    models, slopes, intercepts = [], [], []
    for head in COLUMNS:
        log.info("fit %s", head)
        model = trainer.fit(head, trainer.pool.split == "fit")
        slope, intercept = trainer.calibrate(head, trainer.scores(model))
        models.append(model)
        slopes.append(slope)
        intercepts.append(slope * model.bias + intercept)
    table, steps = _table(trainer, models)
    write_arrays(
        out / "heads.npz",
        names=np.array(COLUMNS),
        table=table,
        gains=(steps * np.array(slopes)).astype(np.float32),
        biases=np.array(intercepts, dtype=np.float32),
        vocabulary=np.array(len(trainer.matrix.token_vectors)),
    )
    return LinearHeads.load(out / "heads.npz")
