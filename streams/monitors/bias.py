"""Are answers to texts that name one group worse than answers to those that name others? Pure: no I/O.

An answer counts for the groups that its prompt names, or it itself; others are the answers that name some
group, but not this one. Levels have confidence sequences: intervals that hold however often one looks.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from streams.monitors.reference import Count, Time

MEASURES: Final = ("toxicity", "refusal", "block", "length")
"""What is compared, more of which is worse: the mean score; the shares of answers that refuse, are blocked,
are shorter than the median."""
SHARE: Final = 0.1
"""Of the false alarms that a segment may have."""
GROUPS: Final = 16
"""That a segment tells apart: the first that are named."""
WINDOW: Final = 512
"""Answers of a group in a window. A second window begins half way, so what is new is soon most of one."""
LEAST: Final = 16
"""Answers on both sides before a gap is looked at."""
ENDING: Final = 32
"""Answers of a group by which it is judged whether a gap is over, anew until it is."""
REPORT: Final = 64
"""Answers of a group from one report to the next."""
LENGTHS: Final = 64
"""Answers that the median length is learned from."""
REQUESTS: Final = 256
"""Prompts that name a group and wait for their answer."""

Sums = Annotated[list[float], Meta(min_length=2 * len(MEASURES), max_length=2 * len(MEASURES))]


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """A gap that was found and is still there."""

    found: Time
    """Milliseconds."""
    level: Annotated[float, Meta(ge=0, le=1)]
    """Of the group, then."""
    drift_id: str = ""


class Window(msgspec.Struct, array_like=True):
    """Answers since a time: for each measure those of the group and those of the others, and their sums."""

    since: Time
    counts: Annotated[list[Count], Meta(min_length=2 * len(MEASURES), max_length=2 * len(MEASURES))] = (
        msgspec.field(default_factory=lambda: [0] * (2 * len(MEASURES)))
    )
    sums: Sums = msgspec.field(default_factory=lambda: [0.0] * (2 * len(MEASURES)))

    def difference(self, measure: int) -> float | None:
        """Return the level of the group less that of the others; None of too few answers."""
        place = 2 * measure
        count, others = self.counts[place : place + 2]
        if min(count, others) < LEAST:
            return None
        return self.sums[place] / count - self.sums[place + 1] / others

    def says_of(self, measure: int, standing: Standing) -> bool:
        """Whether it can say that a gap is over: it began after that was found, and holds enough."""
        return self.since > standing.found and self.counts[2 * measure] >= ENDING


class Group(msgspec.Struct, array_like=True):
    """A group within a segment."""

    windows: Annotated[list[Window], Meta(min_length=2, max_length=2)]
    answers: Count = 0
    standing: Annotated[list[Standing | None], Meta(min_length=len(MEASURES), max_length=len(MEASURES))] = (
        msgspec.field(default_factory=lambda: [None] * len(MEASURES))
    )
    """By measure."""
    cause: str = ""
    """The drift that was found first of the gaps that stand."""


class BiasState(msgspec.Struct, array_like=True):
    """What is remembered of a segment."""

    lengths: Annotated[list[Annotated[float, Meta(ge=0, le=1e9)]], Meta(max_length=LENGTHS)] = msgspec.field(
        default_factory=list
    )
    requests: Annotated[dict[int, list[str]], Meta(max_length=REQUESTS)] = msgspec.field(default_factory=dict)
    """64 bits that stand for the request, and the groups that its prompt names."""
    groups: Annotated[dict[str, Group], Meta(max_length=GROUPS)] = msgspec.field(default_factory=dict)


class Gap(NamedTuple):
    """How a group's answers differ from the others'."""

    group: str
    measure: str
    since: int
    """Timestamp at which the window began, milliseconds."""
    level: float
    others: float
    samples: int
    others_samples: int
    low: float
    high: float
    """Where the difference lies."""
    level_low: float
    level_high: float
    found: bool
    """The group is worse off: significantly, and by much."""
    is_news: bool
    """It was just found, or has just ended."""
    standing: Standing | None = None
    """The gap that was there before this."""


class BiasTest:
    """The comparison of groups within one segment.

    Args:
        quiet: events of the segment per false alarm, over all that is watched.
        gap: by how much the level of a group, 0 to 1, is above the others' when that is large.

    """

    __slots__ = ("_doubt", "_gap", "state")

    def __init__(self, quiet: float, gap: float) -> None:
        # By windows that begin: so many answers of a group open two, each for every measure and two sides.
        begun = 2 * quiet / WINDOW * len(MEASURES) * 2
        self._doubt = math.log(max(20.0, begun / SHARE))
        self._gap = gap
        self.state = BiasState()

    def ask(self, request: int, groups: Sequence[str]) -> None:
        """Note that the prompt of a request names these groups."""
        requests = self.state.requests
        requests.pop(request, None)
        if len(requests) == REQUESTS:
            del requests[next(iter(requests))]
        requests[request] = list(groups[:GROUPS])

    def answer(
        self, request: int | None, groups: Sequence[str], values: Sequence[float | None], now: int
    ) -> list[Gap]:
        """Add an answer; return the gaps that are due: those that are news, and reports.

        Args:
            request: that it answers, as given to `ask`.
            groups: that it names itself.
            values: by `MEASURES`, 0 to 1, but for the length, in tokens; None where there is none.
            now: timestamp, milliseconds.

        """
        asked = self.state.requests.pop(request, []) if request is not None else []
        bounded = [*values[:-1], self._shorter(values[-1])]
        named = {*asked, *groups}
        for name in sorted(named - self.state.groups.keys())[: GROUPS - len(self.state.groups)]:
            self.state.groups[name] = Group([Window(now), Window(now)])
        found: list[Gap] = []
        for name, group in self.state.groups.items() if named else ():
            self._add(group, name in named, bounded, now)
            if name in named:
                found += self._look(name, group, now)
        return found

    def cause(self, gap: Gap) -> str:
        """Return the drift that was found first of those of a group that stand; empty for the first one."""
        return self.state.groups[gap.group].cause

    def note(self, gap: Gap, drift_id: str) -> None:
        """Remember the drift of a gap that is news as the cause of its group's others, until all ended."""
        group = self.state.groups[gap.group]
        if gap.found:
            number = MEASURES.index(gap.measure)
            standing = group.standing[number]
            assert standing is not None
            group.standing[number] = msgspec.structs.replace(standing, drift_id=drift_id)
        group.cause = (group.cause or drift_id) if any(group.standing) else ""

    def _shorter(self, tokens: float | None) -> float | None:
        """Return whether an answer is shorter than the median, which the first ones tell."""
        lengths = self.state.lengths
        if tokens is None:
            return None
        if len(lengths) < LENGTHS:
            lengths.append(float(tokens))
            lengths.sort()
            return None
        return float(tokens < lengths[LENGTHS // 2])

    def _add(self, group: Group, is_named: bool, values: Sequence[float | None], now: int) -> None:
        if is_named:
            half = WINDOW // 2
            if group.answers and group.answers % half == 0:
                group.windows[group.answers // half % 2] = Window(now)
            elif any(group.standing) and group.answers % ENDING == 0:
                group.windows = [min(group.windows, key=lambda window: window.since), Window(now)]
            group.answers += 1
        for measure, value in enumerate(values):
            if value is not None:
                place = 2 * measure + (not is_named)
                for window in group.windows:
                    window.counts[place] += 1
                    window.sums[place] += min(1.0, max(0.0, value))

    def _look(self, name: str, group: Group, now: int) -> Iterator[Gap]:
        is_due = group.answers % REPORT == 0
        for measure in range(len(MEASURES)):
            yield from self._judge(name, group, measure, is_due, now)

    def _judge(self, name: str, group: Group, measure: int, is_due: bool, now: int) -> Iterator[Gap]:
        standing = group.standing[measure]
        for window in sorted(group.windows, key=lambda window: window.since):
            if (difference := window.difference(measure)) is None:
                continue
            if standing is None and difference >= self._gap:
                gap = self._measured(name, measure, window, None)
                if gap.low > 0:
                    group.standing[measure] = Standing(now, gap.level)
                    yield gap._replace(found=True, is_news=True)
                    return
            elif standing is not None and difference < self._gap / 2 and window.says_of(measure, standing):
                group.standing[measure] = None
                group.windows = [window, Window(now)]
                yield self._measured(name, measure, window, standing)._replace(found=False, is_news=True)
                return
        if is_due and group.windows[0].difference(measure) is not None:
            yield self._measured(name, measure, group.windows[0], standing)

    def _measured(self, name: str, measure: int, window: Window, standing: Standing | None) -> Gap:
        count, others = window.counts[2 * measure : 2 * measure + 2]
        total, other_total = window.sums[2 * measure : 2 * measure + 2]
        low, high = interval(total, count, self._doubt)
        other_low, other_high = interval(other_total, others, self._doubt)
        return Gap(
            *(name, MEASURES[measure], window.since, total / count, other_total / others, count, others),
            *(low - other_high, high - other_low, low, high, standing is not None, False),
            standing,
        )

    @property
    def is_learning(self) -> bool:
        """Whether groups are named, and no comparison is possible yet."""
        windows = [window for group in self.state.groups.values() for window in group.windows]
        return bool(windows) and all(min(window.counts[4:6]) < LEAST for window in windows)


def interval(total: float, count: int, doubt: float) -> tuple[float, float]:
    """Return where the mean of values in 0..1 lies, at all times at once but with probability exp(-doubt).

    The mixture of likelihood ratios of Robbins (1970, "Statistical Methods Related to the Law of the Iterated
    Logarithm") with Jeffreys' prior: for values between 0 and 1 it is a supermartingale, too, by convexity.
    """
    prior = math.lgamma(0.5) * 2
    evidence = (
        math.lgamma(total + 0.5) + math.lgamma(count - total + 0.5) - math.lgamma(count + 1.0) - prior
    )  # fmt: skip

    def is_out(mean: float) -> bool:
        likelihood = total * math.log(mean) + (count - total) * math.log1p(-mean)
        return evidence - likelihood >= doubt

    middle = min(1 - 1e-9, max(1e-9, total / count))
    return _edge(1e-12, middle, is_out), _edge(1 - 1e-12, middle, is_out)


def _edge(outside: float, inside: float, is_out: Callable[[float], bool]) -> float:
    """Return where `is_out` turns, to within a thousandth; `outside` if it does not."""
    if not is_out(outside):
        return round(outside, 9)
    while abs(outside - inside) > 1e-4:
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if is_out(middle) else (outside, middle)
    return outside
