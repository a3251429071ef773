"""Which metrics have which views, and what is remembered of them: plain numbers. Pure: no I/O."""

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from streams.monitors.reference import LEVEL, SHARE, TILTS, Count, Grid, Number, Powers, Time, Wander
from streams.monitors.scales import LIMIT, Scale, Sort

MOST_LEARNED: Final = 1_000
"""Values, for the state's sake."""

Value = Annotated[float, Meta(ge=-LIMIT, le=LIMIT)]


class Change(NamedTuple):
    """A metric that is no longer what it was. Levels are means, of quantities geometric ones."""

    metric: int
    began: int
    """Timestamp of the last event before it, as estimated, milliseconds."""
    before: float
    before_samples: int
    after: float
    after_samples: int
    low: float
    high: float
    """The interval in which the new level lies."""


class Layout:
    """Which metrics have which views; shared by all segments.

    Args:
        sorts: of the metrics.
        quiet: events of a segment per false alarm, over all metrics.
        learn: values that a metric is learned from before it can alarm.

    """

    def __init__(self, sorts: Sequence[Sort], quiet: float, learn: int) -> None:
        self.sorts = tuple(sorts)
        self.learn = learn
        self.metrics: list[int] = []
        """Of each view."""
        self.powers: list[Powers] = []
        self.views: list[range] = []
        """Of each metric."""
        for metric, sort in enumerate(sorts):
            mine = [LEVEL] * (sort != "rate") + [SHARE] * (sort != "quantity")
            self.views.append(range(len(self.powers), len(self.powers) + len(mine)))
            self.metrics += [metric] * len(mine)
            self.powers += mine
        self.run_length = quiet * TILTS * len(self.powers)


class Candidate(msgspec.Struct, frozen=True, array_like=True):
    """A test that is positive and waits to be confirmed."""

    tilt: Annotated[int, Meta(ge=0, lt=TILTS)]
    gain: Number = 0.0
    fresh: Count = 0


class ViewState(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of a view; the arrays of `SegmentTests`, flat."""

    counts: Grid
    totals: Annotated[list[Number], Meta(min_length=3, max_length=3)]
    wander: Wander
    pending: Grid
    sums: Annotated[list[Number], Meta(min_length=12, max_length=12)]
    blocks: Annotated[list[Number], Meta(min_length=8, max_length=8)]
    hour: Time
    walks: Annotated[list[Number], Meta(min_length=TILTS, max_length=TILTS)]
    since: Annotated[list[Number], Meta(min_length=3 * TILTS, max_length=3 * TILTS)]
    began: Annotated[list[Time], Meta(min_length=TILTS, max_length=TILTS)]
    candidate: Candidate | None


class MetricState(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of a metric: plain numbers."""

    learning: Annotated[list[Value], Meta(max_length=MOST_LEARNED)]
    scale: Scale | None
    views: list[ViewState]


class StateError(Exception):
    """Numbers that no test has."""
