"""The linear heads: fit, calibrate, fold, quantise, and what they reach on texts they never saw."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.encoder import Encoder
from detectors.features import Embeddings
from detectors.linear import LinearHeads
from detectors.training import datasets, evaluate
from detectors.training.corpus import NATURAL, Example
from detectors.training.files import write_arrays
from detectors.training.fit import Linear, Task, fit, highest, platt
from detectors.training.grammars import SOURCE as GRAMMAR
from detectors.training.matrix import Matrix, build

log = logging.getLogger(__name__)

BUCKETS = (1 << 18) - 30522
"""With the vocabulary of 30,522 tokens the table has 2^18 rows."""
CLIP = 99.99
"""Percentile of a head's absolute weights, over the rows in use, that int8 covers."""

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class Trainer:
    """The examples as one matrix, from which each head takes the rows that it has labels for."""

    def __init__(self, examples: list[Example], models: Path) -> None:
        self.texts = [example.text for example in examples]
        self.encoder = Encoder.load(models / "tokenizer.json")
        embeddings = Embeddings.load(models / "embeddings.npz")
        self.matrix: Matrix = build(self.texts, self.encoder, embeddings, BUCKETS)
        log.info("%d examples, %d windows", len(examples), len(self.matrix.example))
        self.split = np.array([example.split for example in examples])
        self.source = np.array([example.source for example in examples])
        self.real = np.array([not example.source.startswith(GRAMMAR) for example in examples])
        self.held_out = np.array([example.held_out for example in examples])
        self.labels = np.array(
            [[example.labels.get(head, np.nan) for head in datasets.HEADS] for example in examples],
            dtype=np.float32,
        )

    def select(self, head: str, mask: Mask) -> Task:
        """Return the labels of one head over the examples of `mask` that have one."""
        labels = self.labels[:, datasets.HEADS.index(head)]
        chosen = np.flatnonzero(mask & ~np.isnan(labels))
        return Task(chosen, labels[chosen], np.ones(len(chosen), dtype=np.float32))

    def fit(self, head: str, mask: Mask) -> Linear:
        """Fit one head on the examples of `mask`."""
        return fit(self.matrix, self.select(head, mask), len(self.texts))

    def scores(self, model: Linear) -> Floats:
        """Return the uncalibrated log-odds of every example."""
        return highest(model.logits(self.matrix), self.matrix.example, len(self.texts))

    def calibrate(self, head: str, scores: Floats) -> tuple[float, float]:
        """Return Platt's slope and intercept from the examples kept for that."""
        kept = (self.source == NATURAL) if head in datasets.TOXICITY else self.real
        task = self.select(head, kept & (self.split == "calibrate") & np.isfinite(scores))
        return platt(scores[task.examples], task.labels)


def _table(trainer: Trainer, models: list[Linear]) -> tuple[npt.NDArray[np.int8], Floats]:
    """Fold idf and dense weights into the n-gram rows and quantise: the table and one step per head."""
    matrix = trainer.matrix
    table = np.stack([model.ngrams * matrix.idf for model in models], axis=1)
    vocabulary = trainer.encoder.vocabulary_size
    table[:vocabulary] += matrix.token_vectors @ np.stack([model.dense for model in models], axis=1)
    steps = np.array(
        [np.percentile(np.abs(column[column != 0]), CLIP) / 127 for column in table.T], dtype=np.float32
    )
    return np.clip(np.rint(table / steps), -127, 127).astype(np.int8), steps


def train(trainer: Trainer, out: Path) -> LinearHeads:
    """Fit all heads on the split `fit`, calibrate them and write `heads.npz`."""
    models, slopes, intercepts = [], [], []
    for head in datasets.HEADS:
        log.info("fit %s", head)
        model = trainer.fit(head, trainer.split == "fit")
        slope, intercept = trainer.calibrate(head, trainer.scores(model))
        models.append(model)
        slopes.append(slope)
        intercepts.append(slope * model.bias + intercept)
    table, steps = _table(trainer, models)
    write_arrays(
        out / "heads.npz",
        names=np.array(datasets.HEADS),
        table=table,
        gains=(steps * np.array(slopes)).astype(np.float32),
        biases=np.array(intercepts, dtype=np.float32),
        vocabulary=np.array(trainer.encoder.vocabulary_size),
    )
    return LinearHeads.load(out / "heads.npz")


def evaluate_shipped(trainer: Trainer, heads: LinearHeads) -> dict[str, Any]:
    """Return metrics of the written file on the split `test`: over the real sources, and for each one.

    Examples that are held out by name count for their source only.
    """
    held = trainer.split == "test"
    probabilities = np.full((len(held), len(heads.names)), np.nan, dtype=np.float32)
    held_texts = [trainer.texts[i] for i in np.flatnonzero(held)]
    probabilities[held] = heads.probabilities(trainer.encoder.encode(held_texts))
    result: dict[str, Any] = {}
    for column, head in enumerate(heads.names):
        task = trainer.select(head, held & trainer.real & ~trainer.held_out)
        result[head] = {"all": evaluate.report(probabilities[task.examples, column], task.labels)}
        for source in np.unique(trainer.source):
            task = trainer.select(head, held & (trainer.source == source))
            if len(task.examples):
                result[head][str(source)] = evaluate.report(probabilities[task.examples, column], task.labels)
    return result


def leave_source_out(trainer: Trainer, head: str, groups: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return the ranking on each group of sources by a head that saw nothing of that group.

    A group with one class only borrows the other class from the `test` split of the other real sources.
    """
    result = {}
    for name, sources in groups.items():
        log.info("leave out %s for %s", name, head)
        left = np.isin(trainer.source, sources)
        scores = trainer.scores(trainer.fit(head, ~left & (trainer.split != "test")))
        task = trainer.select(head, left)
        if len(set(task.labels > 0.5)) == 1:
            other = trainer.labels[:, datasets.HEADS.index(head)] != task.labels[0]
            seen = trainer.real & ~trainer.held_out & (trainer.split == "test")
            task = trainer.select(head, left | (other & seen))
        result[name] = evaluate.ranking(scores[task.examples], task.labels)
    return result
