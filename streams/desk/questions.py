"""What the pages ask the store, and the SQL that they show."""

from dataclasses import dataclass, field
from typing import Any, Final

from streams.desk.chart import step_s
from streams.desk.filters import SPANS, Filter
from streams.store.client import Store

PAGE: Final = 50
FIXED: Final = frozenset(
    ("prompt_tokens", "completion_tokens", "latency_ms", "ttft_ms", "cost", "decision_latency_ms")
)
"""Numbers that are no scores."""

COLUMNS: Final = (
    "timestamp, app, event_id, kind, action, rules, rule_modes, model, user, conversation_id, text"
)


@dataclass
class Asked:
    """A store, and the statements that a page has sent it."""

    store: Store
    statements: list[str] = field(default_factory=list)

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a query by column name."""
        self.statements.append(sql)
        found = self.store.query(sql, parameters)
        return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def metrics(asked: Asked) -> frozenset[str]:
    """Return the metrics that there are columns for, and the numbers that apps give."""
    sql = (
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'events_log' "
        "AND type = 'Nullable(Float32)'"
    )
    return frozenset(row["name"] for row in asked.rows(sql)) | FIXED


def totals(asked: Asked, wanted: Filter) -> dict[str, Any]:
    """Return the numbers at the top of the overview."""
    where, given = wanted.where()
    [row] = asked.rows(
        "SELECT count() AS events, countIf(action = 'block') AS blocked, "
        "countIf(action = 'escalate') AS escalated, countIf(action = 'redact') AS redacted, "
        "countIf(action = 'flag') AS flagged, "
        "countIf(notEmpty(failed) OR notEmpty(degraded)) AS incomplete, sum(cost) AS cost, "
        f"quantile(0.99)(decision_latency_ms) AS p99 FROM events WHERE {where}",
        given,
    )
    return row


def by_time(asked: Asked, wanted: Filter) -> list[dict[str, Any]]:
    """Return events by action in equal times, those without events left out."""
    where, given = wanted.where()
    return asked.rows(
        f"SELECT toStartOfInterval(timestamp, INTERVAL {step_s(SPANS[wanted.since])} SECOND) AS moment, "
        f"action, count() AS events FROM events WHERE {where} GROUP BY moment, action ORDER BY moment",
        given,
    )


def rules(asked: Asked, wanted: Filter) -> list[dict[str, Any]]:
    """Return the rules that were hit, with what reviewers said of those events."""
    where, given = wanted.where()
    return asked.rows(
        "SELECT rule, mode, count() AS hits, countIf(judgement IN ('correct')) AS agreed, "
        "countIf(judgement = 'false_positive') AS wrong "
        f"FROM (SELECT app, event_id, rules, rule_modes FROM events WHERE {where}) AS e LEFT JOIN "
        "(SELECT app, event_id, argMax(judgement, timestamp) AS judgement "
        "FROM feedback GROUP BY app, event_id) AS f ON e.app = f.app AND e.event_id = f.event_id "
        "ARRAY JOIN rules AS rule, rule_modes AS mode GROUP BY rule, mode ORDER BY hits DESC LIMIT 30",
        given,
    )


def by_app(asked: Asked, wanted: Filter) -> list[dict[str, Any]]:
    """Return events, blocks and cost by app and model."""
    where, given = wanted.where()
    return asked.rows(
        "SELECT app, model, count() AS events, countIf(action = 'block') AS blocked, sum(cost) AS cost, "
        f"quantile(0.5)(latency_ms) AS latency_ms FROM events WHERE {where} "
        "GROUP BY app, model ORDER BY events DESC LIMIT 30",
        given,
    )


def alerts(asked: Asked, wanted: Filter) -> list[dict[str, Any]]:
    """Return the last alerts of the time, of the app where one is asked for."""
    hours, app = SPANS[wanted.since], wanted.values.get("app", "")
    return asked.rows(
        "SELECT timestamp, severity, app, rule, title, event_id FROM alerts "
        f"WHERE timestamp >= now64(3, 'UTC') - INTERVAL {hours} HOUR "
        "AND ({app:String} = '' OR app = {app:String}) ORDER BY timestamp DESC LIMIT 15",
        {"app": app},
    )


def events(asked: Asked, wanted: Filter) -> list[dict[str, Any]]:
    """Return a page of events, the newest first, and one more if there is one."""
    where, given = wanted.where()
    score = f", {wanted.metric} AS score" if wanted.metric else ""
    return asked.rows(
        f"SELECT {COLUMNS}{score} FROM events WHERE {where} "
        f"ORDER BY timestamp DESC, event_id LIMIT {PAGE + 1}",
        given,
    )


def event(asked: Asked, app: str, event_id: str) -> dict[str, Any] | None:
    """Return all of one event; None where there is none."""
    found = asked.rows(
        "SELECT * FROM events WHERE app = {app:String} AND event_id = {id:String} "
        "ORDER BY timestamp DESC LIMIT 1",
        {"app": app, "id": event_id},
    )
    return found[0] if found else None


def conversation(asked: Asked, app: str, conversation_id: str) -> list[dict[str, Any]]:
    """Return the events of a conversation in order, at most 50."""
    return asked.rows(
        f"SELECT {COLUMNS} FROM events WHERE app = {{app:String}} AND conversation_id = {{id:String}} "
        "ORDER BY timestamp LIMIT 50",
        {"app": app, "id": conversation_id},
    )


def opinions(asked: Asked, app: str, event_id: str) -> list[dict[str, Any]]:
    """Return what reviewers have said of an event."""
    return asked.rows(
        "SELECT timestamp, reviewer, judgement, metric, comment FROM feedback "
        "WHERE app = {app:String} AND event_id = {id:String} ORDER BY timestamp",
        {"app": app, "id": event_id},
    )


def to_review(asked: Asked, most: int) -> list[dict[str, Any]]:
    """Return events of the last week that nobody has judged: what waits for a person first, then what was
    enforced, then what was flagged, and one allowed event in a hundred, so that misses are seen too.
    """
    return asked.rows(
        "SELECT app, event_id, decision_id FROM events WHERE timestamp >= now64(3, 'UTC') - INTERVAL 7 DAY "
        "AND (action != 'allow' OR cityHash64(decision_id) % 100 = 0) "
        "AND (app, event_id) NOT IN (SELECT app, event_id FROM feedback) "
        "ORDER BY indexOf(['escalate', 'block', 'redact', 'flag', 'allow'], action), cityHash64(decision_id) "
        f"LIMIT {most}"
    )
