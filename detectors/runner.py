"""Runs all detectors over a batch, each on its own: one that fails or hangs costs only its own columns."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec
import numpy as np

from detectors.base import Detector, FloatMatrix, Range, counted, counted_name
from detectors.batch import Batch, Bools
from detectors.models.weights import Models
from detectors.plan import Plan, feature_step, search_step
from detectors.privacy.views import Find
from detectors.steps.lanes import Lane, Step
from schemas.events import Evidence

CLOSE_S = 2.0
"""How long to wait for detectors that are still busy: a process that ends inside a library may crash."""
FEATURES: Final = "features"
"""Stands for what the detectors share in `ScoreMatrix.seconds`: tokens, embeddings, verdicts."""
TIMEOUT: Final = "timeout"
"""The reason in `Runner.failures` for a detector that overran its budget, or is still overrunning it."""


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
    detectors: tuple[Detector, ...]
    """Those that gave the scores."""
    counts: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """By row, where there are any: how many findings of each kind that a policy can count."""


class Runner:
    """Scores batches with `detectors`, which were made of `models`.

    Each, and each feature that they share, has `budget_s` seconds.

    They run one after the other, so that the budget of one is not spent by another on a busy machine, in a
    thread of their own (see `Lane`): one that hangs is left behind and reported as failed, at once for every
    batch until its call ends. Any thread may ask; one batch is scored, and one row explained, at a time.
    """

    def __init__(self, detectors: Sequence[Detector], models: Models, budget_s: float) -> None:
        self.models = models
        self.budget_s = budget_s
        self.failures: dict[str, str] = {}
        """Detector to its last failure: the exception's class name, or `TIMEOUT`. Never a message."""
        self._plan = Plan(detectors)
        self._scoring = Lane("score")
        # Of its own: an explanation that hangs must not cost the next batch its scores.
        self._explaining = Lane("explain")

    @property
    def detectors(self) -> tuple[Detector, ...]:
        """The detectors that run, in order."""
        return self._plan.detectors

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return self._plan.metrics

    @property
    def ranges(self) -> Mapping[str, Range]:
        """The values that a metric can have, where its detector says so."""
        return self._plan.ranges

    @property
    def needs(self) -> tuple[str, ...]:
        """Features of `Batch` that are computed before the detectors are called, in this order."""
        return self._plan.needs

    @property
    def finders(self) -> tuple[Find, ...]:
        """What looks for things to protect: the finders that are built in, and those of the detectors."""
        return self._plan.finders

    @property
    def read_closely(self) -> frozenset[str]:
        """Metrics that rest on the linear heads alone where there is no time for the transformer."""
        return self._plan.read_closely

    @property
    def counted(self) -> Mapping[str, str]:
        """The kinds of findings that a policy can count, each with the metric that counts all of them."""
        return self._plan.counted

    def follow(self, other: "Runner") -> None:
        """Run the detectors that another one runs now."""
        self._plan = other._plan

    def with_detector(self, detector: Detector) -> tuple[Detector, ...]:
        """Return the detectors that would run with this one in place of that of its name."""
        return tuple(detector if each.name == detector.name else each for each in self.detectors)

    def replace(self, detector: Detector) -> None:
        """Run a detector in place of that of its name from the next batch on; any thread may ask."""
        self._plan = Plan(self.with_detector(detector))

    def owner(self, metric: str) -> str:
        """Return the name of the detector that gives `metric`; raises KeyError when none does."""
        return self._plan.owners[metric]

    def score(self, batch: Batch) -> ScoreMatrix:
        """Return the scores of `batch`, which then has the features; never raises because of a detector."""
        plan = self._plan
        results = self._scoring.run(plan.steps, partial(plan.view, batch), self.budget_s, batch.deadline)
        plan.view(batch, results)
        batch.keep("findings", plan.findings(batch, results))
        matrix = np.full((len(batch), len(plan.metrics)), np.nan, dtype=np.float32)
        shared = (*map(feature_step, plan.needs), *map(search_step, range(len(plan.finders))))
        seconds = {FEATURES: sum(results[name].seconds for name in shared)}
        failed, column = [], 0
        for detector in plan.detectors:
            result, width = results[detector.name], len(detector.metrics)
            if result.error is None:
                matrix[:, column : column + width] = result.value
            else:
                failed.append(detector.name)
                self.failures[detector.name] = _reason(result.error)
            seconds[detector.name] = result.seconds
            column += width
        unsure = plan.unsure(batch) & ~np.isnan(matrix)
        counts = plan.counts(batch, failed)
        return ScoreMatrix(matrix, plan.metrics, tuple(failed), seconds, unsure, plan.detectors, counts)

    def is_cheap(self, metric: str) -> bool:
        """Return whether evidence for `metric` takes microseconds: its detector has `cheap_to_explain`."""
        return self._plan.owners.get(metric) in self._plan.cheap

    def explain(self, batch: Batch, row: int, metrics: Collection[str]) -> list[Evidence]:
        """Return the evidence of one row for `metrics`; a detector that fails gives none. Never raises."""
        steps = [
            Step(each.name, partial(_explain, each, row, metrics))
            for each in self.detectors
            if not {*each.metrics, *counted(each)}.isdisjoint(metrics)
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


def _explain(detector: Detector, row: int, metrics: Collection[str], batch: Batch) -> list[Evidence]:
    kinds = set(counted(detector)).intersection(metrics)
    found: list[Evidence] = []
    for item in detector.explain(batch, row):
        if item.metric in metrics:
            found.append(item)
        name = counted_name(detector.name, item.label)
        if name in kinds and item.metric == detector.metrics[0]:
            found.append(msgspec.structs.replace(item, metric=name))
    return found


def _reason(error: BaseException) -> str:
    return TIMEOUT if isinstance(error, TimeoutError) else type(error).__name__
