"""What was escalated and has an answer that is not a decision yet."""

from typing import Any, Final

from schemas.events import VERDICTS, Decision, RuleHit
from streams.store.client import Store
from streams.store.reviews import milliseconds

_COLUMNS: Final = (
    "decision_id", "event_id", "app", "kind", "verdict", "severity", "request_id", "conversation_id",
    "failed", "degraded", "policy_version", "policy_hash", "detectors_hash",
)  # fmt: skip
_RULES: Final = (
    "rules", "rule_actions", "rule_severities", "rule_modes", "rule_metrics", "rule_scores", "rule_failed",
)  # fmt: skip
_ESCALATE: Final = VERDICTS.index("escalate")
DAYS: Final = 30
"""How long an escalated event may wait for its answer: as long as Kafka keeps feedback."""


def answered(store: Store) -> list[Decision]:
    """Return the decisions of reviewers that are not in `resolutions` yet.

    The last word on the whole decision that is not `unsure` counts. Its time is the decision's revision, so
    that the same answer always gives the same decision.
    """
    wanted = ", ".join(f"e.{name}" for name in (*_COLUMNS, *_RULES, "text", "storage"))
    rows = store.query(
        f"SELECT {wanted}, e.decided_at, e.decision_latency_ms, f.word, f.said_at"
        " FROM (SELECT app, event_id, argMax(judgement, (timestamp, feedback_id)) AS word,"
        " max(timestamp) AS said_at FROM feedback WHERE feedback.metric = '' AND judgement != 'unsure'"
        f" AND timestamp > now() - INTERVAL {DAYS} DAY GROUP BY app, event_id) AS f"
        " INNER JOIN (SELECT * FROM events WHERE action = 'escalate'"
        f" AND timestamp > now() - INTERVAL {DAYS} DAY"
        " AND (app, event_id) IN (SELECT app, event_id FROM feedback)) AS e USING (app, event_id)"
        " LEFT JOIN (SELECT app, event_id, decided_at AS resolved_at FROM resolutions) AS r"
        " USING (app, event_id) WHERE r.resolved_at < f.said_at"
    ).rows
    names = (*_COLUMNS, *_RULES, "text", "storage", "decided_at", "latency_ms", "judgement", "at")
    return [_decision(dict(zip(names, row, strict=True))) for row in rows]


def _decision(row: dict[str, Any]) -> Decision:
    keys = ("rule", "action", "severity", "mode", "metric", "score", "failed")
    hits = tuple(
        RuleHit(**dict(zip(keys, each, strict=True)))
        for each in zip(*(row[name] for name in _RULES), strict=True)
    )
    action: Any = _released(hits) if row["judgement"] == "false_positive" else "block"
    at, decided = milliseconds(row["at"]), milliseconds(row["decided_at"])
    given = {name: row[name] for name in _COLUMNS}
    return Decision(
        **given | {"failed": tuple(row["failed"]), "degraded": tuple(row["degraded"])},
        rules=hits,
        action=action,
        text=row["text"] if action == "redact" and row["storage"] == "redacted" else None,
        decided_at=at,
        latency_ms=row["latency_ms"] + max(0, at - decided),
        decided_by="reviewer",
        revision=at,
    )


def _released(hits: tuple[RuleHit, ...]) -> str:
    """Return what the rules that are enforced ask for beside the escalation."""
    codes = [VERDICTS.index(hit.action) for hit in hits if hit.mode == "enforce" and hit.action in VERDICTS]
    return VERDICTS[max((code for code in codes if code < _ESCALATE), default=0)]
