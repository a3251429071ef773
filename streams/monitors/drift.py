"""Drift of metrics per segment, and its state as snapshots. Pure: no I/O."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from schemas import codec
from schemas.drift import BiasRecord, DriftRecord
from schemas.events import Alert
from streams.alerts.signals import drift_title
from streams.kafka.records import Record
from streams.monitors import snapshots
from streams.monitors.recent import RecentIds
from streams.monitors.segment import SegmentState, Watched
from streams.monitors.snapshots import Block, Envelope, Newest, Segment, SnapshotError
from streams.monitors.states import States
from streams.monitors.unwritten import Unwritten
from streams.monitors.views import StateError
from streams.monitors.watched import WatchedScores


class DriftMonitor:
    """The tests of `streams.monitors.cusum`, of subjects and of gaps between groups, for each segment.

    What it knows after a record depends on the records of that partition up to there alone, not on how often
    or by whom they were read before.

    Args:
        metrics: names of scores, of numeric event fields, and of `RATES`.
        quiet: events of a segment per false alarm, over all metrics.
        learn: values that a metric of a segment is learned from before it can alarm.
        max_segments: in memory; the one that was idle longest is forgotten first.
        gap: by how much a group is worse off, 0 to 1, when that is large.

    """

    def __init__(
        self, metrics: Sequence[str], quiet: float, learn: int, max_segments: int, gap: float = 0.1
    ) -> None:
        self._states = States(Watched(metrics, quiet, learn, gap))
        self._unwritten: Unwritten[Segment] = Unwritten()
        self._reports: list[BiasRecord] = []
        self._max_segments = max_segments
        self._recent: defaultdict[int, RecentIds] = defaultdict(RecentIds)
        self._learning: set[Segment] = set()

    def __len__(self) -> int:
        return len(self._states)

    @property
    def learning(self) -> int:
        """How many segments have a metric that cannot alarm yet."""
        return len(self._learning)

    def update(self, item: WatchedScores, record: Record) -> list[DriftRecord]:
        """Add one event; return the drifts that it reveals. An event that was counted changes nothing."""
        segment = item.segment
        if self.repeats(item, record):
            return []
        found: list[DriftRecord] = []
        if item.event.kind == "prompt" and item.named_groups and item.event.request_id:
            self._ask(item, record)
        if (state := self._take(segment, record)) is not None:
            found, reports = state.update(item)
            self._reports += reports
            self._note_learning(segment, state)
        self._forget()
        return found

    def reports(self) -> list[BiasRecord]:
        """Return what answers said about groups since this was last asked."""
        reports, self._reports = self._reports, []
        return reports

    def _take(self, segment: Segment, record: Record) -> SegmentState | None:
        """Return the state of a segment, which then has seen the record; None if it had before."""
        state = self._states.get(segment)
        if state is None:
            state = self._states.begin(segment)
        elif state.seen(record):
            return None
        self._states.touch(segment)
        self._unwritten.change(segment)
        state.advance(record)
        return state

    def _ask(self, item: WatchedScores, record: Record) -> None:
        """Let the segment of the answers know which groups a prompt names; it has the same partition."""
        answers = msgspec.structs.replace(item.segment, kind="completion")
        if (state := self._take(answers, record)) is not None:
            state.ask(item)

    def repeats(self, item: WatchedScores, record: Record) -> bool:
        """Whether an event was at another offset before; of the same record the answer stays the same."""
        number = _number(item.segment, item.event.event_id)
        return self._recent[record.partition].repeats(number, record.offset, record.timestamp)

    def _note_learning(self, segment: Segment, state: SegmentState) -> None:
        note = self._learning.add if state.is_learning else self._learning.discard
        note(segment)

    def _forget(self) -> None:
        while len(self._states) > self._max_segments:
            segment, partition = self._states.pop_idle()
            self._learning.discard(segment)
            self._unwritten.forget(segment, partition)

    def changes(self, partitions: int) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Yield what changed since `written`: partition of `llm.scores`, key and snapshot; None if forgotten.

        The ids come last: when only a part is written, they lag behind the segments, and a replay fills them.

        Args:
            partitions: how many `llm.scores` has now.

        """
        yield from self._unwritten.changes(lambda segment: self._snapshot(segment, partitions))
        for partition, recent in self._recent.items():
            for slot, content in recent.changed():
                value = snapshots.encode(partition, partitions, recent.offset, recent.timestamp, content)
                yield partition, snapshots.encode_key(Block(partition, slot)), value

    def _snapshot(self, segment: Segment, partitions: int) -> tuple[int, bytes]:
        state = self._states[segment]
        return state.partition, snapshots.encode(
            state.partition, partitions, state.offset, state.timestamp, state.content()
        )

    def written(self) -> None:
        """Note that all of `changes` is durable."""
        self._unwritten.written()
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
                state = self._states.restore(name, envelope, newest.home(name, envelope))
                self._unwritten.restored(name)
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

    def clear(self) -> None:
        """Forget everything, for partitions that moved to another worker."""
        self._states.clear()
        self._recent.clear()
        self._learning.clear()
        self._unwritten.clear()
        self._reports.clear()


def _number(segment: Segment, event_id: str) -> int:
    """Return 64 bits that stand for an event: BLAKE2b (RFC 7693) of its segment and id."""
    fields = f"{segment.app}\0{segment.model}\0{segment.prompt_version}\0{segment.kind}\0{event_id}"
    return int.from_bytes(hashlib.blake2b(fields.encode(), digest_size=8).digest(), "little")


def drift_alert(record: DriftRecord) -> Alert:
    """Return the alert for a drift."""
    return Alert(
        alert_id=codec.alert_id(record.drift_id, "drift"),
        source="watch",
        severity="medium",
        rule="drift",
        title=drift_title(record),
        timestamp=record.timestamp,
        app=record.app,
        model=record.model,
        prompt_version=record.prompt_version,
        event_id=record.event_id,
        metric=record.metric,
        score=record.after,
    )
