"""The history of the policy, as the store keeps it."""

from typing import Any, Final

from schemas.policy import PolicyChange
from streams.policy.changes import Demotions
from streams.store.client import Store

_COLUMNS: Final = (
    "timestamp", "what", "by", "rule", "rule_hash", "policy_name", "policy_version", "policy_hash", "reason",
    "right", "reviews",
)  # fmt: skip


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
    standing = Demotions()
    rows = store.query(
        "SELECT change_id, what, rule, rule_hash, reason, by FROM policy_changes"
        " WHERE what IN ('demoted', 'restored') ORDER BY policy_changes.timestamp, what"
    ).rows
    for change_id, what, rule, rule_hash, reason, by in rows:
        change = PolicyChange(
            change_id=change_id, what=what, timestamp=0, by=by, rule=rule, rule_hash=rule_hash, reason=reason
        )
        standing.take(change)
    return standing


def refused(store: Store) -> str:
    """Return why the newest version of the policy was refused; empty where it is in force."""
    rows = store.query(
        "SELECT what, reason FROM policy_changes WHERE what IN ('in_force', 'refused')"
        " ORDER BY policy_changes.timestamp DESC, what DESC LIMIT 1"
    ).rows
    return str(rows[0][1]) if rows and rows[0][0] == "refused" else ""
