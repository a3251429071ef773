"""Who uses what, and what becomes of it."""

from typing import Final

from streams.desk.asked import Asked, Found
from streams.desk.filters import Filter

BY: Final = (
    "app", "tenant", "user", "model", "prompt_version", "environment", "language", "provider", "kind",
)  # fmt: skip
MOST: Final = 50
ORDERS: Final = {
    "spent": "cost", "events": "events", "acted": "acted on", "blocked": "blocked", "median": "latency",
}  # fmt: skip
"""What the groups are sorted by, the highest first, and how a person calls it."""
_BLOCKING: Final = (
    "arrayFilter((rule, done, mode) -> done = 'block' AND mode = 'enforce', rules, rule_actions, rule_modes)"
)
BLOCKED_BY: Final = (
    f"sumMapIf({_BLOCKING} AS blocking, arrayMap(rule -> toUInt64(1), blocking), action = 'block') "
    "AS blocked_by"
)
"""SQL: the rules that blocked, and how many events each."""


def groups(asked: Asked, wanted: Filter, by: str, order: str) -> Found:
    """Return all events together, those that name no group, and the groups with the most `order`."""
    where, given = wanted._replace(metric="").where()
    metric = wanted.metric
    score = f"toFloat64({metric})" if metric else "toFloat64(action != 'allow')"
    return asked.rows(
        f"SELECT {by} AS value, grouping({by}) AS is_total, count() AS events, "
        f"countIf(action = 'block') AS blocked, {BLOCKED_BY}, "
        "countIf(action != 'allow') AS acted, sum(cost) AS spent, sum(prompt_tokens) AS tokens_in, "
        "sum(completion_tokens) AS tokens_out, quantileTDigest(0.5)(latency_ms) AS median, "
        f"uniqIf(user, user != '') AS users, countIf(value != '' AND is_total = 0) OVER () AS groups, "
        f"count({score}) AS n, sum({score}) AS s, sum({score} * {score}) AS q, "
        f"min({score}) AS low, max({score}) AS high FROM events WHERE {where} "
        f"GROUP BY GROUPING SETS (({by}), ()) "
        f"ORDER BY is_total DESC, value = '' DESC, {order} DESC, events DESC, value LIMIT {MOST + 2}",
        given,
    )


def ranked(blocked_by: tuple[list[str], list[int]]) -> list[tuple[str, int]]:
    """Return the rules of `BLOCKED_BY`, the one that blocked most first."""
    return sorted(zip(*blocked_by, strict=True), key=lambda each: (-each[1], each[0]))
