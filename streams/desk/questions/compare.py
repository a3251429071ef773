"""Two sides of events, measured alike."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Self

from streams.desk.asked import Asked, Found, Row
from streams.desk.filters import Filter, instant, written
from streams.desk.questions.events import FIXED, sort_of
from streams.desk.statistics import Moments, Sort
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
        return cls(by, "", written(instant(new)) if new else "")


class Measured(NamedTuple):
    """A metric on both sides, app by app and kind by kind."""

    name: str
    sort: Sort
    strata: dict[tuple[str, str], tuple[Moments, Moments]]

    @property
    def is_rate(self) -> bool:
        """Whether it is a share of what became of the events."""
        return self.name in (*RATES, REFUSED)

    @property
    def alone(self) -> int:
        """Which side alone has values of it: 1 or 2; 0 where both have, or none."""
        counts = [sum(each[side].size for each in self.strata.values()) for side in (0, 1)]
        return 0 if all(counts) or not any(counts) else 1 if counts[0] else 2


def choices(asked: Asked, wanted: Filter, by: str) -> Found:
    """Return what there is to compare, the most frequent first and no empty value; of periods nothing."""
    if by == PERIOD:
        return Found()
    where, given = wanted.where()
    return asked.rows(
        f"SELECT {by} AS value, count() AS events, max(timestamp) AS latest FROM events WHERE {where} "
        f"AND {by} != '' GROUP BY value ORDER BY events DESC LIMIT 50",
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
    # To the second, as a person would write it.
    return written((first + (last - first) / 2).replace(microsecond=0)) if first < last else ""


def measured(rows: Iterable[Row], scores: Iterable[str], by: str) -> list[Measured]:
    """Return each metric that a side has, rates first; of two apps by kind alone."""
    rows, names = list(rows), [*sorted(scores), *sorted(_AMOUNTS)]
    if by == "app":
        rows = [row | {"app": ""} for row in rows]
    found = [_of_rate(name, rows, "events") for name in RATES]
    if "refusal" in names and rows:
        found.append(_of_rate(REFUSED, rows, f"n{names.index('refusal')}"))
    for number, name in enumerate(names):
        strata: dict[tuple[str, str], list[Moments]] = defaultdict(lambda: [Moments(0, 0.0, 0.0)] * 2)
        for row in rows:
            moments = Moments(row[f"n{number}"], row[f"s{number}"] or 0.0, row[f"q{number}"] or 0.0)
            strata[row["app"], row["kind"]][row["side"]] = moments
        found.append(Measured(name, _sort(name, rows, number), _paired(strata)))
    return [each for each in found if any(old.size + new.size for old, new in each.strata.values())]


def mix(rows: Iterable[Row]) -> dict[str, tuple[int, int]]:
    """Return the events of each app on both sides."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        found[row["app"]][row["side"]] += row["events"]
    return {app: (old, new) for app, (old, new) in found.items()}


def periods(wanted: Filter, sides: Sides, now: dt.datetime) -> tuple[dt.datetime, dt.datetime, dt.datetime]:
    """Return when the first of two periods of one length begins, when the second one, and when that ends."""
    begin, end = wanted.bounds(now)
    length = end - begin
    if sides.new:
        begin = instant(sides.new)
        end = begin + length
    return begin - length, begin, end


def _sides(wanted: Filter, sides: Sides) -> tuple[str, dict[str, Any], str]:
    """Return condition, parameters, and SQL that is 0 on the old side and 1 on the new one."""
    if sides.by == PERIOD:
        first, begin, end = periods(wanted, sides, dt.datetime.now(dt.UTC))
        where, given = wanted._replace(begin=first, end=end).where()
        second = {"second": f"{begin:%Y-%m-%d %H:%M:%S.%f}"[:-3]}
        return where, given | second, "timestamp >= toDateTime64({second:String}, 3, 'UTC')"
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
