"""Messages of every topic as one readable line each, without the text of a prompt or completion."""

import contextlib
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec

from schemas import codec, topics
from schemas.alerts import AlertChange
from schemas.drift import BiasRecord, DriftRecord
from schemas.events import (
    NAME_LENGTH,
    SEVERITIES,
    Alert,
    DeadLetter,
    Decision,
    Event,
    Feedback,
    RuleHit,
    ScoredEvent,
)
from schemas.policy import PolicyChange
from streams.policy.actions import ACTIONS, SEVERITY_TRAITS, Colour
from streams.terminal.command import json_text
from streams.terminal.table import Cell

HIGHEST: Final = 3
"""Scores that the line of a scored event shows."""
_FAINT: Final = {"dim": True}
_COLOURS: Final[Mapping[str, Colour]] = MappingProxyType(
    {
        **{word: traits.colour for word, traits in ACTIONS.items()},
        **{word: traits.colour for word, traits in SEVERITY_TRAITS.items()},
    }
)
Line = Callable[[Any], Sequence[Cell]]
"""Gives what a person reads of a message."""
_FILTERED: Final[Mapping[str, set[str]]] = MappingProxyType(
    {"app": {"app"}, "event": {"event_id"}, "action": {"action"}, "rule": {"rule", "rules"},
     "severity": {"severity"}}
)  # fmt: skip
"""What `Filter` looks at, by what may be asked for."""


@dataclass(frozen=True)
class Filter:
    """What a message must have; None asks for nothing."""

    app: str | None = None
    event: str | None = None
    action: str | None = None
    rule: str | None = None
    severity: str | None = None
    """At least this one; one that this version does not know may be."""

    def wanted(self) -> list[str]:
        """Return the names of what is asked for."""
        return [name for name in self.__dataclass_fields__ if getattr(self, name) is not None]

    def matches(self, message: Any) -> bool:
        """Whether a decoded message has all that is asked for."""
        judged = _judged(message)
        if self.app is not None and judged.app != self.app:
            return False
        if self.event is not None and judged.event_id != self.event:
            return False
        if self.action is not None and judged.action != self.action:
            return False
        if self.severity is not None and judged.severity in SEVERITIES[: _rank(self.severity)]:
            return False
        return self.rule is None or self.rule in _rules(judged)


@dataclass(frozen=True)
class Tail:
    """Topics of one message that can be followed."""

    topics: tuple[str, ...]
    message: type[msgspec.Struct]

    @property
    def filters(self) -> tuple[str, ...]:
        """The fields of `Filter` that its messages have."""
        judged = Decision if self.message is ScoredEvent else self.message
        return tuple(name for name, fields in _FILTERED.items() if fields & set(judged.__struct_fields__))

    def decode(self, value: bytes | None) -> Any:
        """Return the message; raises `schemas.rejection.Rejected`."""
        return codec.decode(self.message, value)

    def line(self, message: Any, timestamp_ms: int) -> list[Cell]:
        """Return what a person reads; the time is the message's own, or else Kafka's."""
        cells: Line = _LINES.get(self.message, _names)
        return [Cell(moment(_time(message, timestamp_ms)), _FAINT), *cells(message)]


def moment(timestamp_ms: int) -> str:
    """Return a time in UTC, to the millisecond; what no calendar holds as a number."""
    try:
        time = dt.datetime.fromtimestamp(timestamp_ms / 1000, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return str(timestamp_ms)
    return time.strftime("%Y-%m-%d %H:%M:%S.") + f"{time.microsecond // 1000:03}Z"


def as_json(value: bytes) -> str:
    """Return a message as published, on one line; characters that a terminal obeys are `\\u` escapes."""
    text = value.decode(errors="replace")
    if not text.isprintable():  # line breaks and tabs between its parts may be among what is not
        with contextlib.suppress(msgspec.DecodeError):
            text = msgspec.json.format(text, indent=-1)
        text = json_text(text.replace("\r", " ").replace("\n", " "))
    return text


def _time(message: Any, timestamp_ms: int) -> int:
    given = getattr(message, "decided_at", 0) or getattr(message, "timestamp", None)
    if isinstance(given, dt.datetime):
        return int((given if given.tzinfo else given.replace(tzinfo=dt.UTC)).timestamp() * 1000)
    return given or timestamp_ms


def _judged(message: Any) -> Any:
    return message.decision if isinstance(message, ScoredEvent) else message


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity)


def _rules(message: Any) -> list[str]:
    return [message.rule] if isinstance(message, Alert) else [hit.rule for hit in message.rules]


def coloured(word: str) -> Cell:
    """Return an action or a severity in its colour."""
    colour = _COLOURS.get(word)
    if colour is None:
        return Cell(word)
    return Cell(word, {"fg": colour.terminal, "bold": colour.is_bold or None} if colour.terminal else _FAINT)


def _cells(*texts: str) -> list[Cell]:
    return [Cell(text) for text in texts]


def hit(rule_hit: RuleHit) -> str:
    """Return a rule with what made it hit, such as `injection-block (injection 0.97)`."""
    if rule_hit.failed:
        why = " (detector failed)"
    elif rule_hit.score is not None:
        why = f" ({rule_hit.metric} {rule_hit.score:.3g})"
    else:
        why = ""
    return ("shadow:" if rule_hit.mode == "shadow" else "") + rule_hit.rule + why


def _decision(decision: Decision) -> Sequence[Cell]:
    parts = [hit(each) for each in decision.rules]
    if decision.decided_by != "policy":
        parts.append(f"decided by {decision.decided_by}")
    if decision.failed:
        parts.append(f"failed: {', '.join(decision.failed)}")
    if decision.degraded:
        parts.append(f"degraded: {', '.join(decision.degraded)}")
    return [
        coloured(decision.action),
        coloured(decision.severity),
        *_cells(
            decision.app, decision.kind, decision.event_id, f"{decision.latency_ms:.0f} ms", ", ".join(parts)
        ),
    ]


def _alert(alert: Alert) -> Sequence[Cell]:
    return [
        coloured(alert.severity),
        coloured(alert.action),
        *_cells(alert.app, alert.model or "-", alert.event_id or "-", alert.title),
        Cell("shadow" if alert.mode == "shadow" else "", _FAINT),
    ]


def _drift(drift: DriftRecord) -> Sequence[Cell]:
    segment = " ".join(filter(None, (drift.app, drift.model, drift.prompt_version)))
    return [
        Cell(drift.metric, {"bold": True}),
        *_cells(f"{drift.before:.4g} → {drift.after:.4g}", segment, drift.kind, drift.event_id),
        Cell(f"after {drift.samples:,} events", _FAINT),
    ]


def _dead_letter(letter: DeadLetter) -> Sequence[Cell]:
    where = f"{letter.topic}/{letter.partition}@{letter.offset}"
    return [
        Cell(letter.reason, {"fg": "red"}),
        *_cells(
            where,
            f"{letter.size:,} bytes",
            letter.detail + (f" (+{len(letter.repeats):,} more)" if letter.repeats else ""),
        ),
        Cell(letter.state, _FAINT),
    ]


def _scored(scored: ScoredEvent) -> Sequence[Cell]:
    shares = {name: score for name, score in scored.scores.items() if 0 <= score <= 1}
    highest = sorted(shares, key=lambda name: -shares[name])[:HIGHEST]
    return [
        coloured(scored.decision.action),
        *_cells(scored.event.app, scored.event.kind, scored.event.event_id),
        *_cells("  ".join(f"{name} {shares[name]:.3f}" for name in highest)),
    ]


def _alert_change(change: AlertChange) -> Sequence[Cell]:
    return [coloured(change.severity), *_cells(change.change, change.app, change.alert_id, change.title)]


def _bias(report: BiasRecord) -> Sequence[Cell]:
    return [
        *_cells(report.app, report.model or "-", report.measure, report.named_group),
        *_cells(f"{report.level:.3g} of {report.samples:,}"),
        *_cells(f"others {report.others:.3g} of {report.others_samples:,}"),
        *_cells(f"gap {report.gap_low:.2g} to {report.gap_high:.2g}", "worse off" if report.found else "-"),
    ]


def _feedback(feedback: Feedback) -> Sequence[Cell]:
    about = feedback.metric or "decision"
    return _cells(feedback.judgement, about, feedback.app, feedback.event_id, feedback.reviewer)


def _policy_change(change: PolicyChange) -> Sequence[Cell]:
    policy = f"{change.policy_version} {change.policy_hash}".strip()
    reason = (change.reason.splitlines() or [""])[0]
    return _cells(change.what, change.by, change.rule or "-", policy or "-", reason)


def _event(event: Event) -> Sequence[Cell]:
    size = f"{len(event.text):,} characters"
    return _cells(
        event.app, event.kind, event.event_id, event.conversation_id or "-", event.model or "-", size
    )


def _names(message: msgspec.Struct) -> Sequence[Cell]:
    """Return ids and names, which are bounded in length: of a message without a line of its own, no text."""
    fields = msgspec.inspect.type_info(type(message))
    assert isinstance(fields, msgspec.inspect.StructType)
    named = [each.name for each in fields.fields if getattr(each.type, "max_length", None) == NAME_LENGTH]
    return _cells(*(getattr(message, name) or "-" for name in named))


_LINES: Final[Mapping[type[msgspec.Struct], Line]] = MappingProxyType(
    {
        Decision: _decision,
        Alert: _alert,
        AlertChange: _alert_change,
        DriftRecord: _drift,
        DeadLetter: _dead_letter,
        ScoredEvent: _scored,
        BiasRecord: _bias,
        Feedback: _feedback,
        PolicyChange: _policy_change,
        Event: _event,
    }
)
TAILS: Final[Mapping[str, Tail]] = MappingProxyType(
    {
        name: Tail(tuple(each.topic for each in channels), channels[0].message)
        for name in dict.fromkeys(each.tail for each in topics.CHANNELS if each.tail)
        if (channels := [each for each in topics.CHANNELS if each.tail == name])
    }
)
"""What can be followed, by the name that a user gives it."""
