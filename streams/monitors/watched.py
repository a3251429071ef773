"""What watch reads of a scored event, and the value of each metric in it. Pure: no I/O."""

from typing import Final

import msgspec

from schemas.events import Id, Kind, Name, OpenMode, OpenVerdict, OptionalId
from schemas.fields import NUMBER_FIELDS
from streams.kafka.records import Record
from streams.monitors.scales import LIMIT, Sort
from streams.monitors.settings import RATES
from streams.monitors.snapshots import Segment

REFUSED: Final = 0.5
"""Score of `refusal` from which a completion counts as one."""


class WatchedEvent(msgspec.Struct, frozen=True):
    """The part of `schemas.events.Event` that watch reads; the rest is not decoded."""

    event_id: Id
    app: Id
    kind: Kind
    request_id: OptionalId = ""
    model: Name = ""
    prompt_version: Name = ""
    tenant: Name = ""
    user: OptionalId = ""
    conversation_id: OptionalId = ""
    latency_ms: float | None = None
    ttft_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None


class WatchedHit(msgspec.Struct, frozen=True):
    """The part of `schemas.events.RuleHit` that watch reads."""

    action: OpenVerdict
    mode: OpenMode
    metric: str = ""


class WatchedDecision(msgspec.Struct, frozen=True):
    """The part of `schemas.events.Decision` that watch reads."""

    action: OpenVerdict = "allow"
    degraded: tuple[str, ...] = ()
    rules: tuple[WatchedHit, ...] = ()


class WatchedScores(msgspec.Struct, frozen=True):
    """The part of `schemas.events.ScoredEvent` that watch reads."""

    event: WatchedEvent
    scores: dict[str, float]
    timestamp: int
    decision: WatchedDecision = WatchedDecision()
    named_groups: tuple[Name, ...] = ()
    nearest_reference: str = ""
    sketch: bytes = b""

    @property
    def segment(self) -> Segment:
        """Where it counts."""
        return Segment(self.event.app, self.event.model, self.event.prompt_version, self.event.kind)


Counted = tuple[WatchedScores, Record]
"""An event and its record in `llm.scores`."""
LATEST: Final = 1 << 44
"""Milliseconds: beyond any event."""


def happened(item: WatchedScores, record: Record) -> int:
    """Return when an event happened, by its own clock, but not later than it was judged by the guard's.

    A record has no time where the broker refuses that of the guard.
    """
    judged = LATEST if record.timestamp < 0 else record.timestamp
    return max(0, min(item.timestamp, judged, LATEST))


def sort_of(metric: str) -> Sort:
    """Return what a metric measures, by its name."""
    return "rate" if metric in RATES else "quantity" if metric in NUMBER_FIELDS else "score"


def value_of(item: WatchedScores, metric: str, sort: Sort) -> float | None:
    """Return what an event has of a metric; None for nothing, and for what is no measurement."""
    if sort == "quantity":
        value = getattr(item.event, metric)
    elif item.decision.degraded:
        # Scores that rest on less are others: a flood, which is read less closely, is no drift.
        return None
    elif sort == "score":
        value = item.scores.get(metric)
    else:
        value = _rate(item, metric)
    # The comparison is false for NaN, too.
    return value if value is not None and -LIMIT <= value <= LIMIT else None


def compared(item: WatchedScores) -> list[float | None]:
    """Return what groups are compared by, as `streams.monitors.bias.MEASURES` names it, of an answer."""
    return [
        value_of(item, "toxicity", "score"),
        value_of(item, "refusal_rate", "rate"),
        value_of(item, "block_rate", "rate"),
        value_of(item, "completion_tokens", "quantity"),
    ]


def _rate(item: WatchedScores, metric: str) -> float | None:
    if metric == "refusal_rate":
        score = item.scores.get("refusal")
        return None if score is None else float(score >= REFUSED)
    action = item.decision.action
    return float(action == "block" if metric == "block_rate" else action != "allow")
