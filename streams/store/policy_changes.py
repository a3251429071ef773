"""The history of the policy, as the store keeps it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from schemas.policy import PolicyChange
from streams.policy.changes import Demotions
from streams.store.client import Store

_COLUMNS: Final = (
    "timestamp", "what", "by", "rule", "rule_hash", "policy_name", "policy_version", "policy_hash", "reason",
    "right", "reviews",
)  # fmt: skip

DEMOTIONS: Final = (
    "SELECT change_id, what, toUnixTimestamp64Milli(c.timestamp) AS timestamp, by, rule, rule_hash, reason"
    " FROM policy_changes AS c WHERE what IN ('demoted', 'restored') ORDER BY c.timestamp, what"
)
"""SQL: what reviews took out of force and what was put back, in its order."""


def changes(store: Store, rule: str = "", most: int = 50) -> list[dict[str, Any]]:
    """Return what changed, the newest first: of all, or of one rule."""
    rows = store.query(
        f"SELECT {', '.join(_COLUMNS)} FROM policy_changes WHERE {{rule:String}} IN ('', rule)"
        f" ORDER BY policy_changes.timestamp DESC, change_id LIMIT {most:d}",
        {"rule": rule},
    ).rows
    return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]


def demotions(store: Store) -> Demotions:
    """Return the demotions that stand, as far as the store knows."""
    answer = store.query(DEMOTIONS)
    return standing(dict(zip(answer.columns, row, strict=True)) for row in answer.rows)


def standing(rows: Iterable[Mapping[str, Any]]) -> Demotions:
    """Return the demotions that stand after the rows of `DEMOTIONS`."""
    found = Demotions()
    for row in rows:
        found.take(PolicyChange(**row))
    return found


def refused(store: Store) -> str:
    """Return why the newest version of the policy was refused; empty where it is in force."""
    rows = store.query(
        "SELECT what, reason FROM policy_changes WHERE what IN ('in_force', 'refused')"
        " ORDER BY policy_changes.timestamp DESC, what DESC LIMIT 1"
    ).rows
    return str(rows[0][1]) if rows and rows[0][0] == "refused" else ""
