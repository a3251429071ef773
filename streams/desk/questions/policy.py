"""Which policies decided, and how the policy changed."""

from streams.desk.asked import Asked, Found


def in_force(asked: Asked) -> Found:
    """Return the policies that decided the events of the last 90 days, the last first."""
    return asked.rows(
        "SELECT policy_version, policy_hash, min(decided_at) AS first, max(decided_at) AS last, "
        "count() AS events, countIf(action != 'allow') AS acted, countIf(action = 'block') AS blocked "
        "FROM events WHERE timestamp >= now64(3, 'UTC') - INTERVAL 90 DAY "
        "GROUP BY policy_version, policy_hash ORDER BY last DESC LIMIT 50"
    )


def rules_of(asked: Asked, policy_hash: str) -> Found:
    """Return in one row the rules of a policy as it came into force, where that is known."""
    return asked.rows(
        "SELECT rules FROM policy_changes WHERE what = 'in_force' AND policy_hash = {hash:String} LIMIT 1",
        {"hash": policy_hash},
    )


def demotions(asked: Asked) -> Found:
    """Return what reviews took out of force and what was put back."""
    # Not before somebody asks: it loads all that a policy may name, 50 MB.
    from streams.store.policy_changes import DEMOTIONS

    return asked.rows(DEMOTIONS)


def changes(asked: Asked) -> Found:
    """Return what came into force, was refused, demoted and restored, the last first."""
    return asked.rows(
        "SELECT change_id, timestamp, what, by, rule, policy_name, policy_version, policy_hash, rules, "
        "reason FROM policy_changes ORDER BY timestamp DESC, change_id LIMIT 100"
    )
