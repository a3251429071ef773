"""Events: lists of them, one, and what stands around it."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.events import VERDICTS
from streams.desk.asked import Asked, Found, Row
from streams.desk.filters import Filter
from streams.desk.statistics import Sort

PAGE: Final = 50
SAMPLED: Final = "cityHash64(decision_id) % 100 = 0"
"""SQL: the allowed events that are reviewed without a cause, so that misses are seen, too."""
FIXED: Final = frozenset(
    ("prompt_tokens", "completion_tokens", "latency_ms", "ttft_ms", "cost", "decision_latency_ms")
)
"""Numbers that are no scores."""
COLUMNS: Final = (
    "timestamp, app, event_id, kind, action, rules, rule_modes, model, user, conversation_id, "
    "substringUTF8(text, 1, 400) AS text, storage"
)
FEW: Final = ("app", "language", "model", "prompt_version", "tenant", "environment", "policy_version")
"""Fields of the filter whose values are offered while one types."""
OFFERED: Final = 100
LOOKED_AT: Final = 50_000
"""Rows, about, in which values to offer are looked for."""
_MOST_COMPARED: Final = 4
FIRST: Final = ("escalate", *(word for word in reversed(VERDICTS) if word != "escalate"))
"""What is reviewed first: somebody waits for an answer, then by strength."""
ALIKE: Final = 8
"""Similar events that are shown."""
KEY: Final = "(app, toDate(timestamp), event_id)"
"""SQL: by what the tables are sorted."""


def metrics(asked: Asked) -> frozenset[str]:
    """Return the metrics that there are columns for, and the numbers that apps give."""
    return scores(asked) | FIXED


def scores(asked: Asked) -> frozenset[str]:
    """Return the metrics that there are columns for."""
    sql = (
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'events_log' "
        "AND type = 'Nullable(Float32)'"
    )
    return frozenset(row["name"] for row in asked.rows(sql))


def sort_of(metric: str, low: float | None, high: float | None) -> Sort:
    """Return how a metric is compared, by its name and by the values that there are."""
    if metric in FIXED:
        return "amount"
    if low is None or high is None or low < 0:
        return "score"
    return "share" if high <= 1 else "amount"


def page(asked: Asked, wanted: Filter) -> Found:
    """Return a page of events, the newest first, and one more if there is one.

    Which they are is found among the rows as they arrived, which is fast; what they are, in the view that has
    each event once.
    """
    where, given = wanted.where()
    score = f", {wanted.metric} AS score" if wanted.metric else ""
    return asked.rows(
        f"SELECT {COLUMNS}{score} FROM events WHERE {KEY} IN ("
        f"SELECT {KEY} FROM events_log WHERE {where} "
        f"ORDER BY timestamp DESC, app, event_id LIMIT 1 BY app, event_id LIMIT {PAGE + 1}) AND {where} "
        "ORDER BY timestamp DESC, app, event_id",
        given,
    )


def known(asked: Asked, wanted: Filter) -> Found:
    """Return in one row what the events of the time have of each field that there are few values of.

    Of very many rows every n-th is looked at: a rare value is not offered, and found when it is typed.
    """
    where, given = wanted.time.where()
    lists = ", ".join(f"groupUniqArray({OFFERED})({name}) AS {name}" for name in FEW)
    every = f"greatest(1, intDiv((SELECT count() FROM events_log), {LOOKED_AT}))"
    return asked.rows(
        f"SELECT {lists}, groupUniqArrayArray({OFFERED})(rules) AS rule FROM events_log "
        f"PREWHERE _part_offset % {every} = 0 WHERE {where}",
        given,
    )


def event(asked: Asked, app: str, event_id: str) -> Row | None:
    """Return all of one event; None where there is none."""
    found = asked.rows(
        "SELECT * FROM events WHERE app = {app:String} AND event_id = {id:String} "
        "ORDER BY timestamp DESC LIMIT 1",
        {"app": app, "id": event_id},
    )
    return found[0] if found else None


def evidence(asked: Asked, app: str, event_id: str) -> Found:
    """Return what the alerts on an event rest on."""
    return asked.rows(
        "SELECT rule, piece.1 AS detector, piece.2 AS metric, piece.3 AS label, piece.4 AS start, "
        "piece.5 AS end, piece.6 AS weight, piece.7 AS text FROM alerts ARRAY JOIN evidence AS piece "
        "WHERE app = {app:String} AND event_id = {id:String} LIMIT 200",
        {"app": app, "id": event_id},
    )


def conversation(asked: Asked, app: str, conversation_id: str) -> Found:
    """Return the events of a conversation in order, at most 50."""
    return asked.rows(
        f"SELECT {COLUMNS} FROM events WHERE app = {{app:String}} AND conversation_id = {{id:String}} "
        "ORDER BY timestamp LIMIT 50",
        {"app": app, "id": conversation_id},
    )


def similar(asked: Asked, row: Mapping[str, Any], known: frozenset[str]) -> Found:
    """Return events of the app, of a week, with the same text or the nearest scores: the same text first.

    Near is the Euclidean distance of the scores that are highest in the event, where both have them.
    """
    own = {name: value for name in known - FIXED if (value := row.get(name)) is not None and 0 < value <= 1}
    highest = sorted(own, key=lambda name: -own[name])[:_MOST_COMPARED]
    distance = " + ".join(f"pow(ifNull({name}, 0) - {own[name]:.6f}, 2)" for name in highest) or "0"
    apart = f"text_hash != '' AND text_hash = {{hash:String}} AS same, {distance} AS apart"
    return asked.rows(
        f"SELECT {COLUMNS}, {apart} FROM events WHERE {KEY} IN (SELECT {KEY} FROM "
        f"(SELECT app, timestamp, event_id, {apart} FROM events_log WHERE app = {{app:String}} "
        "AND kind = {kind:String} AND event_id != {id:String} "
        "AND timestamp >= now64(3, 'UTC') - INTERVAL 7 DAY "
        f"ORDER BY same DESC, apart LIMIT 1 BY event_id LIMIT {ALIKE})) ORDER BY same DESC, apart",
        {"app": row["app"], "kind": row["kind"], "id": row["event_id"], "hash": row["text_hash"]},
    )


def resolution(asked: Asked, app: str, event_id: str) -> Found:
    """Return what a reviewer answered to an event that was escalated."""
    return asked.rows(
        "SELECT action, decided_by, decided_at FROM resolutions "
        "WHERE app = {app:String} AND event_id = {id:String} LIMIT 1",
        {"app": app, "id": event_id},
    )


def opinions(asked: Asked, app: str, event_id: str) -> Found:
    """Return what reviewers have said of an event."""
    return asked.rows(
        "SELECT timestamp, reviewer, judgement, metric, comment FROM feedback "
        "WHERE app = {app:String} AND event_id = {id:String} ORDER BY timestamp",
        {"app": app, "id": event_id},
    )


def to_review(asked: Asked, most: int, rule: str = "") -> Found:
    """Return events of the last week that nobody has judged: what waits for a person first, then what was
    enforced, then what was flagged, and one allowed event in a hundred, so that misses are seen too.

    With `rule` only the events that it hit.
    """
    return asked.rows(
        "SELECT app, event_id, decision_id FROM events_log "
        "WHERE timestamp >= now64(3, 'UTC') - INTERVAL 7 DAY "
        f"AND ({{rule:String}} = '' AND (action != 'allow' OR {SAMPLED}) OR has(rules, {{rule:String}})) "
        "AND (app, event_id) NOT IN (SELECT app, event_id FROM feedback) "
        f"ORDER BY indexOf({[*FIRST]}, action), cityHash64(decision_id) "
        f"LIMIT 1 BY decision_id LIMIT {most}",
        {"rule": rule},
    )


def misses(asked: Asked) -> Row:
    """Return, of the allowed events of the last 30 days that were taken at random, how many most reviewers
    judged at all and as missed.
    """
    return asked.row(
        "SELECT countIf(said != 0) AS reviewed, countIf(said < 0) AS missed FROM "
        "(SELECT sum((judgement = 'correct') - (judgement = 'false_negative')) AS said FROM feedback "
        "WHERE metric = '' AND (app, event_id) IN (SELECT app, event_id FROM events WHERE action = 'allow' "
        f"AND {SAMPLED} AND timestamp >= now64(3, 'UTC') - INTERVAL 30 DAY) GROUP BY app, event_id)"
    )
