"""Events, alerts, drifts and reviews in which every field is hostile."""

import time
from typing import Any, get_args

import msgspec

from schemas.alerts import AlertChange
from schemas.drift import DriftRecord
from schemas.events import Alert, Decision, Event, Evidence, Feedback, RuleHit, ScoredEvent, ToolCall

HOSTILE = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(2)>", "' onmouseover='alert(3)",
    "</textarea></pre>", "\u202egnp.exe\u2066", "\x1b[31mred\x1b[0m", "a" + "\u0301" * 10_000, "x" * 200_000,
    "{{7*7}} ${7*7} {app:String}", "\0\ud7ff\ufeff", "javascript:alert(4)", "\u0e01" + "\u0e47" * 3_000,
    "<svg/onload=alert(5)>" * 400,
)  # fmt: skip
APP = "hostile"
SHORT = 200
"""Characters of an id or a name."""


def filled(message: type[msgspec.Struct], hostile: str, **given: Any) -> Any:
    """Return a message whose fields of text are all hostile, as long as each may be."""
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(message):
        if field.type is str or str in get_args(field.type):
            whole = field.name in ("text", "system_prompt", "title")
            fields[field.name] = hostile if whole else hostile[:SHORT]
    return message(**fields | given)


def rows(first: int = 0) -> list[ScoredEvent]:
    return [_event(first + number, text) for number, text in enumerate(HOSTILE)]


def _event(number: int, text: str) -> ScoredEvent:
    name = text[:SHORT]
    hit = RuleHit(rule=name, action="block", severity="high", mode="enforce", metric=name, score=0.9)
    event: Event = filled(
        Event, text, event_id=f"h{number}", app=APP, kind="prompt", timestamp=None,
        contexts=(text[:20_000],), tool_calls=(ToolCall(name=name, arguments=text[:20_000]),),
        metadata={name: name},
    )  # fmt: skip
    decision: Decision = filled(
        Decision, name, decision_id=f"hd{number}", event_id=f"h{number}", app=APP, kind="prompt",
        verdict="block", action="block", severity="high", rules=(hit,), failed=(name,), text=None,
    )  # fmt: skip
    moment = time.time_ns() // 1_000_000 - 1_000 + number
    return ScoredEvent(
        event=event, scores={"injection": 0.9}, decision=decision, timestamp=moment, text_hash=name,
        storage="full", pii_types=(name,),
    )  # fmt: skip


def around() -> list[list[Any]]:
    """Return alerts, drifts and reviews of those events."""
    now = time.time_ns() // 1_000_000 - 1_000
    alerts, drifts, reviews, states = [], [], [], []
    for number, text in enumerate(HOSTILE):
        evidence = filled(Evidence, text[:2_000], start=0, end=5, weight=1.0)
        alerts.append(
            filled(
                Alert, text[:2_000], alert_id=f"ha{number}", event_id=f"h{number}", app=APP,
                timestamp=now,
                evidence=(evidence,), severity="high", action="block", mode="enforce",
            )
        )  # fmt: skip
        states.append(
            filled(
                AlertChange, text[:2_000], change_id=f"hc{number}", alert_id=f"ha{number}", timestamp=now,
                opened_at=now, last_at=now, state="open", severity="high", change="opened",
            )
        )  # fmt: skip
        drifts.append(
            filled(
                DriftRecord, text, drift_id=f"hr{number}", timestamp=now, began_at=now, kind="prompt",
                before=0.1, after=0.9,
            )
        )  # fmt: skip
        reviews.append(
            filled(
                Feedback, text, feedback_id=f"hf{number}", event_id=f"h{number}", app=APP,
                judgement="correct",
                timestamp=now, comment=text[:4_000],
            )
        )  # fmt: skip
    return [alerts, drifts, reviews, states]
