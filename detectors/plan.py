"""What a set of detectors needs, and the steps in which it is computed."""

from collections.abc import Collection, Sequence
from functools import partial
from itertools import starmap
from operator import attrgetter, methodcaller

import numpy as np

from detectors.base import COUNT, Detector, FloatMatrix, Range, counted, counted_name
from detectors.batch import FEATURES as MADE_OF
from detectors.batch import READ, Batch, Bools
from detectors.privacy.finders import FINDERS, FinderError, Findings
from detectors.privacy.views import Find
from detectors.steps.lanes import Results, Step


class BadScoresError(Exception):
    """A detector returned something other than a finite (or NaN) float32 matrix of its shape."""


class Plan:
    """What detectors need and in which order it is computed; what a runner swaps as a whole."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self.detectors = tuple(detectors)
        self.metrics = tuple(metric for detector in self.detectors for metric in detector.metrics)
        self.counted = {name: d.metrics[0] for d in self.detectors for name in counted(d)}
        self.owners = {metric: d.name for d in self.detectors for metric in (*d.metrics, *counted(d))}
        self.ranges = {
            metric: Range(*bounds)
            for detector in self.detectors
            for metric, bounds in getattr(detector, "ranges", {}).items()
        } | dict.fromkeys(self.counted, COUNT)
        self.cheap = {d.name for d in self.detectors if getattr(d, "cheap_to_explain", False)}
        self._needs = {d.name: _closure(getattr(d, "needs", ())) for d in self.detectors}
        self._finds = {d.name: d.find for d in self.detectors if hasattr(d, "find")}
        self.finders: tuple[Find, ...] = tuple(dict.fromkeys((*FINDERS, *self._finds.values())))
        needed = (*self._needs.values(), _closure(["views"]))
        self.needs = tuple(dict.fromkeys(feature for needs in needed for feature in needs))
        judged = {"head_probabilities", "passage_verdicts"}
        self.read_closely = frozenset(
            metric for metric in self.metrics if not judged.isdisjoint(self._needs[self.owners[metric]])
        )
        # What the transformer reads for comes last: by a deadline, all else is there.
        reading = {name for name in self.needs if READ.intersection(_closure([name]))}
        readers = [d for d in self.detectors if reading.intersection(self._needs[d.name])]
        self.steps = (
            *(_making(name) for name in self.needs if name not in reading),
            *starmap(_finding, enumerate(self.finders)),
            *(self._detecting(each) for each in self.detectors if each not in readers),
            *(_making(name) for name in self.needs if name in reading),
            *map(self._detecting, readers),
        )

    def view(self, batch: Batch, results: Results) -> Batch:
        """Let the batch keep the features that are there, and return a view of it to work on.

        What is left behind goes on writing to its own view, and to nothing that anyone reads.
        """
        for name in self.needs:
            result = results.get(feature_step(name))
            if result is not None and result.error is None:
                batch.keep(name, result.value)
        for number, find in enumerate(self.finders):
            result = results.get(search_step(number))
            if result is not None and result.error is None:
                batch.keep_found(find, result.value)
        return batch.view()

    def findings(self, batch: Batch, results: Results) -> Findings:
        """Return what all finders see together; nothing is known where one failed as a whole."""
        searches = [results[search_step(number)] for number in range(len(self.finders))]
        if any(search.error for search in searches):
            return Findings(None, {})
        return Findings([search.value for search in searches], batch.views)

    def _detecting(self, detector: Detector) -> Step[Batch]:
        needs = tuple(map(feature_step, self._needs[detector.name]))
        find = self._finds.get(detector.name)
        if find:
            needs += (search_step(self.finders.index(find)),)
        return Step(detector.name, partial(_score, detector, find), needs)

    def counts(self, batch: Batch, failed: Collection[str]) -> dict[int, dict[str, float]]:
        """Return how many findings of each kind the rows hold, for the rows that hold any."""
        counts: dict[int, dict[str, float]] = {}
        for detector in self.detectors:
            if detector.name in failed or not counted(detector):
                continue
            if not (found := batch.found(self._finds[detector.name])):
                continue
            for row, event in enumerate(batch.events):
                for finding in found.said(event):
                    name = counted_name(detector.name, finding.kind)
                    of_row = counts.setdefault(row, {})
                    of_row[name] = of_row.get(name, 0.0) + 1.0
        return counts

    def unsure(self, batch: Batch) -> Bools:
        """Return where a score rests on less than it should, shape (N, M)."""
        unsure = np.zeros((len(batch), len(self.metrics)), dtype=bool)
        unsure[batch.shortened()] = True
        if (left_out := batch.left_out()).any():
            read = [metric in self.read_closely for metric in self.metrics]
            unsure |= left_out[:, None] & np.array(read, dtype=bool)
        return unsure


def feature_step(name: str) -> str:
    """Return the name of the step that makes a feature; a detector may have the feature's name."""
    return f"feature {name}"


def _making(name: str) -> Step[Batch]:
    return Step(feature_step(name), attrgetter(name), tuple(map(feature_step, MADE_OF.get(name, ()))))


def search_step(number: int) -> str:
    """Return the name of the step that lets a finder search."""
    return f"finder {number}"


def _finding(number: int, find: Find) -> Step[Batch]:
    return Step(search_step(number), methodcaller("found", find), (feature_step("views"),))


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
