"""One segment: its tests of metrics, subjects and groups, and what they find. Pure: no I/O."""

import hashlib
from collections.abc import Sequence

import msgspec

from schemas.drift import BiasRecord, DriftRecord
from streams.kafka.records import Record
from streams.monitors import bias, topic
from streams.monitors.bias import BiasTest
from streams.monitors.cusum import SegmentTests
from streams.monitors.records import bias_record, gap_record, metric_record, topic_record
from streams.monitors.snapshots import Cause, SegmentContent
from streams.monitors.topic import TopicTest
from streams.monitors.views import Layout
from streams.monitors.watched import WatchedScores, compared, sort_of, value_of


class Watched:
    """What is watched in every segment, and how closely.

    Args:
        metrics: names of scores, of numeric event fields, and of `RATES`.
        quiet: events of a segment per false alarm, over all that is watched.
        learn: values that a metric of a segment is learned from before it can alarm.
        gap: by how much a group is worse off, 0 to 1, when that is large.

    """

    def __init__(self, metrics: Sequence[str], quiet: float, learn: int, gap: float = 0.1) -> None:
        self.metrics = tuple(metrics)
        self.quiet = quiet
        self.gap = gap
        # What subjects and groups may raise is not the metrics' to raise.
        self.layout = Layout(list(map(sort_of, metrics)), quiet / (1 - topic.SHARE - bias.SHARE), learn)


class SegmentState:
    """The tests of one segment, and up to where they have seen which partition of `llm.scores`.

    Args:
        watched: what is watched, shared by all segments.

    """

    __slots__ = ("bias", "cause", "offset", "partition", "tests", "timestamp", "topic", "watched")

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.tests = SegmentTests(watched.layout)
        self.topic: TopicTest | None = None
        self.bias: BiasTest | None = None
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

    def update(self, item: WatchedScores) -> tuple[list[DriftRecord], list[BiasRecord]]:
        """Add an event; return the drifts that it reveals, and what answers say about groups."""
        watched = self.watched
        pairs = zip(watched.metrics, watched.layout.sorts, strict=True)
        changes = self.tests.update([value_of(item, *pair) for pair in pairs], item.timestamp)
        found = [
            self._caused(metric_record(item, watched.metrics[change.metric], change, self.samples))
            for change in changes
        ]
        if item.sketch and not item.decision.degraded:
            self.topic = self.topic or TopicTest(watched.quiet)
            moved = self.topic.update(item.sketch, item.nearest_reference, item.timestamp)
            if moved is not None:
                found.append(self._caused(topic_record(item, moved, self.samples)))
                self.topic.note(found[-1].drift_id)
        gaps, reports = self._answer(item) if item.event.kind == "completion" else ([], [])
        return found + gaps, reports

    def ask(self, item: WatchedScores) -> None:
        """Note which groups a prompt names whose answer belongs to this segment."""
        self.bias = self.bias or BiasTest(self.watched.quiet, self.watched.gap)
        self.bias.ask(_request(item), item.named_groups)

    def _answer(self, item: WatchedScores) -> tuple[list[DriftRecord], list[BiasRecord]]:
        if self.bias is None and not item.named_groups:
            return [], []
        self.bias = self.bias or BiasTest(self.watched.quiet, self.watched.gap)
        request = _request(item) if item.event.request_id else None
        found, reports = [], []
        for gap in self.bias.answer(request, item.named_groups, compared(item), item.timestamp):
            reports.append(bias_record(item, gap))
            if gap.is_news:
                found.append(gap_record(item, gap, self.samples, self.bias.cause(gap)))
                self.bias.note(gap, found[-1].drift_id)
        return found, reports

    def _caused(self, record: DriftRecord) -> DriftRecord:
        """Return the record with its cause; one without is the cause of what had begun by then."""
        cause = self.cause
        if cause is not None and record.began_at <= cause.found:
            return msgspec.structs.replace(record, cause=cause.drift_id)
        self.cause = Cause(record.drift_id, record.timestamp)
        return record

    def content(self) -> bytes:
        """Return what a snapshot holds."""
        states = {name: self.tests.export(metric) for metric, name in enumerate(self.watched.metrics)}
        kept = {name: state for name, state in states.items() if state is not None}
        topic = None if self.topic is None else self.topic.export()
        bias = None if self.bias is None else self.bias.state
        return msgspec.msgpack.encode(SegmentContent(self.samples, self.cause, kept, topic, bias))

    def restore(self, content: SegmentContent) -> None:
        """Go on where a segment with this content was; `StateError` if none can be."""
        self.cause, self.tests.samples = content.cause, content.samples
        for metric, name in enumerate(self.watched.metrics):
            if (kept := content.metrics.get(name)) is not None:
                self.tests.restore(metric, kept)
        if content.topic is not None:
            self.topic = TopicTest(self.watched.quiet)
            self.topic.restore(content.topic)
        if content.bias is not None:
            self.bias = BiasTest(self.watched.quiet, self.watched.gap)
            self.bias.state = content.bias

    @property
    def is_learning(self) -> bool:
        """Whether something of it cannot alarm yet."""
        parts = (self.tests, self.topic, self.bias)
        return any(part.is_learning for part in parts if part is not None)


def _request(item: WatchedScores) -> int:
    """Return 56 bits that stand for a request."""
    digest = hashlib.blake2b(item.event.request_id.encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")
