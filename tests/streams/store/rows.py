"""Rows of every table."""

from typing import Any

from schemas.events import (
    Alert,
    Decision,
    Event,
    Evidence,
    ScoredEvent,
)
from streams.store.client import Store

AT = 1_790_000_000_123  # milliseconds
LONE = "\ud800"


def scored(
    number: int, *, timestamp: int = AT, scores: dict[str, float] | None = None, **event: Any
) -> ScoredEvent:
    fields = {"event_id": f"e{number}", "app": "shop", "kind": "prompt", "text": f"text {number}", **event}
    return ScoredEvent(
        event=Event(**fields),
        scores={"toxicity": 0.25} if scores is None else scores,
        decision=Decision(
            decision_id=f"d{number}", event_id=f"e{number}", app="shop", kind="prompt",
            verdict="block", action="allow", decided_at=AT + 7,
        ),
        timestamp=timestamp,
    )  # fmt: skip


def count(store: Store, table: str = "events") -> int:
    return int(store.query(f"SELECT count() FROM {table}").rows[0][0])


def alert(number: int) -> Alert:
    return Alert(
        alert_id=f"a{number}", source="guard", severity="low", rule="r", title=f"title {number}",
        timestamp=AT, app="shop", score=0.5, evidence=(Evidence(detector="d", metric="m"),),
    )  # fmt: skip
