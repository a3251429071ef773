"""Alerts, and what moved."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from streams.desk.asked import Asked, Found, Row
from streams.desk.filters import Filter
from streams.desk.questions.events import COLUMNS

RATES: Final = {
    "action_rate": "toFloat32(action != 'allow')", "block_rate": "toFloat32(action = 'block')",
    "refusal_rate": "toFloat32(refusal >= 0.5)",
}  # fmt: skip
"""As watch counts them."""
_SEGMENT: Final = (
    "app = {app:String} AND model = {model:String} AND prompt_version = {prompt_version:String} "
    "AND kind = {kind:String}"
)
_STATE: Final = (
    "alert_id, state, severity, kind, rule, app, subject, title, opened_at, last_at, alerts, who, comment, "
    "silenced_until, parts.part_id AS parts"
)
_DRIFT: Final = (
    "drift_id, timestamp, began_at, app, model, prompt_version, kind, metric, named_group, before, after, "
    "before_samples, after_samples, after_low, after_high, cause, returns"
)
EXAMPLES: Final = 4
POINTS: Final = 60


def alerts(asked: Asked, wanted: Filter, most: int) -> Found:
    """Return the last alerts of the time, of the app where one is asked for."""
    time, given = wanted.times()
    return asked.rows(
        "SELECT timestamp, alert_id, severity, source, app, rule, subject, title, event_id, metric, score "
        "FROM alerts "
        f"WHERE {time} AND ({{app:String}} = '' OR app = {{app:String}}) "
        f"ORDER BY timestamp DESC, alert_id LIMIT {most}",
        given | {"app": wanted.values.get("app", "")},
    )


def states(asked: Asked, wanted: Filter, most: int) -> Found:
    """Return the alerts as notify keeps them: those that are not over, then the last of the time."""
    time, given = wanted.times()
    return asked.rows(
        f"SELECT {_STATE} FROM alert_states WHERE (state != 'resolved' OR {time}) "
        "AND ({app:String} = '' OR app = {app:String}) "
        f"ORDER BY state = 'resolved', last_at DESC, alert_id LIMIT {most}",
        given | {"app": wanted.values.get("app", "")},
    )


def state(asked: Asked, alert_id: str) -> Found:
    """Return one of these alerts, as a row or none."""
    return asked.rows(f"SELECT {_STATE} FROM alert_states WHERE alert_id = {{id:String}}", {"id": alert_id})


def unresolved(asked: Asked) -> Found:
    """Return in one row how many alerts nobody has dealt with, and whether `weir notify` has followed any."""
    return asked.rows("SELECT countIf(state = 'open') AS alerts, count() > 0 AS followed FROM alert_states")


def moved(asked: Asked, wanted: Filter) -> Found:
    """Return the drifts that were found in the time, the last first."""
    time, given = wanted.times()
    return asked.rows(
        f"SELECT {_DRIFT} FROM drift WHERE {time} AND ({{app:String}} = '' OR app = {{app:String}}) "
        "ORDER BY timestamp DESC, drift_id LIMIT 100",
        given | {"app": wanted.values.get("app", "")},
    )


def parts(asked: Asked, alert_id: str) -> Found:
    """Return the drifts that an alert stands for, the first to begin first."""
    return asked.rows(
        f"SELECT {_DRIFT} FROM drift WHERE drift_id IN (SELECT arrayJoin(parts.part_id) FROM alert_states "
        "WHERE alert_id = {id:String}) ORDER BY began_at, timestamp, drift_id",
        {"id": alert_id},
    )


def one(asked: Asked, drift_id: str) -> Row | None:
    """Return a drift; None where there is none."""
    found = asked.rows("SELECT * FROM drift WHERE drift_id = {id:String} LIMIT 1", {"id": drift_id})
    return found[0] if found else None


def value_sql(metric: str, known: frozenset[str]) -> str | None:
    """Return SQL of a metric of an event; None where the events have none of the name."""
    return RATES.get(metric) or (f"toFloat32({metric})" if metric in known else None)


def levels(asked: Asked, drift: Mapping[str, Any], value: str) -> Found:
    """Return, before and since the drift began, how many values there are, their sum and squares."""
    return asked.rows(
        f"SELECT timestamp >= fromUnixTimestamp64Milli({_ms(began(drift))}, 'UTC') AS side, count(v) AS n, "
        f"sum(v) AS s, sum(v * v) AS q, min(v) AS low, max(v) AS high FROM "
        f"(SELECT timestamp, toFloat64({value}) AS v FROM events WHERE {_SEGMENT} AND {_around(drift)}) "
        "GROUP BY side ORDER BY side",
        drift_segment(drift),
    )


def course(asked: Asked, drift: Mapping[str, Any], value: str) -> Found:
    """Return the mean of the metric over the time around the drift."""
    step = max(1, int(2 * window(drift).total_seconds() / POINTS))
    return asked.rows(
        f"SELECT toStartOfInterval(timestamp, INTERVAL {step} SECOND) AS moment, avg({value}) AS mean, "
        f"count({value}) AS events FROM events WHERE {_SEGMENT} AND {_around(drift)} "
        "GROUP BY moment HAVING events > 0 ORDER BY moment",
        drift_segment(drift),
    )


def examples(asked: Asked, drift: Mapping[str, Any], value: str, *, after: bool) -> Found:
    """Return events of one side whose value is nearest to its level."""
    level, side = (drift["after"], ">=") if after else (drift["before"], "<")
    return asked.rows(
        f"SELECT {COLUMNS}, {value} AS score FROM events WHERE {_SEGMENT} AND {_around(drift)} "
        f"AND timestamp {side} fromUnixTimestamp64Milli({_ms(began(drift))}, 'UTC') AND isNotNull(score) "
        f"ORDER BY abs(score - {float(level)!r}), timestamp DESC LIMIT {EXAMPLES}",
        drift_segment(drift),
    )


def drift_segment(drift: Mapping[str, Any]) -> dict[str, str]:
    """Return where the drift was found."""
    return {name: drift[name] for name in ("app", "model", "prompt_version", "kind")}


def began(drift: Mapping[str, Any]) -> dt.datetime:
    """Return when the drift is estimated to have begun, or was found."""
    known: dt.datetime = drift["began_at"]
    found: dt.datetime = drift["timestamp"]
    return (known if known.year > 1970 else found).replace(tzinfo=dt.UTC)


def window(drift: Mapping[str, Any]) -> dt.timedelta:
    """Return how far to look to both sides: at least an hour, at most a week."""
    found: dt.datetime = drift["timestamp"].replace(tzinfo=dt.UTC)
    return min(max(3 * (found - began(drift)), dt.timedelta(hours=1)), dt.timedelta(days=7))


def _around(drift: Mapping[str, Any]) -> str:
    first, last = began(drift) - window(drift), began(drift) + window(drift)
    return (
        f"timestamp BETWEEN fromUnixTimestamp64Milli({_ms(first)}, 'UTC') "
        f"AND fromUnixTimestamp64Milli({_ms(last)}, 'UTC')"
    )


def _ms(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1000)
