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


def changes(asked: Asked) -> Found:
    """Return what came into force, was refused, demoted and restored, the last first."""
    return asked.rows(
        "SELECT timestamp, what, by, rule, policy_name, policy_version, policy_hash, rules, reason "
        "FROM policy_changes ORDER BY timestamp DESC, change_id LIMIT 100"
    )
