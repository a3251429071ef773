"""What reviews change: answers to what was escalated, and rules that reviewers find wrong too often.

Told from what the store holds, not from single messages: whoever looks again, after a crash or in another
process, finds the same, under the same ids.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from clickhouse_connect.driver.binding import format_str

from schemas import codec
from schemas.events import Alert, Decision
from schemas.policy import PolicyChange
from streams.policy.reviews import is_below, share
from streams.store.chosen import Chosen
from streams.store.client import Store
from streams.store.escalated import answered
from streams.store.reviews import Reviewed, milliseconds, reviewed

MIN_REVIEWS: Final = 10
"""As a rule has it that does not say otherwise."""
KEYS: Final[tuple[tuple[Literal["doubted", "demoted"], str], ...]] = (
    ("doubted", "alert_below"), ("demoted", "demote_below"),
)  # fmt: skip


@dataclass
class Found:
    """What is due."""

    decisions: list[Decision] = field(default_factory=list)
    changes: list[PolicyChange] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    ended: list[Alert] = field(default_factory=list)
    """Of demotions that somebody took back."""


@dataclass(frozen=True)
class _InForce:
    """The policy that came into force last, and under which hashes its rules were the same."""

    name: str
    version: str
    hash: str
    rules: list[dict[str, Any]]
    same: dict[str, set[str]]
    """Hashes of policies by the hash of a rule."""


def due(store: Store) -> Found:
    """Return what reviews ask for and nobody has done. Raises `StoreError`."""
    changes = list(_changes(store))
    demoted = {change.rule for change in changes if change.what == "demoted"}
    told = [change for change in changes if change.what == "demoted" or change.rule not in demoted]
    return Found(answered(store), changes, list(map(_alert, told)), list(_ended(store)))


def _changes(store: Store) -> Iterator[PolicyChange]:
    policy = _policy_in_force(store)
    asked = [rule for rule in policy.rules if rule.keys() & {key for _, key in KEYS}] if policy else []
    if policy is None or not asked:
        return
    done = {
        change_id
        for (change_id,) in store.query(
            "SELECT change_id FROM policy_changes WHERE what IN ('doubted', 'demoted')"
        ).rows
    }
    restored = {
        rule: milliseconds(at)
        for rule, at in store.query(
            "SELECT rule, max(timestamp) FROM policy_changes WHERE what = 'restored' GROUP BY rule"
        ).rows
    }
    names = ", ".join(format_str(rule["id"]) for rule in asked)
    events = reviewed(store, Chosen(), f"hasAny(rules, [{names}])")
    for rule in asked:
        since = restored.get(rule["id"], 0)
        of_rule = [each for each in events if each.policy_hash in policy.same[rule["hash"]]]
        for change in _of_rule(policy, rule, of_rule, since):
            if change.change_id not in done:
                yield change


def _policy_in_force(store: Store) -> _InForce | None:
    rows = store.query(
        "SELECT any(policy_name), any(policy_version), policy_hash, any(rules) FROM policy_changes"
        " WHERE what = 'in_force' GROUP BY policy_hash ORDER BY max(timestamp), policy_hash"
    ).rows
    same: dict[str, set[str]] = {}
    rules: list[dict[str, Any]] = []
    for _, _, policy_hash, content in rows:
        rules = json.loads(content)
        for rule in rules:
            same.setdefault(rule["hash"], set()).add(policy_hash)
    if not rows:
        return None
    name, version, policy_hash, _ = rows[-1]
    return _InForce(name, version, policy_hash, rules, same)


def _of_rule(
    policy: _InForce, rule: dict[str, Any], events: list[Reviewed], since: int
) -> Iterator[PolicyChange]:
    right, of, last = counted(rule["id"], events, since)
    for what, key in KEYS:
        limit = rule.get(key)
        if limit is None or rule["mode"] == "off" or (what == "demoted" and rule["mode"] != "enforce"):
            continue
        if of >= rule.get("min_reviews", MIN_REVIEWS) and is_below(right, of, limit):
            found = share(right, of)
            assert found is not None
            yield PolicyChange(
                change_id=codec.change_id(what, rule["id"], rule["hash"], str(since)),
                what=what,
                timestamp=last,
                by="reviews",
                rule=rule["id"],
                rule_hash=rule["hash"],
                policy_name=policy.name,
                policy_version=policy.version,
                policy_hash=policy.hash,
                reason=f"{right} of {of} reviewed hits were right, {found.share:.0%}"
                f" ({found.low:.0%} to {found.high:.0%}): below {key} {limit:g}",
                right=right,
                reviews=of,
                since=since,
            )


def counted(rule: str, events: list[Reviewed], since_ms: int = 0) -> tuple[int, int, int]:
    """Return how many reviewed hits of a rule were right, of how many, and when the last was reviewed."""
    right = of = last = 0
    for event in events:
        if rule not in event.hits:
            continue
        label = event.labels(since_ms).of([rule, *filter(None, [event.hits[rule]])])
        if label is not None:
            right, of, last = right + label, of + 1, max(last, event.opinions[-1][0])
    return right, of, last


def _alert(change: PolicyChange) -> Alert:
    is_demoted = change.what == "demoted"
    went = "goes to shadow, and only records its hits" if is_demoted else "is wrong too often"
    undo = f"; `weir policy restore {change.rule}` takes it back" if is_demoted else ""
    return Alert(
        alert_id=codec.alert_id(change.change_id, change.rule),
        source="archive",
        severity="high" if is_demoted else "medium",
        rule=change.rule,
        title=f"{change.rule} {went}: {change.reason}{undo}; "
        f"`weir policy log --rule {change.rule}` and the desk's page Policy have its history",
        timestamp=change.timestamp,
        app="",
        policy_version=change.policy_version,
        policy_hash=change.policy_hash,
        # Who has seen that a rule is doubted must hear anew that it no longer blocks.
        subject=change.what,
    )


def _ended(store: Store) -> Iterator[Alert]:
    """Yield the ends of alerts that the store holds as open though their rules are back."""
    rows = store.query(
        "SELECT d.change_id, any(d.rule), any(d.timestamp), any(d.reason), any(d.policy_version),"
        " any(d.policy_hash), min(r.at), argMin(r.who, r.at) FROM policy_changes AS d"
        " JOIN (SELECT rule, timestamp AS at, by AS who FROM policy_changes WHERE what = 'restored') AS r"
        " ON d.rule = r.rule WHERE d.what = 'demoted' AND r.at > d.since GROUP BY d.change_id"
    ).rows
    over = {codec.alert_id(row[0], row[1]): row for row in rows}
    if not over:
        return
    still_open = store.query(
        "SELECT alert_id FROM alerts WHERE app = '' AND alert_id IN {ids:Array(String)}"
        " AND toUnixTimestamp64Milli(resolved_at) = 0 ORDER BY alert_id",
        {"ids": list(over)},
    ).rows
    for (alert_id,) in still_open:
        change_id, rule, at, reason, version, policy_hash, restored_at, who = over[alert_id]
        demotion = PolicyChange(
            change_id=change_id, what="demoted", timestamp=milliseconds(at), by="reviews", rule=rule,
            reason=reason, policy_version=version, policy_hash=policy_hash,
        )  # fmt: skip
        yield msgspec.structs.replace(
            _alert(demotion),
            title=f"{rule} is in force again, {who} put it back; it was in shadow: {reason}",
            resolved_at=milliseconds(restored_at),
        )
