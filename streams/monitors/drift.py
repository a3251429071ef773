"""Drift of metrics per segment with river's ADWIN, and its state as snapshots. Pure: no I/O."""

import hashlib
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from schemas import codec
from schemas.events import Alert, DriftRecord, Kind
from schemas.fields import NUMBER_FIELDS
from streams.kafka.records import Record
from streams.monitors import adwin, snapshots
from streams.monitors.recent import RecentIds
from streams.monitors.snapshots import Block, Envelope, Newest, Segment, SegmentContent, SnapshotError

DETECTOR: Final = "adwin"


class WatchedEvent(msgspec.Struct, frozen=True):
    """The part of `schemas.events.Event` that watch reads; the rest is not decoded."""

    event_id: str
    app: str
    kind: Kind
    model: str = ""
    prompt_version: str = ""
    latency_ms: float | None = None
    ttft_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None


class WatchedDecision(msgspec.Struct, frozen=True):
    """The part of `schemas.events.Decision` that watch reads."""

    degraded: tuple[str, ...] = ()


class WatchedScores(msgspec.Struct, frozen=True):
    """The part of `schemas.events.ScoredEvent` that watch reads."""

    event: WatchedEvent
    scores: dict[str, float]
    timestamp: int
    decision: WatchedDecision = WatchedDecision()

    @property
    def segment(self) -> Segment:
        """Where it counts."""
        return Segment(self.event.app, self.event.model, self.event.prompt_version, self.event.kind)


class SegmentState:
    """The drift detectors of one segment, and up to where they have seen which partition of `llm.scores`."""

    __slots__ = ("detectors", "offset", "partition", "samples", "timestamp")

    def __init__(self) -> None:
        self.detectors: dict[str, adwin.Adwin] = {}
        self.partition = -1
        self.offset = -1
        self.samples = 0
        self.timestamp = -1

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
        self.samples += 1

    def content(self) -> bytes:
        """Return what a snapshot holds."""
        windows = {name: adwin.export(detector) for name, detector in self.detectors.items()}
        kept = {name: window for name, window in windows.items() if window is not None}
        return msgspec.msgpack.encode(SegmentContent(self.samples, kept))


class DriftMonitor:
    """ADWIN (Bifet and Gavaldà 2007, "Learning from Time-Changing Data with Adaptive Windowing") per
    segment and metric.

    What it knows after a record depends on the records of that partition up to there alone, not on how often
    or by whom they were read before.

    Args:
        metrics: names of scores and of numeric event fields.
        delta: ADWIN's confidence value; smaller means fewer false alarms.
        max_segments: in memory; the one that was idle longest is forgotten first.

    """

    def __init__(self, metrics: Sequence[str], delta: float, max_segments: int) -> None:
        self._metrics = tuple(metrics)
        self._fields = tuple(name for name in self._metrics if name in NUMBER_FIELDS)
        self._delta = delta
        self._max_segments = max_segments
        self._states: OrderedDict[Segment, SegmentState] = OrderedDict()
        self._recent: defaultdict[int, RecentIds] = defaultdict(RecentIds)
        self._dirty: set[Segment] = set()
        self._forgotten: dict[Segment, int] = {}

    def __len__(self) -> int:
        return len(self._states)

    def update(self, item: WatchedScores, record: Record) -> list[DriftRecord]:
        """Add one event; return the drifts that it reveals. An event that was counted changes nothing."""
        segment = item.segment
        number = _number(segment, item.event.event_id)
        repeated = self._recent[record.partition].repeats(number, record.offset, record.timestamp)
        state = self._states.get(segment)
        if repeated or (state is not None and state.seen(record)):
            return []
        if state is None:
            state = self._states[segment] = SegmentState()
            self._forgotten.pop(segment, None)
        self._states.move_to_end(segment)
        self._forget()
        self._dirty.add(segment)
        state.advance(record)
        return [
            found for metric in self._metrics if (found := self._measure(item, metric, state)) is not None
        ]

    def _measure(self, item: WatchedScores, metric: str, state: SegmentState) -> DriftRecord | None:
        if metric in self._fields:
            value = getattr(item.event, metric)
        else:
            # Scores that rest on less are others: a flood, which is read less closely, is no drift.
            value = None if item.decision.degraded else item.scores.get(metric)
        # The comparison is false for NaN, too.
        if value is None or not -adwin.LIMIT <= value <= adwin.LIMIT:
            return None
        detector = state.detectors.get(metric)
        if detector is None:
            detector = state.detectors[metric] = adwin.Adwin(self._delta)
        width, total = detector.width, detector.total
        detector.update(value)
        if not detector.drift_detected:
            return None
        # What ADWIN dropped is the level before the change; what it kept is the level since.
        dropped = (total + value - detector.total) / (width + 1 - detector.width)
        return _record(item, metric, dropped, detector.estimation, state.samples)

    def _forget(self) -> None:
        while len(self._states) > self._max_segments:
            segment, state = self._states.popitem(last=False)
            self._dirty.discard(segment)
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
                state.partition, partitions, state.offset, state.timestamp, state.content()
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
                continue
            try:
                self._states[name] = self._load(envelope, newest.home(name, envelope))
            except (SnapshotError, adwin.WindowError) as error:
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
        state = SegmentState()
        state.partition, state.samples, state.timestamp = home, content.samples, envelope.timestamp
        # The offsets of another partition say nothing about this one.
        state.offset = envelope.offset if home == envelope.partition else -1
        state.detectors = {
            metric: adwin.rebuild(window, self._delta)
            for metric, window in content.windows.items()
            if metric in self._metrics
        }
        return state

    def clear(self) -> None:
        """Forget everything, for partitions that moved to another worker."""
        self._states.clear()
        self._recent.clear()
        self._dirty.clear()
        self._forgotten.clear()


def _number(segment: Segment, event_id: str) -> int:
    """Return 64 bits that stand for an event: BLAKE2b (RFC 7693) of its segment and id."""
    fields = f"{segment.app}\0{segment.model}\0{segment.prompt_version}\0{segment.kind}\0{event_id}"
    return int.from_bytes(hashlib.blake2b(fields.encode(), digest_size=8).digest(), "little")


def _record(item: WatchedScores, metric: str, before: float, after: float, samples: int) -> DriftRecord:
    event = item.event
    # One partition holds a segment in order, so the event at which ADWIN fires is the same at a replay.
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
        before=round(before, 6),
        after=round(after, 6),
        samples=samples,
    )


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
