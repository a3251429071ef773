"""Which drifts have one cause, and which are its end. Pure: no I/O."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from schemas.alerts import AlertPart
from schemas.drift import DriftRecord
from schemas.fields import NUMBER_FIELDS
from streams.alerts.signals import Signal
from streams.alerts.tracked import Interval, Tracked, earliest, is_drift, overlap, related, same_place

Outcome = Literal["part", "late", "back", "again", "further"]
"""A new part of an alert; one that is found after its end, but was before; the return of a part, or with it;
a part that had returned; one that moved on."""


def place(signal: Signal, alerts: Sequence[Tracked], cooldown: int) -> tuple[Tracked, Outcome] | None:
    """Return the alert that a drift belongs to and what it means there; None for one of its own.

    The part that it ends, or that moves on, is changed.
    """
    found = [each for each in reversed(alerts) if is_drift(each)]
    for tracked in found:
        if (outcome := _moved(tracked, signal, cooldown)) is not None:
            return tracked, outcome
    interval = signal.began_at, signal.part.timestamp
    near = [each for each in found if related(each.parts, signal.part)]
    for tracked in near:
        if overlap(tracked.back, interval):
            tracked.alerts += 1
            return tracked, "back"
    # Those first that somebody was told of: what waits can still be made a part of them.
    for tracked in sorted((each for each in near if not each.resolved), key=lambda each: not each.opened):
        together = overlap(tracked.span, interval, _slack(tracked.span))
        if together or _caused(signal, tracked) or _same_metric(signal.part, tracked):
            return tracked, "part"
    for tracked in near:
        late = signal.part.timestamp <= tracked.resolved_at
        if late and overlap(tracked.span, interval, _slack(tracked.span)):
            return tracked, "late"
    return None


def _moved(tracked: Tracked, signal: Signal, cooldown: int) -> Outcome | None:
    """Return what the drift of a metric means that the alert has a part of."""
    record, part = signal.drift, signal.part
    number = next((n for n, known in enumerate(tracked.parts) if same_place(known, part)), None)
    if record is None or number is None:
        return None
    known = tracked.parts[number]
    if record.returns not in ("", known.part_id) or part.timestamp < known.timestamp:
        return None
    # What moves when others return does so, too: not every level tells which way it went.
    along = overlap(tracked.back, (signal.began_at, part.timestamp))
    if not known.resolved_at and (record.returns or along or _nearer_to_before(known, record)):
        tracked.end_part(number, part.timestamp)
        tracked.back = earliest(tracked.back, (signal.began_at, part.timestamp))
        tracked.last_at = max(tracked.last_at, part.timestamp)
        return "back"
    if known.resolved_at and part.timestamp > known.resolved_at + cooldown:
        return None
    tracked.parts[number] = msgspec.structs.replace(
        known, score=part.score, title=part.title, resolved_at=0, timestamp=part.timestamp
    )
    return "again" if known.resolved_at else "further"


def _nearer_to_before(known: AlertPart, record: DriftRecord) -> bool:
    """Return whether the new level is nearer to the one before the alert than to the one that raised it."""
    before, after = known.before, known.score
    if before is None or after is None:
        return False
    now = record.after
    # Of time, tokens and cost ratios count; of a score 0.03 is as good as 0.001.
    if record.metric in NUMBER_FIELDS and min(before, after, now) > 0:
        before, after, now = map(math.log, (before, after, now))
    return abs(now - before) < abs(now - after)


def _caused(signal: Signal, tracked: Tracked) -> bool:
    cause = signal.drift.cause if signal.drift else ""
    return bool(cause) and any(part.part_id == cause for part in tracked.parts)


def _same_metric(part: AlertPart, tracked: Tracked) -> bool:
    """Return whether a metric of the app is away already: another segment may be found much later."""
    away = (known for known in tracked.parts if not known.resolved_at)
    return any((known.app, known.metric) == (part.app, part.metric) for known in away)


def _slack(span: Interval) -> int:
    """Return how far estimates of one beginning may lie apart: as far as it took to find the first."""
    return span[1] - span[0]


def waiting(tracked: Tracked, alerts: Iterable[Tracked]) -> list[Tracked]:
    """Return other alerts that wait to be opened and may have the cause of this one."""
    return _waiting(tracked, tracked.span, _slack(tracked.span), alerts)


def came_along(tracked: Tracked, alerts: Iterable[Tracked]) -> list[Tracked]:
    """Return other alerts that wait to be opened and belong to the return of this one."""
    return _waiting(tracked, tracked.back, 0, alerts)


def _waiting(tracked: Tracked, interval: Interval, slack: int, alerts: Iterable[Tracked]) -> list[Tracked]:
    return [
        other
        for other in alerts
        if other is not tracked and is_drift(other) and not other.opened
        if overlap(interval, other.span, slack) and any(related(tracked.parts, part) for part in other.parts)
    ]


def is_back(tracked: Tracked) -> bool:
    """Return whether the alert is over: half of its parts are back.

    Segments that were learning when the level returned cannot say so.
    """
    ended = sum(part.resolved_at > 0 for part in tracked.parts)
    return is_drift(tracked) and 2 * ended >= len(tracked.parts)


def back_at(tracked: Tracked) -> int:
    """Return when enough of an alert was back."""
    return max(part.resolved_at for part in tracked.parts)
