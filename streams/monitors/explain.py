"""What watch knows of a segment: levels, windows and tests, for people. Pure: no I/O."""

from collections.abc import Iterator
from typing import NamedTuple

from streams.monitors import snapshots
from streams.monitors.bias import LEAST, MEASURES, Group
from streams.monitors.cusum import CONFIRMED, SegmentTests
from streams.monitors.segment import SegmentState, Watched
from streams.monitors.snapshots import Newest, Segment
from streams.monitors.topic import TopicTest
from streams.monitors.topic_state import LEARN


class Line(NamedTuple):
    """One thing that is watched, as words."""

    what: str
    level: str
    """As it was learned, or of the others; of so many values."""
    now: str
    """Since the walk of the nearest test began, or of the group; of so many values."""
    state: str
    nearness: str
    """Of the nearest test to an alarm, percent; of 100 and more it is being confirmed."""


def chosen(newest: Newest, watched: Watched, wanted: str) -> Iterator[tuple[str, SegmentState]]:
    """Yield the segments whose name, `app/model/version/kind`, begins with the one wanted, in order.

    Raises `SnapshotError` or `StateError` for one that cannot be read.
    """
    for segment, envelope in newest.found:
        if isinstance(segment, Segment):
            name = f"{segment.app}/{segment.model}/{segment.prompt_version}/{segment.kind}"
            if f"{name}/".startswith(f"{wanted}/"):
                state = SegmentState(watched)
                state.restore(snapshots.decode_segment(snapshots.unpack(envelope)))
                yield name, state


def explain(state: SegmentState) -> Iterator[Line]:
    """Yield a line for each metric that has values, for the subjects, and for each group and measure."""
    for metric, name in enumerate(state.watched.metrics):
        yield from _metric(state.tests, metric, name)
    if state.topic is not None and state.topic.export() is not None:
        yield _subjects(state.topic)
    for name, group in state.bias.state.groups.items() if state.bias is not None else ():
        for measure in range(len(MEASURES)):
            yield _gap(name, group, measure)


def _metric(tests: SegmentTests, metric: int, name: str) -> Iterator[Line]:
    scale, learned, layout = tests.scales[metric], tests.learning[metric], tests.layout
    if scale is None:
        if learned:
            yield Line(name, "", "", f"learning: {len(learned)} of {layout.learn} values", "")
        return
    best, now, state = 0.0, "", "watching"
    for view in layout.views[metric]:
        reference = tests.references[view]
        if not any(reference.counts):
            continue
        for tilt, test in enumerate(reference.tests(layout.powers[view], layout.run_length)):
            count, total = tests.since[:2, view, tilt].tolist()
            near = float(tests.walks[view, tilt]) / (test.threshold - CONFIRMED)
            if near > best and count:
                best, now = near, f"{_short(scale.invert(total / count))} of {round(count):,}"
        state = "confirming a change" if view in tests.candidates else state
    number, total, _ = tests.references[layout.views[metric][0]].sums
    level = f"{_short(scale.invert(total / max(1.0, number)))} of {round(number):,}"
    yield Line(name, level, now, state, f"{100 * best:.0f} %")


def _subjects(test: TopicTest) -> Line:
    texts, distance, near = test.nearness
    if test.is_learning:
        return Line("topic", "", "", f"learning: {texts} of {LEARN} texts", "")
    state = "confirming a change" if test.state.candidate >= 0 else "watching"
    state += ", away from home" if test.state.home else ""
    return Line("topic", f"0 of {texts:,}", f"{_short(distance)} spreads", state, f"{100 * near:.0f} %")


def _gap(name: str, group: Group, measure: int) -> Line:
    window, place = min(group.windows, key=lambda window: window.since), 2 * measure
    counts, sums = window.counts[place : place + 2], window.sums[place : place + 2]
    mine, others = (
        f"{_short(total / count)} of {count:,}" if count else ""
        for total, count in zip(sums, counts, strict=True)
    )
    state = "worse off" if group.standing[measure] else "watching"
    if min(counts) < LEAST:
        state = f"learning: {min(counts)} of {LEAST} answers"
    return Line(f"bias_{MEASURES[measure]} {name}", others, mine, state, "")


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
