"""Two sides of events, measured alike."""

import contextlib
import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Self

from streams.desk.asked import Asked, Found, Row
from streams.desk.filters import SPANS, Filter
from streams.desk.questions.events import FIXED, sort_of
from streams.desk.statistics import Moments, Sort
from streams.errors import UserError
from streams.policy.actions import ACTED

BY: Final = (
    "prompt_version", "model", "app", "tenant", "environment", "language", "policy_version", "policy_hash",
    "period",
)  # fmt: skip
PERIOD: Final = "period"
RATES: Final = {done: f"action = '{word}'" for word, done in ACTED.items()}
"""Shares of all events."""
REFUSED: Final = "refused"
"""Share of the completions with a score of `refusal` from 0.5."""
READ: Final = 200_000
"""Events whose metrics are read at most, and as many again."""
MOST: Final = 60
"""Apps, models and versions of both sides whose latency is shown."""
TIME: Final = "%Y-%m-%d %H:%M:%S"
_AMOUNTS: Final = FIXED - {"decision_latency_ms"}


class Sides(NamedTuple):
    """What is compared. Of periods `new` is when the second one begins (UTC): empty for the one until now."""

    by: str
    old: str
    new: str

    @classmethod
    def of(cls, by: str, old: str, new: str) -> Self:
        """Return both sides; raise `UserError` where a period begins at no time."""
        if by != PERIOD:
            return cls(by, old, new)
        return cls(by, "", _time(new) if new else "")


def _time(given: str) -> str:
    with contextlib.suppress(ValueError, OverflowError):
        moment = dt.datetime.fromisoformat(given)
        if moment.tzinfo:
            moment = moment.astimezone(dt.UTC)
        if 1970 <= moment.year < 2200:
            return f"{moment:{TIME}}"
    raise UserError("the second period begins at a time such as 2026-01-31 12:00")


class Measured(NamedTuple):
    """A metric on both sides, app by app and kind by kind."""

    name: str
    sort: Sort
    strata: dict[tuple[str, str], tuple[Moments, Moments]]


def choices(asked: Asked, wanted: Filter, by: str) -> Found:
    """Return what there is to compare, the most frequent first; of periods nothing."""
    if by == PERIOD:
        return Found()
    where, given = wanted.where()
    return asked.rows(
        f"SELECT {by} AS value, count() AS events, max(timestamp) AS latest FROM events WHERE {where} "
        "GROUP BY value ORDER BY events DESC LIMIT 50",
        given,
    )


def one_in(events: int) -> int:
    """Return which part of so many events is read: every event, or every n-th by the hash of its id."""
    return max(1, events // READ)


def measure(asked: Asked, wanted: Filter, sides: Sides, scores: Iterable[str], every: int) -> Found:
    """Return, by side, app and kind, the events and of each metric how many, their sum and squares.

    Of many events every n-th is read. The condition on that is on the key, so it may be looked at first.
    """
    where, given, side = _sides(wanted, sides)
    numbers = [*sorted(scores), *sorted(_AMOUNTS)]
    parts = [f"count({n}), sum({n}), sum({n} * {n}), min({n}), max({n})" for n in numbers]
    rates = [f"countIf({condition}) AS {name}" for name, condition in RATES.items()]
    refused = ["countIf(refusal >= 0.5) AS refused"] if "refusal" in numbers else []
    aliases = [_aliased(part, number) for number, part in enumerate(parts)]
    return asked.rows(
        f"SELECT {side} AS side, app, kind, count() AS events, {', '.join([*rates, *refused, *aliases])} "
        f"FROM events_log FINAL PREWHERE cityHash64(event_id) % {every} = 0 WHERE {where} "
        "GROUP BY side, app, kind ORDER BY side, events DESC LIMIT 1000",
        given,
    )


def times(asked: Asked, wanted: Filter, sides: Sides) -> Found:
    """Return latency's quantiles and the whole cost, by side."""
    where, given, side = _sides(wanted, sides)
    return asked.rows(
        f"SELECT {side} AS side, count() AS events, sum(cost) AS cost, "
        "quantileTDigest(0.5)(latency_ms) AS median, quantileTDigest(0.99)(latency_ms) AS slow, "
        f"min(timestamp) AS first, max(timestamp) AS last FROM events WHERE {where} "
        "GROUP BY side ORDER BY side",
        given,
    )


def latencies(asked: Asked, wanted: Filter, sides: Sides) -> Found:
    """Return latency by side for each app, model and prompt version, but for what differs anyway.

    The quantiles are within 0.4 % of the value.
    """
    where, given, side = _sides(wanted, sides)
    names = [name for name in ("app", "model", "prompt_version") if name != sides.by]
    return asked.rows(
        f"SELECT {side} AS side, what, value, count() AS n, sum(latency_ms) AS s, "
        "sum(latency_ms * latency_ms) AS q, quantileBFloat16(0.5)(latency_ms) AS median, "
        f"quantileBFloat16(0.99)(latency_ms) AS slow FROM events ARRAY JOIN {names} AS what, "
        f"[{', '.join(f'toString({name})' for name in names)}] AS value "
        f"WHERE {where} AND isNotNull(latency_ms) AND value != '' "
        f"GROUP BY side, what, value ORDER BY n DESC LIMIT {MOST}",
        given,
    )


def middle(rows: Iterable[Row]) -> str:
    """Return the middle of the time that has events, as `Sides.new`; empty where there is none."""
    first, last = min(row["first"] for row in rows), max(row["last"] for row in rows)
    return f"{first + (last - first) / 2:{TIME}}" if first < last else ""


def measured(rows: Iterable[Row], scores: Iterable[str]) -> list[Measured]:
    """Return each metric that both sides have, rates first."""
    rows, names = list(rows), [*sorted(scores), *sorted(_AMOUNTS)]
    found = [_of_rate(name, rows, "events") for name in RATES]
    if "refusal" in names and rows:
        found.append(_of_rate(REFUSED, rows, f"n{names.index('refusal')}"))
    for number, name in enumerate(names):
        strata: dict[tuple[str, str], list[Moments]] = defaultdict(lambda: [Moments(0, 0.0, 0.0)] * 2)
        for row in rows:
            moments = Moments(row[f"n{number}"], row[f"s{number}"] or 0.0, row[f"q{number}"] or 0.0)
            strata[row["app"], row["kind"]][row["side"]] = moments
        found.append(Measured(name, _sort(name, rows, number), _paired(strata)))
    return [each for each in found if all(_count(each, side) for side in (0, 1))]


def mix(rows: Iterable[Row]) -> dict[str, tuple[int, int]]:
    """Return the events of each app on both sides."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        found[row["app"]][row["side"]] += row["events"]
    return {app: (old, new) for app, (old, new) in found.items()}


def _sides(wanted: Filter, sides: Sides) -> tuple[str, dict[str, Any], str]:
    """Return condition, parameters, and SQL that is 0 on the old side and 1 on the new one."""
    hours = SPANS[wanted.since]
    if sides.by == PERIOD and sides.new:
        where, given = wanted.where(hours=SPANS["all"])
        begin = "toDateTime64({new:String}, 3, 'UTC')"
        where += f" AND timestamp BETWEEN {begin} - INTERVAL {hours} HOUR AND {begin} + INTERVAL {hours} HOUR"
        return where, given | {"new": sides.new}, f"timestamp >= {begin}"
    if sides.by == PERIOD:
        where, given = wanted.where(hours=2 * hours)
        return where, given, f"timestamp >= now64(3, 'UTC') - INTERVAL {hours} HOUR"
    where, given = wanted.where()
    given |= {"old": sides.old, "new": sides.new}
    return (
        f"{where} AND {sides.by} IN ({{old:String}}, {{new:String}})", given, f"{sides.by} = {{new:String}}"
    )  # fmt: skip


def _aliased(part: str, number: int) -> str:
    return ", ".join(
        f"{sql} AS {letter}{number}" for sql, letter in zip(part.split(", "), "nsqlh", strict=True)
    )


def _of_rate(name: str, rows: list[Row], whole: str) -> Measured:
    strata: dict[tuple[str, str], list[Moments]] = defaultdict(lambda: [Moments(0, 0.0, 0.0)] * 2)
    for row in rows:
        strata[row["app"], row["kind"]][row["side"]] = Moments(row[whole], row[name], row[name])
    return Measured(name, "share", _paired(strata))


def _sort(name: str, rows: list[Row], number: int) -> Sort:
    low = min((row[f"l{number}"] for row in rows if row[f"l{number}"] is not None), default=None)
    high = max((row[f"h{number}"] for row in rows if row[f"h{number}"] is not None), default=None)
    return sort_of(name, low, high)


def _paired(strata: dict[tuple[str, str], list[Moments]]) -> dict[tuple[str, str], tuple[Moments, Moments]]:
    return {key: (old, new) for key, (old, new) in strata.items()}


def _count(measured: Measured, side: int) -> int:
    return sum(each[side].size for each in measured.strata.values())
