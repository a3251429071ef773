"""What happened in a time."""

from typing import Final

from streams.desk import unjudged
from streams.desk.asked import Asked, Found
from streams.desk.filters import Filter
from streams.desk.questions.usage import BLOCKED_BY
from streams.policy.actions import ACTED

MOST: Final = 30
"""Apps and models that are shown."""
USERS: Final = 5
"""Users that are shown."""


def totals(asked: Asked, wanted: Filter) -> Found:
    """Return the numbers of apps and models, the most used first, after those of all together."""
    where, given = wanted.where()
    # One pass over the events; the quantiles of all are put together from those of the groups,
    # within 0.4 % of the value.
    counts = ("events", *ACTED.values(), "incomplete", "spent")
    acted = ", ".join(f"countIf(action = '{word}') AS {done}" for word, done in ACTED.items())
    return asked.rows(
        f"SELECT app, model, grouping(app) AS is_total, {', '.join(f'sum(g.{n}) AS {n}' for n in counts)}, "
        "quantileBFloat16Merge(0.99)(g.decisions) AS p99, "
        "quantileBFloat16Merge(0.5)(g.answers) AS median FROM "
        f"(SELECT app, model, count() AS events, {acted}, "
        f"countIf({unjudged.condition(unjudged.PARTLY, wanted.columns)}) AS incomplete, "
        "sum(cost) AS spent, quantileBFloat16State(0.99)(decision_latency_ms) AS decisions, "
        "quantileBFloat16State(0.5)(latency_ms) AS answers "
        f"FROM events WHERE {where} GROUP BY app, model) AS g "
        f"GROUP BY GROUPING SETS ((app, model), ()) ORDER BY is_total DESC, events DESC LIMIT {MOST + 1}",
        given,
    )


def first(asked: Asked, wanted: Filter) -> Found:
    """Return in one row when the first event was of those that are wanted; how many are none, if none."""
    where, given = wanted.where()
    return asked.rows(
        f"SELECT min(timestamp) AS first, count() AS events FROM events_log WHERE {where}", given
    )


def by_time(asked: Asked, wanted: Filter, step_s: int) -> Found:
    """Return events by action in times of so many seconds, those without events left out."""
    where, given = wanted.where()
    return asked.rows(
        f"SELECT toStartOfInterval(timestamp, INTERVAL {step_s} SECOND, 'UTC') AS moment, "
        f"action, count() AS events FROM events WHERE {where} GROUP BY moment, action ORDER BY moment",
        given,
    )


def blocked_users(asked: Asked, wanted: Filter) -> Found:
    """Return the users who were blocked most, and before them how many blocks say no user."""
    where, given = wanted.where()
    return asked.rows(
        f"SELECT user, count() AS blocked, {BLOCKED_BY} FROM events WHERE {where} "
        f"AND action = 'block' GROUP BY user ORDER BY user = '' DESC, blocked DESC, user LIMIT {USERS + 1}",
        given,
    )


def rules(asked: Asked, wanted: Filter) -> Found:
    """Return the rules that were hit, and of how many events most reviewers say that it was right or wrong.

    What was said of the rule counts, else what was said of the decision.
    """
    where, given = wanted.where()
    # Few events are reviewed: they are found by their key, which may be looked at before rows are merged.
    return asked.rows(
        "SELECT h.rule AS rule, h.mode AS mode, h.hits AS hits, r.agreed AS agreed, r.wrong AS wrong FROM "
        f"(SELECT rule, mode, count() AS hits FROM events ARRAY JOIN rules AS rule, rule_modes AS mode "
        f"WHERE {where} GROUP BY rule, mode ORDER BY hits DESC LIMIT 30) AS h LEFT JOIN "
        "(SELECT rule, mode, countIf(said > 0) AS agreed, countIf(said < 0) AS wrong FROM "
        "(SELECT rule, mode, if(has(f.about, rule), f.balance[indexOf(f.about, rule)], "
        "f.balance[indexOf(f.about, '')]) AS said FROM (SELECT app, event_id, rules, rule_modes "
        "FROM events_log FINAL PREWHERE (app, event_id) IN (SELECT app, event_id FROM feedback) "
        f"WHERE {where}) AS e INNER JOIN "
        "(SELECT app, event_id, groupArray(metric) AS about, groupArray(votes) AS balance FROM "
        "(SELECT app, event_id, metric, sum((judgement = 'correct') - (judgement = 'false_positive')) "
        "AS votes FROM feedback GROUP BY app, event_id, metric) GROUP BY app, event_id) AS f "
        "ON e.app = f.app AND e.event_id = f.event_id ARRAY JOIN rules AS rule, rule_modes AS mode) "
        "GROUP BY rule, mode) AS r ON h.rule = r.rule AND h.mode = r.mode ORDER BY hits DESC",
        given,
    )
