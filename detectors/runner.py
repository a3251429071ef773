"""Runs all detectors over a batch, each on its own: one that fails or hangs costs only its own columns."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from operator import attrgetter, methodcaller
from typing import Final

import numpy as np

from detectors.base import Detector, FloatMatrix, Range
from detectors.batch import FEATURES as MADE_OF
from detectors.batch import READ, Batch, Bools
from detectors.lanes import Lane, Results, Step
from detectors.models.weights import Models
from detectors.privacy.finders import FINDERS, FinderError, Findings
from detectors.privacy.views import Find
from schemas.events import Evidence

CLOSE_S = 2.0
"""How long to wait for detectors that are still busy: a process that ends inside a library may crash."""
FEATURES: Final = "features"
"""Stands for what the detectors share in `ScoreMatrix.seconds`: tokens, embeddings, verdicts."""
TIMEOUT: Final = "timeout"
"""The reason in `Runner.failures` for a detector that overran its budget, or is still overrunning it."""


class BadScoresError(Exception):
    """A detector returned something other than a finite (or NaN) float32 matrix of its shape."""


@dataclass(frozen=True, slots=True)
class ScoreMatrix:
    """The scores of one batch by all detectors, side by side."""

    matrix: FloatMatrix
    """Shape (N, M), float32; NaN where a metric does not apply or its detector failed."""
    metrics: tuple[str, ...]
    """The names of the M columns."""
    failed: tuple[str, ...]
    """Detectors that raised, returned a wrong matrix or overran their budget, in order; or that need a
    feature whose making did."""
    seconds: Mapping[str, float]
    """Wall-clock seconds that the batch waited for each detector, and for `FEATURES`."""
    unsure: Bools
    """Shape (N, M): the score rests on less than it should, on the first tiers alone or on an excerpt."""


class Runner:
    """Scores batches with `detectors`, which were made of `models`.

    Each, and each feature that they share, has `budget_s` seconds.

    They run one after the other, so that the budget of one is not spent by another on a busy machine, in a
    thread of their own (see `Lane`): one that hangs is left behind and reported as failed, at once for every
    batch until its call ends. Any thread may ask; one batch is scored, and one row explained, at a time.
    """

    def __init__(self, detectors: Sequence[Detector], models: Models, budget_s: float) -> None:
        self.detectors = tuple(detectors)
        self.models = models
        self.budget_s = budget_s
        self.metrics = tuple(metric for detector in self.detectors for metric in detector.metrics)
        self.failures: dict[str, str] = {}
        """Detector to its last failure: the exception's class name, or `TIMEOUT`. Never a message."""
        self._owners = {metric: d.name for d in self.detectors for metric in d.metrics}
        self.ranges = {
            metric: Range(*bounds)
            for detector in self.detectors
            for metric, bounds in getattr(detector, "ranges", {}).items()
        }
        """The values that a metric can have, where its detector says so."""
        self._cheap = {d.name for d in self.detectors if getattr(d, "cheap_to_explain", False)}
        self._needs = {d.name: _closure(getattr(d, "needs", ())) for d in self.detectors}
        self._finds = {d.name: d.find for d in self.detectors if hasattr(d, "find")}
        self.finders: tuple[Find, ...] = tuple(dict.fromkeys((*FINDERS, *self._finds.values())))
        """What looks for things to protect: the finders that are built in, and those of the detectors."""
        needed = (*self._needs.values(), _closure(["views"]))
        self.needs = tuple(dict.fromkeys(feature for needs in needed for feature in needs))
        """Features of `Batch` that are computed before the detectors are called, in this order."""
        judged = {"head_probabilities", "passage_verdicts"}
        self.read_closely = frozenset(
            metric for metric in self.metrics if not judged.isdisjoint(self._needs[self._owners[metric]])
        )
        """Metrics that rest on the linear heads alone where there is no time for the transformer."""
        # What the transformer reads for comes last: by a deadline, all else is there.
        reading = {name for name in self.needs if READ.intersection(_closure([name]))}
        readers = [d for d in self.detectors if reading.intersection(self._needs[d.name])]
        self._steps = (
            *(_making(name) for name in self.needs if name not in reading),
            *starmap(_finding, enumerate(self.finders)),
            *(self._detecting(each) for each in self.detectors if each not in readers),
            *(_making(name) for name in self.needs if name in reading),
            *map(self._detecting, readers),
        )
        self._scoring = Lane("score")
        # Of its own: an explanation that hangs must not cost the next batch its scores.
        self._explaining = Lane("explain")

    def owner(self, metric: str) -> str:
        """Return the name of the detector that gives `metric`; raises KeyError when none does."""
        return self._owners[metric]

    def score(self, batch: Batch) -> ScoreMatrix:
        """Return the scores of `batch`, which then has the features; never raises because of a detector."""
        results = self._scoring.run(self._steps, partial(self._view, batch), self.budget_s, batch.deadline)
        self._view(batch, results)
        batch.keep("findings", self._findings(batch, results))
        matrix = np.full((len(batch), len(self.metrics)), np.nan, dtype=np.float32)
        shared = (*map(_feature, self.needs), *map(_search, range(len(self.finders))))
        seconds = {FEATURES: sum(results[name].seconds for name in shared)}
        failed, column = [], 0
        for detector in self.detectors:
            result, width = results[detector.name], len(detector.metrics)
            if result.error is None:
                matrix[:, column : column + width] = result.value
            else:
                failed.append(detector.name)
                self.failures[detector.name] = _reason(result.error)
            seconds[detector.name] = result.seconds
            column += width
        unsure = self._unsure(batch) & ~np.isnan(matrix)
        return ScoreMatrix(matrix, self.metrics, tuple(failed), seconds, unsure)

    def is_cheap(self, metric: str) -> bool:
        """Return whether evidence for `metric` takes microseconds: its detector has `cheap_to_explain`."""
        return self.owner(metric) in self._cheap

    def explain(self, batch: Batch, row: int, metrics: Collection[str]) -> list[Evidence]:
        """Return the evidence of one row for `metrics`; a detector that fails gives none. Never raises."""
        steps = [
            Step(each.name, partial(_explain, each, row, metrics))
            for each in self.detectors
            if set(each.metrics) & set(metrics)
        ]
        results = self._explaining.run(steps, lambda _: batch.view(), self.budget_s)
        found: list[Evidence] = []
        for step in steps:
            if (error := results[step.name].error) is not None:
                self.failures[step.name] = _reason(error)
            found += results[step.name].value or ()
        return found

    def close(self) -> None:
        """End the threads; one that still hangs after `CLOSE_S` does not keep the process alive."""
        lanes = (self._scoring, self._explaining)
        for lane in lanes:
            lane.close()
        deadline = time.monotonic() + CLOSE_S
        for lane in lanes:
            lane.join(max(0.0, deadline - time.monotonic()))

    def _view(self, batch: Batch, results: Results) -> Batch:
        """Let the batch keep the features that are there, and return a view of it to work on.

        What is left behind goes on writing to its own view, and to nothing that anyone reads.
        """
        for name in self.needs:
            result = results.get(_feature(name))
            if result is not None and result.error is None:
                batch.keep(name, result.value)
        for number, find in enumerate(self.finders):
            result = results.get(_search(number))
            if result is not None and result.error is None:
                batch.keep_found(find, result.value)
        return batch.view()

    def _findings(self, batch: Batch, results: Results) -> Findings:
        searches = [results[_search(number)] for number in range(len(self.finders))]
        if any(search.error for search in searches):
            return Findings(None, {})
        return Findings([search.value for search in searches], batch.views)

    def _detecting(self, detector: Detector) -> Step[Batch]:
        needs = tuple(map(_feature, self._needs[detector.name]))
        find = self._finds.get(detector.name)
        if find:
            needs += (_search(self.finders.index(find)),)
        return Step(detector.name, partial(_score, detector, find), needs)

    def _unsure(self, batch: Batch) -> Bools:
        unsure = np.zeros((len(batch), len(self.metrics)), dtype=bool)
        unsure[batch.shortened()] = True
        if (left_out := batch.left_out()).any():
            read = [metric in self.read_closely for metric in self.metrics]
            unsure |= left_out[:, None] & np.array(read, dtype=bool)
        return unsure


def _feature(name: str) -> str:
    """Return the name of the step that makes a feature; a detector may have the feature's name."""
    return f"feature {name}"


def _making(name: str) -> Step[Batch]:
    return Step(_feature(name), attrgetter(name), tuple(map(_feature, MADE_OF.get(name, ()))))


def _search(number: int) -> str:
    """Return the name of the step that lets a finder search."""
    return f"finder {number}"


def _finding(number: int, find: Find) -> Step[Batch]:
    return Step(_search(number), methodcaller("found", find), (_feature("views"),))


def _closure(features: Sequence[str]) -> tuple[str, ...]:
    """Return features and all that they are made of, each after what it is made of."""
    found: dict[str, None] = {}
    for feature in features:
        found |= dict.fromkeys((*_closure(MADE_OF.get(feature, ())), feature))
    return tuple(found)


def _score(detector: Detector, find: Find | None, batch: Batch) -> FloatMatrix:
    if find and batch.found(find).failed:
        raise FinderError
    scores = detector.score(batch)
    expected = (len(batch), len(detector.metrics))
    if not isinstance(scores, np.ndarray) or scores.dtype != np.float32 or scores.shape != expected:
        raise BadScoresError
    if np.isinf(scores).any():
        raise BadScoresError
    return scores


def _explain(detector: Detector, row: int, metrics: Collection[str], batch: Batch) -> list[Evidence]:
    return [item for item in detector.explain(batch, row) if item.metric in metrics]


def _reason(error: BaseException) -> str:
    return TIMEOUT if isinstance(error, TimeoutError) else type(error).__name__
