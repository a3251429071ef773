"""Has the level of a metric changed? Sequential tests of all metrics of a segment. Pure: no I/O.

Per view of a metric four CUSUMs (Page 1954, "Continuous Inspection Schemes") of the log-likelihood ratios of
`streams.monitors.reference`. Each test has an equal share of the false alarms that the segment may have: what
all metrics together raise is the sum.
"""

import math
from array import array
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streams.monitors import scales
from streams.monitors.reference import HOUR_MS, LEVEL, LONG, SHORT, TILTS, Reference
from streams.monitors.scales import GRID, Scale
from streams.monitors.views import Candidate, Change, Layout, MetricState, StateError, ViewState

CONFIRMED: Final = math.log(4)
"""A candidate stands once what came after it, alone, is four times likelier under the change. Of false ones
one in four gets there, so the threshold before may be lower by as much: confirming costs no time."""
DISMISSED: Final = -3.0
FRESH: Final = 16
"""Values at least that confirm: a burst of one user's is no new level."""
CALM: Final = 1.0
"""Where all walks of a view are below this, what came before may join the reference."""
EVERY: Final = 16
"""Events of a segment between two looks at what may join the reference; the least that joins."""
CERTAINTY: Final = 1.96
"""Standard errors on either side of a level."""

Floats = npt.NDArray[np.float64]


class SegmentTests:
    """The tests of one segment.

    What it says depends on the values and their order alone.
    """

    __slots__ = (
        *(
            "_drops",
            "_slopes",
            "_stale",
            "_thresholds",
            "began",
            "blocks",
            "candidates",
            "hours",
            "layout",
            "learning",
        ),
        *("pending", "references", "samples", "scales", "since", "sums", "walks"),
    )

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        views = len(layout.powers)
        self.samples = 0
        self.scales: list[Scale | None] = [None] * len(layout.sorts)
        self.learning: list[list[float]] = [[] for _ in layout.sorts]
        self.references = [Reference() for _ in range(views)]
        self.pending = [array("I", bytes(4 * GRID)) for _ in range(views)]
        """Counts that are not in the reference yet."""
        self.sums = np.zeros((3, 4, views))
        """Of what is pending, of the short block, of the long one: values, their number, transformed, and
        its squares."""
        self.walks = np.zeros((views, TILTS))
        self.since = np.zeros((3, views, TILTS))
        """Since a walk began: number of values, their sum, and that of their squares."""
        self.began = np.zeros((views, TILTS), np.int64)
        self.blocks = np.zeros((2, 4, views))
        """Of the pending blocks, short and long: how many, values, their sum, and the squares of the blocks'
        sums, each by its number of values, summed."""
        self.hours = np.zeros(views, np.int64)
        """When the long blocks began, milliseconds."""
        self.candidates: dict[int, Candidate] = {}
        self._slopes = np.zeros((views, TILTS))
        self._drops = np.zeros((views, TILTS))
        self._thresholds = np.full((views, TILTS), np.inf)
        self._stale = False

    @property
    def is_learning(self) -> bool:
        """Whether some metric that has values cannot alarm yet."""
        return any(self.learning)

    def update(self, values: Sequence[float | None], now: int) -> list[Change]:
        """Add an event; return what has changed.

        Args:
            values: by metric, within `scales.LIMIT`; None where the event has none.
            now: timestamp, milliseconds.

        """
        self._refresh_restored()
        self.samples += 1
        step = self._step(values, now)
        if step is None:
            return []
        self.sums += step
        gains = step[0, :, None] * self._slopes - step[1, :, None] * self._drops
        self.walks += gains
        up = self.walks > 0
        self.walks *= up
        self.since += step[1:, :, None]
        self.since *= up
        np.copyto(self.began, now, where=~up)
        doubtful = self.candidates or (self.walks >= self._thresholds).any()
        found = self._judge(gains, step[1]) if doubtful else []
        if self.samples % EVERY == 0:
            self._look_back(now)
        return found

    def _step(self, values: Sequence[float | None], now: int) -> Floats | None:
        """Return per view: its value, 1 if there is one, the transformed value, its square."""
        views = len(self.pending)
        rows = [0.0] * (4 * views)
        some = False
        for metric, value in enumerate(values):
            if value is None:
                continue
            scale = self.scales[metric]
            if scale is None:
                self._learn(metric, value, now)
                continue
            some = True
            transformed = scale.transform(value)
            for view in self.layout.views[metric]:
                powers = self.layout.powers[view]
                if powers is LEVEL:
                    point = scale.level(transformed)
                elif scale.logarithmic:
                    continue
                else:
                    point = scales.share(transformed)
                self.pending[view][point] += 1
                rows[view] = powers.grid[point]
                rows[view + views] = 1.0
                rows[view + 2 * views] = transformed
                rows[view + 3 * views] = transformed * transformed
        return np.array(rows).reshape(4, views) if some else None

    def _learn(self, metric: int, value: float, now: int) -> None:
        values = self.learning[metric]
        values.append(value)
        for view in self.layout.views[metric]:
            wander = self.references[view].wander
            if wander.first is None:
                wander.first = now
        if len(values) < self.layout.learn:
            return
        scale = self.scales[metric] = scales.learn(values, self.layout.sorts[metric])
        self.learning[metric] = []
        transformed = [scale.transform(value) for value in values]
        sums = [len(values), sum(transformed), sum(value * value for value in transformed)]
        for view in self.layout.views[metric]:
            level = self.layout.powers[view] is LEVEL
            if level or not scale.logarithmic:
                counts = [0] * GRID
                for each in transformed:
                    counts[scale.level(each) if level else scales.share(each)] += 1
                self.references[view].add(counts, sums)
                self.hours[view] = now
                self._refresh(view)

    def _judge(self, gains: Floats, present: Floats) -> list[Change]:
        for view, old in list(self.candidates.items()):
            # No more than needed: the rest of a burst is to be outweighed by what follows it.
            tilt, gain = old.tilt, min(CONFIRMED, old.gain + float(gains[view, old.tilt]))
            self.candidates[view] = Candidate(tilt, gain, old.fresh + int(present[view]))
            if gain <= DISMISSED:
                del self.candidates[view]
                # It may still be true, but has to be shown again; a burst has not shown it.
                most = self._thresholds[view, tilt] + DISMISSED
                self.walks[view, tilt] = max(0.0, min(self.walks[view, tilt], most))
        above = self.walks - self._thresholds
        for view in np.flatnonzero((above >= 0).any(axis=1)).tolist():
            self.candidates.setdefault(view, Candidate(int(np.argmax(above[view]))))
        return [
            self._change(view, found.tilt)
            for view, found in list(self.candidates.items())
            # The other view of the metric may have been confirmed just now, and both began anew.
            if view in self.candidates and found.gain >= CONFIRMED and found.fresh >= FRESH
        ]

    def _change(self, view: int, tilt: int) -> Change:
        metric = self.layout.metrics[view]
        scale, reference = self.scales[metric], self.references[view]
        assert scale is not None
        number, total, _ = reference.sums
        count, new, squares = self.since[:, view, tilt].tolist()
        count = max(1.0, count)
        mean = new / count
        variance = max(0.0, squares / count - mean * mean) * count / max(1.0, count - 1)
        half = CERTAINTY * math.sqrt(variance * reference.wander.correlation / count)
        change = Change(
            metric, int(self.began[view, tilt]), scale.invert(total / max(1.0, number)), round(number),
            scale.invert(mean), round(count), scale.invert(mean - half), scale.invert(mean + half),
        )  # fmt: skip
        self._restart(metric)
        return change

    def _restart(self, metric: int) -> None:
        """Learn the metric anew; how far it wanders is remembered."""
        self.scales[metric] = None
        for view in self.layout.views[metric]:
            self.references[view] = Reference(self.references[view].wander)
            self._forget_pending(view)
            self.sums[:, :, view] = 0.0
            self.walks[view] = self.since[:, view] = 0.0
            self._slopes[view] = self._drops[view] = 0.0
            self._thresholds[view] = np.inf
            self.candidates.pop(view, None)

    def _forget_pending(self, view: int) -> None:
        self.pending[view] = array("I", bytes(4 * GRID))
        self.sums[0, :, view] = 0.0
        self.blocks[:, :, view] = 0.0

    def _look_back(self, now: int) -> None:
        """Close blocks, and let what was calm join the reference: then no change is under way in it."""
        self._close(0, self.sums[1, 1] >= SHORT)
        self._close(1, (self.sums[2, 1] >= LONG) & (now - self.hours >= HOUR_MS))
        self.hours[self.sums[2, 1] == 0] = now
        calm = (self.walks < CALM).all(axis=1) & (self.sums[0, 1] >= EVERY)
        for view in np.flatnonzero(calm).tolist():
            reference = self.references[view]
            number = self.sums[0, 1, view]
            if view not in self.candidates and number >= min(LONG, sum(reference.counts) // 4):
                grid = self.layout.powers[view].grid
                short, long = self.blocks[:, :, view].tolist()
                reference.learn_blocks(grid, short, long, now)
                reference.add(self.pending[view], self.sums[0, 1:, view].tolist())
                self._forget_pending(view)
                self._refresh(view)

    def _close(self, kind: int, ends: npt.NDArray[np.bool_]) -> None:
        """End the blocks of a kind (short 0, long 1) in these views."""
        if ends.any():
            totals, counts = self.sums[1 + kind, :2] * ends
            self.blocks[kind] += ends, counts, totals, totals * totals / np.maximum(counts, 1.0)
            self.sums[1 + kind] *= ~ends

    def _refresh(self, view: int) -> None:
        """Derive the tests of a view from its reference, after each change of that."""
        tests = self.references[view].tests(self.layout.powers[view], self.layout.run_length)
        self._slopes[view] = [test.slope for test in tests]
        self._drops[view] = [test.drop for test in tests]
        # The confirmation brings the rest.
        self._thresholds[view] = [test.threshold - CONFIRMED for test in tests]

    def _refresh_restored(self) -> None:
        for view, metric in enumerate(self.layout.metrics if self._stale else ()):
            if self.scales[metric] is not None and any(self.references[view].counts):
                self._refresh(view)
        self._stale = False

    def export(self, metric: int) -> MetricState | None:
        """Return what is remembered of a metric; None if nothing."""
        views = self.layout.views[metric]
        if self.references[views[0]].wander.first is None:
            return None
        states = [self._export_view(view) for view in views]
        return MetricState(self.learning[metric], self.scales[metric], states)

    def _export_view(self, view: int) -> ViewState:
        reference = self.references[view]
        return ViewState(
            list(reference.counts), reference.sums, reference.wander, list(self.pending[view]),
            self.sums[:, :, view].ravel().tolist(), self.blocks[:, :, view].ravel().tolist(),
            int(self.hours[view]), self.walks[view].tolist(), self.since[:, view].ravel().tolist(),
            self.began[view].tolist(), self.candidates.get(view),
        )  # fmt: skip

    def restore(self, metric: int, state: MetricState) -> None:
        """Go on where the exported tests of a metric were; `StateError` if they fit no such metric."""
        views = self.layout.views[metric]
        if len(state.views) != len(views):
            raise StateError("a metric has another number of views")
        self.learning[metric], self.scales[metric] = list(state.learning), state.scale
        for view, kept in zip(views, state.views, strict=True):
            self._restore_view(view, kept)
        # Most of the work of restoring, and a segment may never come again.
        self._stale = True

    def _restore_view(self, view: int, kept: ViewState) -> None:
        reference = self.references[view] = Reference(kept.wander)
        reference.counts, reference.sums = array("I", kept.counts), list(kept.totals)
        self.pending[view] = array("I", kept.pending)
        self.sums[:, :, view] = np.array(kept.sums).reshape(3, 4)
        self.blocks[:, :, view] = np.array(kept.blocks).reshape(2, 4)
        self.hours[view] = kept.hour
        self.walks[view], self.began[view] = kept.walks, kept.began
        self.since[:, view] = np.array(kept.since).reshape(3, TILTS)
        if kept.candidate is not None:
            self.candidates[view] = kept.candidate
