"""Have the subjects of the texts changed? An online test on sketches of them. Pure: no I/O.

Moving averages of whitened sketches, a fast and a slow one, against what was learned (Lowry et al. 1992, "A
Multivariate Exponentially Weighted Moving Average Control Chart").
"""

import math
from typing import Final, NamedTuple

import msgspec
import numpy as np

from schemas.sketches import COMPONENTS, LENGTH, unpack
from streams.monitors import clusters
from streams.monitors.clusters import CLUSTERS, Shares
from streams.monitors.reference import DAY_MS, DOUBT, HOUR_MS, LONG, LONG_MEMORY, SHORT, SHORT_MEMORY
from streams.monitors.topic_state import LEARN, LOWER, SPEEDS, Floats, TopicState, array, square
from streams.monitors.views import StateError

SHARE: Final = 0.1
"""Of the false alarms that a segment may have."""
CONFIRMED: Final = math.log(4)
DISMISSED: Final = -3.0
MIXED: Final = 2.0
"""Variance of texts along a change, where only a part of them is about something else."""
FRESH: Final = 32
"""Texts at least that confirm: a burst of one user's is no new subject."""
EVERY: Final = 16
"""Texts between two looks at what may join the reference."""
SHRINK: Final = 0.05
"""Of the mean variance, added to each direction's: few texts do not show that one has none."""
LEAST_VARIANCE: Final = 1e-4
"""Of a direction: where texts hardly differ, a little more is no news."""
TOLERANCE: Final = 2.0
"""Standard deviations of the wandering from hour to hour that are no change."""
YOUNG: Final = 0.5
LEAST: Final = 0.2
"""Spreads that are no change, until the subjects were watched for a day, and later."""
MOST_ALIKE: Final = 6.0
SETTLED: Final = 4_096
"""Texts after which subjects are at home where they are."""
WEIGHT: Final = 32_768
"""Texts that a reference weighs; then all that it has counts half."""
_CALM: Final = COMPONENTS + 2 * math.sqrt(2 * COMPONENTS)
"""Squared length of an average, in its variances, that chance seldom exceeds."""
_MEAN, _FAST, _SLOW, _PENDING, _SHORT, _LONG, _FRESH = range(7)
"""Rows of what is summed: a number of texts, and a vector. The mean is of sketches, all else of whitened
distances from it."""


class Moved(NamedTuple):
    """The subjects are no longer what they were."""

    began: int
    """Timestamp of the last text before it, as estimated, milliseconds."""
    distance_before: float
    distance_after: float
    """Of the mean from where the subjects are at home, in spreads: where they were before they moved, until
    they have stayed elsewhere for `SETTLED` texts."""
    before_samples: int
    after_samples: int
    before: Shares
    after: Shares
    returns: str
    """The drift with which they left home, if they are back."""


class TopicTest:
    """The test of one segment. What it says depends on the sketches and their order alone.

    Args:
        quiet: events of a segment per false alarm, of all that is watched.

    """

    __slots__ = ("_bound", "_centroids", "_sums", "_target", "_whitening", "state")

    def __init__(self, quiet: float) -> None:
        # Laurent & Massart 2000, "Adaptive estimation of a quadratic functional": P(X > bound) <= exp(-x) of
        # a chi-squared X. The confirmation brings the rest.
        x = math.log(quiet * len(SPEEDS) / SHARE) - CONFIRMED
        self._bound = COMPONENTS + 2 * math.sqrt(COMPONENTS * x) + 2 * x
        self._begin(TopicState())

    def _begin(self, state: TopicState) -> None:
        self.state = state
        self._sums = np.zeros((7, 1 + COMPONENTS))
        self._whitening = np.zeros((COMPONENTS, COMPONENTS))
        self._centroids = np.zeros((CLUSTERS, COMPONENTS))
        self._target = np.zeros(COMPONENTS)

    @property
    def is_learning(self) -> bool:
        """Whether there are sketches, and too few to alarm."""
        return self.state.space >= 0 and not self._sums[_MEAN, 0]

    def update(self, sketch: bytes, nearest: str, now: int) -> Moved | None:
        """Add a text; return what has changed.

        Args:
            sketch: of the text, see `schemas.sketches`; bytes of another length are left out.
            nearest: the reference of the operator's that is nearest to it; empty if there are none.
            now: timestamp, milliseconds.

        """
        if len(sketch) != LENGTH:
            return None
        if sketch[0] != self.state.space:
            # Other embeddings: nothing that was learned compares.
            self._begin(TopicState(sketch[0], now))
        if not self._sums[_MEAN, 0]:
            self.state.before.name(nearest)
            self.state.learning += sketch[1:]
            if len(self.state.learning) == LEARN * COMPONENTS:
                self._learn(now)
            return None
        self._add(unpack(sketch[1:])[0], nearest, now)
        return self._judge(now)

    def _learn(self, now: int) -> None:
        state = self.state
        points = unpack(state.learning)
        mean = points.mean(axis=0)
        covariance = np.cov(points.T)
        covariance += np.eye(COMPONENTS) * (SHRINK * np.trace(covariance) / COMPONENTS + LEAST_VARIANCE)
        self._whitening = np.linalg.inv(np.linalg.cholesky(covariance)).astype(np.float32).astype(np.float64)
        self._sums[_MEAN] = LEARN, *mean
        self._centroids = clusters.learn(points).astype(np.float32).astype(np.float64)
        for point in points:
            state.before.counts[clusters.nearest(self._centroids, point)] += 1
        whitened = (points - mean) @ self._whitening.T
        means = whitened.reshape(-1, SHORT, COMPONENTS).mean(axis=1)
        state.alike = max(1.0, float((means**2).sum(axis=1).mean()) * SHORT / COMPONENTS)
        state.alike_blocks = len(means)
        state.learning, state.began, state.hour = b"", now, now

    def _add(self, point: Floats, nearest: str, now: int) -> None:
        state, sums = self.state, self._sums
        away = self._whitening @ (point - sums[_MEAN, 1:])
        for row, speed in zip((_FAST, _SLOW), SPEEDS, strict=True):
            sums[row, 1:] += speed * (away - sums[row, 1:])
        sums[_PENDING:, 0] += 1
        sums[_PENDING:, 1:] += away
        state.after.counts[clusters.nearest(self._centroids, point)] += 1
        state.after.name(nearest)
        if state.candidate >= 0:
            target = self._target
            gain = float(target @ away - target @ target / 2) / self._correlation / MIXED
            state.gain = min(CONFIRMED, state.gain + gain)
        if sums[_SHORT, 0] >= SHORT:
            self._close_short()
        if sums[_LONG, 0] >= LONG and now - state.hour >= HOUR_MS:
            self._close_long(now)

    @property
    def _correlation(self) -> float:
        return min(MOST_ALIKE, max(1.0, self.state.alike))

    def _close_short(self) -> None:
        number, total = float(self._sums[_SHORT, 0]), self._sums[_SHORT, 1:]
        self.state.blocks[0] += 1
        self.state.blocks[1] += min(4 * MOST_ALIKE, float(total @ total) / number / COMPONENTS)
        self._sums[_SHORT] = 0.0

    def _close_long(self, now: int) -> None:
        number = float(self._sums[_LONG, 0])
        mean = self._sums[_LONG, 1:] / number
        self.state.blocks[2] += 1
        self.state.blocks[3] += float(mean @ mean) - COMPONENTS * self._correlation / number
        self.state.hour = now
        self._sums[_LONG] = 0.0

    def _join(self, now: int) -> None:
        """Let what was calm join the reference, and learn from its blocks what moves averages by itself."""
        state, sums = self.state, self._sums
        short, alike, long, beyond = state.blocks
        if short:
            state.alike_blocks = min(SHORT_MEMORY, state.alike_blocks + int(short))
            state.alike += (alike / short - state.alike) * min(1.0, short / state.alike_blocks)
        if long:
            state.wander_blocks = min(LONG_MEMORY, state.wander_blocks + int(long))
            state.wander += (beyond / long - state.wander) * min(1.0, long / state.wander_blocks)
        total = sums[_MEAN, 0] + sums[_PENDING, 0]
        # Back from whitened distances to sketches.
        sums[_MEAN, 1:] += np.linalg.solve(self._whitening, sums[_PENDING, 1:]) / total
        sums[_MEAN, 0] = total
        state.before.add(state.after)
        if total > WEIGHT:
            sums[_MEAN, 0] = total / 2
            state.before.halve()
        state.after, state.blocks, state.began = Shares(), [0.0] * 4, now
        sums[_PENDING] = 0.0

    def _moved(self) -> Moved:
        state, sums = self.state, self._sums
        here = np.concatenate([sums[_MEAN, 1:], self._whitening[LOWER]])
        away = bool(state.home) and sums[_MEAN, 0] < SETTLED
        home = array(state.home, np.float64, here.shape) if away else here
        # Where those that confirmed it are: the others were chosen for being far.
        now = sums[_MEAN, 1:] + np.linalg.solve(self._whitening, sums[_FRESH, 1:] / sums[_FRESH, 0])
        chance = COMPONENTS * self._correlation / float(sums[_FRESH, 0])
        before = math.sqrt(square(home, sums[_MEAN, 1:]))
        after = math.sqrt(max(0.0, square(home, now) - chance))
        moved = Moved(
            *(state.began, before, after, int(sums[_MEAN, 0]), int(sums[_PENDING, 0])),
            *(state.before, state.after, state.left if after < before / 2 else ""),
        )
        kept = TopicState(state.space, state.first)
        kept.wander, kept.wander_blocks = state.wander, state.wander_blocks
        if after >= before / 2:
            kept.home, kept.left = home.tobytes(), state.left if away else ""
        self._begin(kept)
        return moved

    @property
    def nearness(self) -> tuple[int, float, float]:
        """Texts learned; how far the last ones are from those, in spreads; what part that is of an alarm."""
        averages = self._sums[[_FAST, _SLOW], 1:]
        lengths = np.sqrt((averages**2).sum(axis=1))
        texts = int(self._sums[_MEAN, 0])
        if not texts:
            return len(self.state.learning) // COMPONENTS, 0.0, 0.0
        bounds = math.sqrt(self._bound) * self._deviations() + self._tolerance(self.state.began)
        return texts, float(lengths[0]), float((lengths / bounds).max())

    def note(self, drift_id: str) -> None:
        """Remember the drift of what has just changed: what it was ends with a return."""
        self.state.left = self.state.left or (drift_id if self.state.home else "")

    def _tolerance(self, now: int) -> float:
        """Return how far an average may be from the reference for other reasons than chance."""
        state = self.state
        doubt = DOUBT * self._correlation * math.sqrt(2 * COMPONENTS / max(1, state.wander_blocks)) / LONG
        wander = TOLERANCE * math.sqrt(state.wander) if state.wander > doubt else 0.0
        watched = now - (state.first or 0) >= DAY_MS and state.wander_blocks > 0
        return max(wander, LEAST if watched else YOUNG)

    def _judge(self, now: int) -> Moved | None:
        state, sums = self.state, self._sums
        if state.candidate >= 0:
            if state.gain >= CONFIRMED and sums[_FRESH, 0] >= FRESH:
                return self._moved()
            if state.gain > DISMISSED:
                return None
            sums[(_FAST, _SLOW)[state.candidate], 1:] *= 0.5
            state.candidate, state.doubted = -1, LONG
        averages = sums[[_FAST, _SLOW], 1:]
        lengths = np.sqrt((averages**2).sum(axis=1))
        deviations = self._deviations()
        tolerance = self._tolerance(now)
        over = lengths - (math.sqrt(self._bound) * deviations + tolerance)
        if (over > 0).any():
            state.candidate = int(over.argmax())
            # Without what chance adds to its length.
            chance = COMPONENTS * float(deviations[state.candidate]) ** 2
            self._target = averages[state.candidate] * (1 - chance / float(lengths[state.candidate]) ** 2)
            state.gain, sums[_FRESH] = 0.0, 0.0
        elif state.doubted:
            state.doubted -= 1
        elif (
            int(sums[_PENDING, 0]) % EVERY == 0
            and (lengths < math.sqrt(_CALM) * deviations + tolerance).all()
        ):
            self._join(now)
        return None

    def _deviations(self) -> Floats:
        """Return the standard deviations of the averages, per direction."""
        speeds = np.array(SPEEDS)
        return np.asarray(np.sqrt(self._correlation * (speeds / (2 - speeds) + 1 / self._sums[_MEAN, 0])))

    def export(self) -> TopicState | None:
        """Return what is remembered; None if there was no text."""
        if self.state.space < 0:
            return None
        if not self._sums[_MEAN, 0]:
            return self.state
        return msgspec.structs.replace(
            self.state, sums=self._sums.tobytes(), target=self._target.tobytes(),
            whitening=self._whitening[LOWER].astype(np.float32).tobytes(),
            centroids=self._centroids.astype(np.float32).tobytes(),
        )  # fmt: skip

    def restore(self, state: TopicState) -> None:
        """Go on where the exported test was; `StateError` if there is none like it."""
        self._begin(state)
        if state.home:
            array(state.home, np.float64, (COMPONENTS + len(LOWER[0]),))
        if not state.sums:
            if len(state.learning) % COMPONENTS:
                raise StateError("a part of a sketch")
            return
        self._sums = array(state.sums, np.float64, self._sums.shape)
        self._target = array(state.target, np.float64, self._target.shape)
        self._whitening[LOWER] = array(state.whitening, np.float32, (len(LOWER[0]),))
        self._centroids = array(state.centroids, np.float32, self._centroids.shape)
        if (self._sums[:, 0] < 0).any() or self._sums[_MEAN, 0] < 1 or not self._whitening.diagonal().all():
            raise StateError("a reference of nothing")
        # The arrays stand for them now.
        state.sums = state.target = state.whitening = state.centroids = b""
