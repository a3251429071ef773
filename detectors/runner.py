"""Runs all detectors over a batch, each on its own: one that fails or hangs costs only its own columns."""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

import numpy as np

from detectors.base import Detector, FloatMatrix, Range
from detectors.batch import Batch
from schemas.events import Evidence

CLOSE_S = 2.0
"""How long to wait for detectors that are still busy: a process that ends inside a library may crash."""
FEATURES: Final = "features"
"""Stands for what the detectors share in `ScoreMatrix.seconds`: tokens, embeddings, verdicts."""
TIMEOUT: Final = "timeout"
"""The reason in `Runner.failures` for a detector that overran its budget, or is still overrunning it."""

T = TypeVar("T")


class BadScoresError(Exception):
    """A detector returned something other than a finite (or NaN) float32 matrix of its shape."""


class DetectorExitError(Exception):
    """A detector tried to end the process."""


@dataclass(frozen=True, slots=True)
class ScoreMatrix:
    """The scores of one batch by all detectors, side by side."""

    matrix: FloatMatrix
    """Shape (N, M), float32; NaN where a metric does not apply or its detector failed."""
    metrics: tuple[str, ...]
    """The names of the M columns."""
    failed: tuple[str, ...]
    """Detectors that raised, returned a wrong matrix or overran their budget, in order."""
    seconds: Mapping[str, float]
    """Wall-clock seconds that the batch waited for each detector, and for `FEATURES`."""

    @property
    def slowest_s(self) -> float:
        """Seconds of the slowest detector."""
        return max((time for name, time in self.seconds.items() if name != FEATURES), default=0.0)


class Runner:
    """Scores batches with `detectors`, each within `budget_s` seconds of wall clock per batch.

    The detectors run one after the other, so that the budget of one is not spent by another on a busy
    machine; each in a thread of its own, so that one that hangs can be left behind. It is then reported
    as failed at once for every batch until its call ends. Not for use by several threads at a time.
    """

    def __init__(self, detectors: Sequence[Detector], budget_s: float) -> None:
        self.detectors = tuple(detectors)
        self.budget_s = budget_s
        self.metrics = tuple(metric for detector in self.detectors for metric in detector.metrics)
        self.failures: dict[str, str] = {}
        """Detector name to its last failure: the exception's class name, or `TIMEOUT`. Never a message."""
        self._owners = {metric: d.name for d in self.detectors for metric in d.metrics}
        self.ranges = {
            metric: Range(*bounds)
            for detector in self.detectors
            for metric, bounds in getattr(detector, "ranges", {}).items()
        }
        """The values that a metric can have, where its detector says so."""
        self._cheap = {d.name for d in self.detectors if getattr(d, "cheap_to_explain", False)}
        needs = (feature for detector in self.detectors for feature in getattr(detector, "needs", ()))
        self.needs = tuple(dict.fromkeys(needs))
        """Features of `Batch` that are computed before the detectors are called."""
        self._lanes = {d.name: _Lane(d.name) for d in self.detectors}
        # Of their own: an explanation that hangs must not cost the next batch its scores.
        self._explaining = {d.name: _Lane(f"{d.name}-explain") for d in self.detectors}

    def owner(self, metric: str) -> str:
        """Return the name of the detector that gives `metric`; raises KeyError when none does."""
        return self._owners[metric]

    def score(self, batch: Batch) -> ScoreMatrix:
        """Return the scores of `batch`; never raises because of a detector."""
        began = time.perf_counter()
        self._prepare(batch)
        seconds = {FEATURES: time.perf_counter() - began}
        matrix = np.full((len(batch), len(self.metrics)), np.nan, dtype=np.float32)
        failed: list[str] = []
        column = 0
        for detector in self.detectors:
            width = len(detector.metrics)
            started = time.perf_counter()
            try:
                scores = self._lanes[detector.name].call(partial(_score, detector, batch), self.budget_s)
                matrix[:, column : column + width] = scores
            except Exception as error:
                failed.append(detector.name)
                self.failures[detector.name] = _reason(error)
            seconds[detector.name] = time.perf_counter() - started
            column += width
        return ScoreMatrix(matrix, self.metrics, tuple(failed), seconds)

    def is_cheap(self, metric: str) -> bool:
        """Return whether evidence for `metric` takes microseconds: its detector has `cheap_to_explain`."""
        return self.owner(metric) in self._cheap

    def explain(self, batch: Batch, row: int, metrics: Collection[str]) -> list[Evidence]:
        """Return the evidence of one row for `metrics`; a detector that fails gives none. Never raises."""
        found: list[Evidence] = []
        for detector in self.detectors:
            if not set(detector.metrics) & set(metrics):
                continue
            try:
                lane = self._explaining[detector.name]
                evidence = lane.call(partial(detector.explain, batch, row), self.budget_s)
                found += [item for item in evidence if item.metric in metrics]
            except Exception as error:
                self.failures[detector.name] = _reason(error)
        return found

    def close(self) -> None:
        """End the threads; one that still hangs after `CLOSE_S` does not keep the process alive."""
        lanes = (*self._lanes.values(), *self._explaining.values())
        for lane in lanes:
            lane.close()
        deadline = time.monotonic() + CLOSE_S
        for lane in lanes:
            lane.join(max(0.0, deadline - time.monotonic()))

    def _prepare(self, batch: Batch) -> None:
        """Compute the shared features first, so that they are not charged to whoever asks first."""
        try:
            batch.prepare(*self.needs)
        except Exception as error:  # the detectors that need the feature will fail by themselves
            self.failures["batch"] = _reason(error)


class _Lane:
    """A daemon thread that runs one call at a time. (An executor's threads would block the exit.)"""

    def __init__(self, name: str) -> None:
        self._name = name
        self._inbox: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._current: Future[Any] | None = None

    def call(self, function: Callable[[], T], timeout: float) -> T:
        """Return what `function` returns; raises what it raises, or TimeoutError."""
        if self._current is not None and not self._current.done():
            raise TimeoutError
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"weir-{self._name}", daemon=True)
            self._thread.start()
        call = _Call(function, Future())
        self._current = call.future
        self._inbox.put(call)
        return call.future.result(timeout)

    def close(self) -> None:
        if self._thread is not None:
            self._inbox.put(None)

    def join(self, timeout: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout)

    def _work(self) -> None:
        while (call := self._inbox.get()) is not None:
            call.run()
            del call  # it holds a batch, until the next one comes


@dataclass(frozen=True, slots=True)
class _Call(Generic[T]):
    function: Callable[[], T]
    future: Future[T]

    def run(self) -> None:
        try:
            result = self.function()
        except Exception as error:
            self.future.set_exception(error)
        except BaseException as error:
            # SystemExit must end neither this thread nor, raised again by the future, the worker.
            self.future.set_exception(DetectorExitError(type(error).__name__))
        else:
            self.future.set_result(result)


def _score(detector: Detector, batch: Batch) -> FloatMatrix:
    scores = detector.score(batch)
    expected = (len(batch), len(detector.metrics))
    if not isinstance(scores, np.ndarray) or scores.dtype != np.float32 or scores.shape != expected:
        raise BadScoresError
    if np.isinf(scores).any():
        raise BadScoresError
    return scores


def _reason(error: BaseException) -> str:
    return TIMEOUT if isinstance(error, TimeoutError) else type(error).__name__
