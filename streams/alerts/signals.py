"""What an alert is made of: messages of `llm.alerts` and drifts, in one form. Pure: no I/O."""

from typing import Final, NamedTuple, TypeVar

import msgspec

from schemas import codec
from schemas.alerts import AlertPart
from schemas.drift import DriftRecord
from schemas.events import Alert, Severity

DRIFT = "drift"
POLICY = "policy"
DRIFT_SEVERITY: Severity = "medium"
MOST_CHARS: Final = 512
"""Of each text; ours are shorter: a name has 256 at most."""
Found = TypeVar("Found", Alert, DriftRecord)


class Group(NamedTuple):
    """Signals of one group may have one cause."""

    app: str
    rule: str
    subject: str = ""


class Signal(NamedTuple):
    """Something that was found, or that is over."""

    group: Group
    alert_id: str
    """Of the alert, if this is its first signal."""
    kind: str
    source: str
    severity: str
    part: AlertPart
    drift: DriftRecord | None = None

    @property
    def began_at(self) -> int:
        """When it began, or else was found, milliseconds."""
        return self.part.began_at or self.part.timestamp

    @property
    def first(self) -> tuple[int, int, str]:
        """The least of an alert's signals names it, in whatever order they come."""
        return self.began_at, self.part.timestamp, self.part.part_id


def of_alert(alert: Alert) -> Signal | None:
    """Return the signal of a message; None for what opens no alert.

    A rule in shadow wakes nobody, and drift is read from `llm.drift`, which tells more.
    """
    if alert.mode == "shadow" or alert.rule == DRIFT:
        return None
    alert = _cut(alert)
    part = AlertPart(
        part_id=alert.alert_id,
        title=alert.title,
        timestamp=alert.timestamp,
        app=alert.app,
        model=alert.model,
        prompt_version=alert.prompt_version,
        metric=alert.metric,
        score=alert.score,
        open_ended=alert.open_ended,
        resolved_at=alert.resolved_at,
    )
    kind = POLICY if alert.decision_id else alert.rule
    group = Group(alert.app, alert.rule, alert.subject)
    return Signal(group, alert.alert_id, kind, alert.source, alert.severity, part)


def of_drift(record: DriftRecord) -> Signal:
    """Return the signal of a drift."""
    record = _cut(record)
    part = AlertPart(
        part_id=record.drift_id,
        title=drift_title(record),
        timestamp=record.timestamp,
        began_at=record.began_at,
        app=record.app,
        model=record.model,
        prompt_version=record.prompt_version,
        kind=record.kind,
        metric=f"{record.metric} {record.named_group}".rstrip(),
        score=record.after,
        before=record.before,
        open_ended=True,
    )
    alert_id = codec.alert_id(record.drift_id, DRIFT)
    return Signal(Group(record.app, DRIFT), alert_id, DRIFT, "watch", DRIFT_SEVERITY, part, record)


def _cut(found: Found) -> Found:
    """Return a message whose texts are no longer than any of ours: whoever writes the topic sets no limit."""
    texts = {name: text for name, text in msgspec.structs.asdict(found).items() if isinstance(text, str)}
    cut = {name: text[:MOST_CHARS] for name, text in texts.items()}
    return msgspec.structs.replace(found, **cut) if cut != texts else found


def drift_title(record: DriftRecord) -> str:
    """Return one line about a drift."""
    before, after = levels(record.before, record.after)
    if record.named_group:
        than = "was" if record.returns else "of others is"
        return f"bias: {record.metric} of {record.named_group} is {after}, {than} {before}"
    if record.metric == "topic":
        return f"drift: subjects of {record.kind}s are {after} spreads from home, {before} before"
    return f"drift: {record.metric} of {record.kind}s went from {before} to {after}"


def levels(before: float, after: float) -> tuple[str, str]:
    """Return two levels for a person, with as many digits as tell them apart: three to nine."""
    texts = _short(before, 3), _short(after, 3)
    for digits in range(4, 10):
        if texts[0] == texts[1]:
            texts = _short(before, digits), _short(after, digits)
    return texts


def _short(value: float, digits: int) -> str:
    return f"{value:,.{digits - 3}f}" if abs(value) >= 100 else f"{value:.{digits}g}"
