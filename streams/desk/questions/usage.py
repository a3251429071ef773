"""Who uses what, and what becomes of it."""

from typing import Final

from streams.desk.asked import Asked, Found
from streams.desk.filters import Filter

BY: Final = (
    "app", "tenant", "user", "model", "prompt_version", "environment", "language", "provider", "kind",
)  # fmt: skip
MOST: Final = 50
ORDERS: Final = ("spent", "events", "acted", "blocked", "median")
"""What the groups are sorted by, the highest first."""


def groups(asked: Asked, wanted: Filter, by: str, order: str) -> Found:
    """Return the groups with the most events, and in a last row of no name all of them together."""
    where, given = wanted._replace(metric="").where()
    metric = wanted.metric
    score = f"toFloat64({metric})" if metric else "toFloat64(action != 'allow')"
    return asked.rows(
        f"SELECT {by} AS value, grouping({by}) AS is_total, count() AS events, "
        "countIf(action = 'block') AS blocked, countIf(action != 'allow') AS acted, "
        "sum(cost) AS spent, sum(prompt_tokens) AS tokens_in, "
        "sum(completion_tokens) AS tokens_out, quantileTDigest(0.5)(latency_ms) AS median, "
        "uniq(user) AS users, "
        f"count({score}) AS n, sum({score}) AS s, sum({score} * {score}) AS q, "
        f"min({score}) AS low, max({score}) AS high FROM events WHERE {where} "
        f"GROUP BY GROUPING SETS (({by}), ()) ORDER BY is_total DESC, {order} DESC, events DESC "
        f"LIMIT {MOST + 1}",
        given,
    )
