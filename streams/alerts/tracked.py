"""An alert as notify remembers it: plain data that makes changes. Pure: no I/O and no clock."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from schemas.alerts import AlertChange, AlertPart, AlertState, ChangeKind
from schemas.events import SEVERITIES
from streams.alerts.signals import DRIFT, Group, Signal

MOST_PARTS: Final = 32
"""Parts of one alert that are told apart; what is beyond is counted."""
PARTS_BYTES: Final = 8_192
"""Of all of them: ordinary ones have 200 each, and names can be long."""
Interval = tuple[int, int]
"""Milliseconds, both ends included; (0, -1) is none."""
NEVER: Final[Interval] = (0, -1)


class Tracked(msgspec.Struct, kw_only=True):
    """An alert with all that decides what becomes of it; times are milliseconds.

    `*_at` of causes are timestamps of events, those by the clock of notify are marked as such.
    """

    group: Group
    alert_id: str
    kind: str
    source: str
    severity: str
    title: str
    first: tuple[int, int, str]
    last_at: int
    span: Interval
    """From when the first of its parts began until the first was found: it happened in between."""
    back: Interval = NEVER
    """The same of its return."""
    parts: list[AlertPart] = []
    alerts: int = 0
    created_at: int
    """By the clock."""
    seen_at: int
    """By the clock, when its last signal came."""
    opened: bool = False
    """It was published; before that its signals are waited for."""
    resolved_at: int = 0
    over_at: int = 0
    """By the clock, when it was resolved."""
    reason: str = ""
    acknowledged: bool = False
    silenced_until: int = 0
    who: str = ""
    comment: str = ""
    told: dict[str, int] = {}
    """How many changes of each kind there were."""
    told_at: int = 0
    """By the clock, when somebody was told last."""
    written_at: int = 0
    written: tuple[int, int, str] = (0, 0, "")
    """What the last change said: alerts, parts and severity."""

    @property
    def resolved(self) -> bool:
        """Whether it is over."""
        return self.resolved_at > 0

    @property
    def lasting(self) -> bool:
        """Whether some part lasts until it is said to be over."""
        return any(part.open_ended and not part.resolved_at for part in self.parts)

    @property
    def grown(self) -> bool:
        """Whether there is more than the last change said."""
        return self.written != self._extent

    @property
    def _extent(self) -> tuple[int, int, str]:
        return self.alerts, len(self.parts), self.severity

    def state(self, now: int) -> AlertState:
        """Return its state."""
        if self.resolved:
            return "resolved"
        if self.silenced_until > now:
            return "silenced"
        return "acknowledged" if self.acknowledged else "open"

    def not_ahead_of(self, now: int) -> None:
        """Begin to count anew from now where the clock was set back: nothing is waited for twice."""
        self.seen_at, self.over_at = min(self.seen_at, now), min(self.over_at, now)
        self.told_at, self.written_at = min(self.told_at, now), min(self.written_at, now)

    def join(self, signal: Signal, now: int) -> None:
        """Take in a signal that is new."""
        self.alerts += 1
        self.last_at = max(self.last_at, signal.part.timestamp)
        self.seen_at = max(self.seen_at, now)
        self.span = earliest(self.span, (signal.began_at, signal.part.timestamp))
        self.severity = max(self.severity, signal.severity, key=_rank)
        if signal.group.app != self.group.app:
            self.group = self.group._replace(app="")
        self._name(signal.first, signal.alert_id, signal.part.title)
        self._add_parts([signal.part])

    def take(self, other: "Tracked", *, parts: bool) -> None:
        """Take in another alert, with its parts or as something that came along."""
        self.alerts += other.alerts
        self.last_at = max(self.last_at, other.last_at)
        self.severity = max(self.severity, other.severity, key=_rank)
        if parts:
            self.span = earliest(self.span, other.span)
            if other.group.app != self.group.app:
                self.group = self.group._replace(app="")
            self._name(other.first, other.alert_id, other.title)
            self._add_parts(other.parts)

    def _name(self, first: tuple[int, int, str], alert_id: str, title: str) -> None:
        """While it waits the earliest names it, so that its id does not depend on the order of arrival."""
        if not self.opened and first < self.first:
            self.first, self.alert_id, self.title = first, alert_id, title

    def _add_parts(self, parts: Sequence[AlertPart]) -> None:
        self.parts += parts
        if not self.opened:
            self.parts.sort(key=lambda part: (part.began_at or part.timestamp, part.timestamp, part.part_id))
        del self.parts[_fitting(self.parts) :]

    def end_part(self, number: int, at: int) -> None:
        """Note that a part is over."""
        self.parts[number] = msgspec.structs.replace(self.parts[number], resolved_at=at)

    def change(self, change: ChangeKind, now: int) -> AlertChange:
        """Return the message of a change that has just been made, and count it."""
        number = self.told[change] = self.told.get(change, 0) + 1
        self.written_at, self.written = now, self._extent
        more = self.alerts - 1
        return AlertChange(
            change_id=f"{self.alert_id}:{change}:{number}",
            alert_id=self.alert_id,
            change=change,
            number=number,
            version=sum(self.told.values()),
            state=self.state(now),
            severity=self.severity,  # type: ignore[arg-type]  # a reader takes any word
            kind=self.kind,
            rule=self.group.rule,
            app=self.group.app,
            subject=self.group.subject,
            source=self.source,
            title=f"{self.title} (+{more:,})" if more else self.title,
            timestamp=now,
            opened_at=self.first[0],
            last_at=self.last_at,
            resolved_at=self.resolved_at,
            reason=self.reason,
            alerts=self.alerts,
            parts=tuple(self.parts),
            who=self.who,
            comment=self.comment,
            silenced_until=self.silenced_until,
        )


def begin(signal: Signal, group: Group, now: int) -> Tracked:
    """Return the alert that a signal begins."""
    part = signal.part
    return Tracked(
        group=group, alert_id=signal.alert_id, kind=signal.kind, source=signal.source,
        severity=signal.severity, title=part.title, first=signal.first, last_at=part.timestamp,
        span=(signal.began_at, part.timestamp), parts=[part], alerts=1, created_at=now, seen_at=now,
    )  # fmt: skip


def _fitting(parts: Sequence[AlertPart]) -> int:
    """Return how many parts are kept: those that fit, one at least."""
    left = PARTS_BYTES
    for number, part in enumerate(parts[:MOST_PARTS]):
        left -= len(msgspec.msgpack.encode(part))
        if left < 0:
            return max(1, number)
    return MOST_PARTS


def earliest(one: Interval, other: Interval) -> Interval:
    """Return the span of what has these two: what is found was there before it was found first."""
    if one == NEVER:
        return other
    return min(one[0], other[0]), min(one[1], other[1])


def overlap(one: Interval, other: Interval, slack: int = 0) -> bool:
    """Return whether two intervals have a moment in common, or nearly."""
    return NEVER not in (one, other) and one[0] <= other[1] + slack and other[0] <= one[1] + slack


def same_place(one: AlertPart, other: AlertPart) -> bool:
    """Return whether two drifts are of one metric of one segment."""
    return (one.app, one.model, one.prompt_version, one.kind, one.metric) == (
        other.app, other.model, other.prompt_version, other.kind, other.metric,
    )  # fmt: skip


def related(parts: Iterable[AlertPart], other: AlertPart) -> bool:
    """Return whether a drift can have the cause of these: the same app, or one metric of one model."""
    return any(
        part.app == other.app or (part.model and (part.model, part.metric) == (other.model, other.metric))
        for part in parts
    )


def is_drift(tracked: Tracked) -> bool:
    """Return whether it is made of drifts."""
    return tracked.group.rule == DRIFT


def _rank(severity: str) -> int:
    # A word of a version to come is taken for the strongest.
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
