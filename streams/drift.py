"""Drift of metrics per segment with river's ADWIN, and snapshots of its state. Pure: no I/O."""

import io
import pickle  # own snapshots only, through an unpickler that knows river's classes alone
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from river.drift import ADWIN

from schemas import codec
from schemas.events import Alert, DriftRecord, Kind
from streams.policy_conditions import NUMBER_FIELDS

DETECTOR: Final = "adwin"
_PICKLED: Final = {("river.drift.adwin", "ADWIN"), ("river._river_rust.drift", "AdaptiveWindowing")}


class Segment(msgspec.Struct, frozen=True):
    """What drift is measured within."""

    app: str
    model: str
    prompt_version: str
    kind: Kind


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


class WatchedScores(msgspec.Struct, frozen=True):
    """The part of `schemas.events.ScoredEvent` that watch reads."""

    event: WatchedEvent
    scores: dict[str, float]
    timestamp: int

    @property
    def segment(self) -> Segment:
        """Where it counts."""
        return Segment(self.event.app, self.event.model, self.event.prompt_version, self.event.kind)


class SegmentState:
    """The drift detectors of one segment, and the offset up to which they have seen their partition."""

    __slots__ = ("detectors", "offset", "samples", "timestamp")

    def __init__(self) -> None:
        self.detectors: dict[str, Any] = {}
        self.offset = -1
        self.samples = 0
        self.timestamp = 0

    def seen(self, offset: int, timestamp: int) -> bool:
        """Whether a record is already in this state: it is being replayed.

        The timestamp tells a replay from a topic that was made anew and counts from 0 again.
        """
        return offset <= self.offset and timestamp <= self.timestamp


class DriftMonitor:
    """ADWIN (Bifet and Gavaldà 2007, "Learning from Time-Changing Data with Adaptive Windowing") per
    segment and metric.

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
        self._dirty: set[Segment] = set()
        self._forgotten: list[Segment] = []

    def __len__(self) -> int:
        return len(self._states)

    def update(self, item: WatchedScores, offset: int, timestamp: int) -> list[DriftRecord]:
        """Add one event; return the drifts that it reveals. A replayed event changes nothing.

        Args:
            item: the scores.
            offset: of the record within the partition of its segment.
            timestamp: Kafka's, milliseconds.

        """
        segment = item.segment
        state = self._states.get(segment)
        if state is None:
            state = self._states[segment] = SegmentState()
            self._forget()
        elif state.seen(offset, timestamp):
            return []
        self._states.move_to_end(segment)
        self._dirty.add(segment)
        state.offset, state.timestamp = offset, timestamp
        state.samples += 1
        found = []
        for metric in self._metrics:
            value = getattr(item.event, metric) if metric in self._fields else item.scores.get(metric)
            if value is None:
                continue
            detector = state.detectors.get(metric)
            if detector is None:
                detector = state.detectors[metric] = self._new_detector()
            width, total = detector.width, detector.total
            detector.update(value)
            if detector.drift_detected:
                # What ADWIN dropped is the level before the change; what it kept is the level since.
                dropped = (total + value - detector.total) / (width + 1 - detector.width)
                found.append(_record(item, metric, dropped, detector.estimation, state.samples))
        return found

    def _new_detector(self) -> Any:
        make: Any = ADWIN
        return make(delta=self._delta)

    def _forget(self) -> None:
        while len(self._states) > self._max_segments:
            segment, _ = self._states.popitem(last=False)
            self._dirty.discard(segment)
            self._forgotten.append(segment)

    def snapshot(self) -> list[tuple[bytes, bytes | None]]:
        """Return key and state of each segment that changed since the last call; None if forgotten."""
        messages: list[tuple[bytes, bytes | None]] = [(_key(segment), None) for segment in self._forgotten]
        messages += [(_key(segment), _dump(self._states[segment])) for segment in self._dirty]
        self._forgotten.clear()
        self._dirty.clear()
        return messages

    def restore(self, snapshots: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over states; a segment that is already here and further on stays as it is.

        Raises:
            SnapshotError: a state is not one that `snapshot` made.

        """
        for key, value in snapshots:
            segment, state = _load(key, value)
            present = self._states.get(segment)
            if present is None or present.offset < state.offset:
                self._states[segment] = state
        self._forget()

    def clear(self) -> None:
        """Forget everything, for partitions that moved to another worker."""
        self._states.clear()
        self._dirty.clear()
        self._forgotten.clear()


class SnapshotError(Exception):
    """A snapshot cannot be read."""


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


def _key(segment: Segment) -> bytes:
    return msgspec.json.encode([segment.app, segment.model, segment.prompt_version, segment.kind])


def _dump(state: SegmentState) -> bytes:
    return pickle.dumps((state.offset, state.timestamp, state.samples, state.detectors), protocol=5)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PICKLED:
            raise SnapshotError(f"a snapshot names {module}.{name}, which is not a drift detector")
        return super().find_class(module, name)


def _load(key: bytes, value: bytes) -> tuple[Segment, SegmentState]:
    state = SegmentState()
    try:
        segment = Segment(*msgspec.json.decode(key, type=tuple[str, str, str, Kind]))
        state.offset, state.timestamp, state.samples, state.detectors = _Unpickler(io.BytesIO(value)).load()
    except (
        pickle.UnpicklingError,
        msgspec.DecodeError,
        EOFError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        raise SnapshotError(
            f"a snapshot in {codec.__name__} form was expected ({type(error).__name__})"
        ) from error
    return segment, state
