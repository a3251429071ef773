"""Drift of metrics per segment, and its state as snapshots. Pure: no I/O."""

import hashlib
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from schemas import codec
from schemas.events import Alert, DriftRecord
from streams.kafka.records import Record
from streams.monitors import snapshots
from streams.monitors.cusum import SegmentTests
from streams.monitors.recent import RecentIds
from streams.monitors.snapshots import (
    Block,
    Cause,
    Envelope,
    Newest,
    Segment,
    SegmentContent,
    SnapshotError,
)
from streams.monitors.views import Change, Layout, StateError
from streams.monitors.watched import WatchedScores, sort_of, value_of

DETECTOR: Final = "cusum"


class SegmentState:
    """The tests of one segment, and up to where they have seen which partition of `llm.scores`."""

    __slots__ = ("cause", "offset", "partition", "tests", "timestamp")

    def __init__(self, layout: Layout) -> None:
        self.tests = SegmentTests(layout)
        self.cause: Cause | None = None
        self.partition = -1
        self.offset = -1
        self.timestamp = -1

    @property
    def samples(self) -> int:
        """Events that are counted."""
        return self.tests.samples

    def seen(self, record: Record) -> bool:
        """Whether a record is already in this state: it is being replayed.

        The highest timestamp so far, not that of the last record, since the clocks of guards differ: a
        replayed record is never above it. One above it at a lower offset is of a topic made anew.
        """
        return (
            record.partition == self.partition
            and record.offset <= self.offset
            and record.timestamp <= self.timestamp
        )

    def advance(self, record: Record) -> None:
        """Note that a record is in this state now."""
        self.partition, self.offset = record.partition, record.offset
        self.timestamp = max(self.timestamp, record.timestamp)

    def content(self, metrics: Sequence[str]) -> bytes:
        """Return what a snapshot holds."""
        states = {name: self.tests.export(metric) for metric, name in enumerate(metrics)}
        kept = {name: state for name, state in states.items() if state is not None}
        return msgspec.msgpack.encode(SegmentContent(self.samples, self.cause, kept))


class DriftMonitor:
    """The tests of `streams.monitors.cusum` for each segment.

    What it knows after a record depends on the records of that partition up to there alone, not on how often
    or by whom they were read before.

    Args:
        metrics: names of scores, of numeric event fields, and of `RATES`.
        quiet: events of a segment per false alarm, over all metrics.
        learn: values that a metric of a segment is learned from before it can alarm.
        max_segments: in memory; the one that was idle longest is forgotten first.

    """

    def __init__(self, metrics: Sequence[str], quiet: float, learn: int, max_segments: int) -> None:
        self._metrics = tuple(metrics)
        self._sorts = tuple(map(sort_of, self._metrics))
        self._layout = Layout(self._sorts, quiet, learn)
        self._max_segments = max_segments
        self._states: OrderedDict[Segment, SegmentState] = OrderedDict()
        self._recent: defaultdict[int, RecentIds] = defaultdict(RecentIds)
        self._dirty: set[Segment] = set()
        self._learning: set[Segment] = set()
        self._forgotten: dict[Segment, int] = {}

    def __len__(self) -> int:
        return len(self._states)

    @property
    def learning(self) -> int:
        """How many segments have a metric that cannot alarm yet."""
        return len(self._learning)

    def update(self, item: WatchedScores, record: Record) -> list[DriftRecord]:
        """Add one event; return the drifts that it reveals. An event that was counted changes nothing."""
        segment = item.segment
        repeated = self.repeats(item, record)
        state = self._states.get(segment)
        if repeated or (state is not None and state.seen(record)):
            return []
        if state is None:
            state = self._states[segment] = SegmentState(self._layout)
            self._forgotten.pop(segment, None)
        self._states.move_to_end(segment)
        self._forget()
        self._dirty.add(segment)
        state.advance(record)
        values = [value_of(item, name, sort) for name, sort in zip(self._metrics, self._sorts, strict=True)]
        changes = state.tests.update(values, item.timestamp)
        self._note_learning(segment, state)
        return [self._record(item, change, state) for change in changes]

    def repeats(self, item: WatchedScores, record: Record) -> bool:
        """Whether an event was at another offset before; of the same record the answer stays the same."""
        number = _number(item.segment, item.event.event_id)
        return self._recent[record.partition].repeats(number, record.offset, record.timestamp)

    def _note_learning(self, segment: Segment, state: SegmentState) -> None:
        note = self._learning.add if state.tests.is_learning else self._learning.discard
        note(segment)

    def _record(self, item: WatchedScores, change: Change, state: SegmentState) -> DriftRecord:
        record = _record(item, self._metrics[change.metric], change, state)
        if not record.cause:
            state.cause = Cause(record.drift_id, item.timestamp)
        return record

    def _forget(self) -> None:
        while len(self._states) > self._max_segments:
            segment, state = self._states.popitem(last=False)
            self._dirty.discard(segment)
            self._learning.discard(segment)
            self._forgotten[segment] = state.partition

    def changes(self, partitions: int) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Yield what changed since `written`: partition of `llm.scores`, key and snapshot; None if forgotten.

        The ids come last: when only a part is written, they lag behind the segments, and a replay fills them.

        Args:
            partitions: how many `llm.scores` has now.

        """
        for segment, partition in self._forgotten.items():
            yield partition, snapshots.encode_key(segment), None
        for segment in self._dirty:
            state = self._states[segment]
            value = snapshots.encode(
                state.partition, partitions, state.offset, state.timestamp, state.content(self._metrics)
            )
            yield state.partition, snapshots.encode_key(segment), value
        for partition, recent in self._recent.items():
            for slot, content in recent.changed():
                value = snapshots.encode(partition, partitions, recent.offset, recent.timestamp, content)
                yield partition, snapshots.encode_key(Block(partition, slot)), value

    def written(self) -> None:
        """Note that all of `changes` is durable."""
        self._forgotten.clear()
        self._dirty.clear()
        for recent in self._recent.values():
            recent.written()

    def restore(self, newest: Newest) -> None:
        """Begin with these snapshots, taking them out; one that cannot be read is left out and counted."""
        self.clear()
        blocks: defaultdict[int, list[Envelope]] = defaultdict(list)
        for name, envelope in newest.taken():
            if isinstance(name, Block):
                blocks[name.partition].append(envelope)
            if not isinstance(name, Segment):
                continue
            try:
                state = self._states[name] = self._load(envelope, newest.home(name, envelope))
                self._note_learning(name, state)
            except (SnapshotError, StateError) as error:
                newest.skip(error)
        for partition, envelopes in blocks.items():
            last = envelopes[-1]
            try:
                contents = [snapshots.unpack(envelope) for envelope in envelopes]
                self._recent[partition].restore(contents, last.offset, last.timestamp)
            except (SnapshotError, ValueError) as error:
                newest.skip(error)
        self._forget()

    def _load(self, envelope: Envelope, home: int) -> SegmentState:
        content = snapshots.decode_segment(snapshots.unpack(envelope))
        state = SegmentState(self._layout)
        state.partition, state.timestamp, state.cause = home, envelope.timestamp, content.cause
        state.tests.samples = content.samples
        # The offsets of another partition say nothing about this one.
        state.offset = envelope.offset if home == envelope.partition else -1
        for metric, name in enumerate(self._metrics):
            if (kept := content.metrics.get(name)) is not None:
                state.tests.restore(metric, kept)
        return state

    def clear(self) -> None:
        """Forget everything, for partitions that moved to another worker."""
        self._states.clear()
        self._recent.clear()
        self._dirty.clear()
        self._learning.clear()
        self._forgotten.clear()


def _number(segment: Segment, event_id: str) -> int:
    """Return 64 bits that stand for an event: BLAKE2b (RFC 7693) of its segment and id."""
    fields = f"{segment.app}\0{segment.model}\0{segment.prompt_version}\0{segment.kind}\0{event_id}"
    return int.from_bytes(hashlib.blake2b(fields.encode(), digest_size=8).digest(), "little")


def _record(item: WatchedScores, metric: str, change: Change, state: SegmentState) -> DriftRecord:
    event, cause = item.event, state.cause
    # One partition holds a segment in order, so the event at which a test fires is the same at a replay.
    segment = (event.app, event.model, f"{event.prompt_version}/{event.kind}")
    return DriftRecord(
        drift_id=codec.drift_id(*segment, metric, DETECTOR, event.event_id),
        app=event.app,
        model=event.model,
        prompt_version=event.prompt_version,
        kind=event.kind,
        metric=metric,
        detector=DETECTOR,
        timestamp=item.timestamp,
        event_id=event.event_id,
        before=_digits(change.before),
        after=_digits(change.after),
        samples=state.samples,
        began_at=change.began,
        before_samples=change.before_samples,
        after_samples=change.after_samples,
        after_low=_digits(change.low),
        after_high=_digits(change.high),
        # What had begun before the other was found came with it.
        cause=cause.drift_id if cause is not None and change.began <= cause.found else "",
    )


def _digits(value: float) -> float:
    return float(f"{value:.6g}")


def drift_alert(record: DriftRecord) -> Alert:
    """Return the alert for a drift."""
    return Alert(
        alert_id=codec.alert_id(record.drift_id, "drift"),
        source="watch",
        severity="medium",
        rule="drift",
        title=f"drift: {record.metric} of {record.kind}s went from {_short(record.before)} to "
        f"{_short(record.after)}",
        timestamp=record.timestamp,
        app=record.app,
        model=record.model,
        prompt_version=record.prompt_version,
        event_id=record.event_id,
        metric=record.metric,
        score=record.after,
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
