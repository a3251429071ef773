"""What the decision on an event in the store rests on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from detectors.registry import fingerprint
from schemas.events import VERDICTS
from schemas.fields import LANGUAGE
from streams.decisions.scoring import make_runner, owners
from streams.decisions.settings import DecisionSettings
from streams.errors import UserError
from streams.policy.changes import Demotions
from streams.policy.columns import holds
from streams.policy.conditions import Comparison, comparisons
from streams.policy.file import load
from streams.policy.rules import CompiledPolicy, Outcome
from streams.store.chosen import Chosen
from streams.store.client import Store
from streams.store.policy_changes import demotions
from streams.store.scored import Detectors, Reader, field_sql


class Condition(msgspec.Struct, frozen=True):
    """A comparison of a rule, and what the event had."""

    condition: str
    value: float | str | None
    """None where there is none, or it is not known."""
    holds: bool | None
    """None where the value is not known: the detector failed, or the text was redacted."""
    exception: bool = False
    """It stands under `unless`."""


class RuleExplained(msgspec.Struct, frozen=True):
    """A rule of the policy on this event."""

    rule: str
    mode: str
    """As it is in force: a rule that reviews demoted is in shadow."""
    demoted_at: int
    """When reviews sent it to shadow, in milliseconds since 1970 (UTC); 0 where none did."""
    demoted_because: str
    action: str
    hit: bool
    by_failure: bool
    hit_then: bool
    """The rule is in the decision that was made."""
    conditions: list[Condition]


class Explained(msgspec.Struct, frozen=True):
    """An event's decision, rule by rule."""

    event_id: str
    app: str
    action: str
    verdict: str
    policy_version: str
    policy_hash: str
    detectors_hash: str
    failed: list[str]
    degraded: list[str]
    policy: str
    """Hash of the policy that the rules are from."""
    detectors: str
    """Of the detectors as they run here."""
    replayed: str
    """The action by this policy on the stored scores."""
    answered: str
    """The action that a reviewer decided, where it was escalated; empty where none did."""
    rules: list[RuleExplained]
    rules_then: list[str]


_DECISION = (
    "app", "action", "verdict", "policy_version", "policy_hash", "detectors_hash", "failed", "degraded",
    "rules",
)  # fmt: skip


def stored(store: Store, event_id: str, app: str, columns: Sequence[str]) -> dict[str, Any]:
    """Return columns of an event, `app` among them; `UserError` where there is none such, or several."""
    condition = Chosen(app=app, event_id=event_id).condition
    sql = f"SELECT {', '.join(columns)} FROM events WHERE {condition} LIMIT 100"
    rows = store.query(sql).rows if event_id else []
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    if not found:
        of = f" of app {app!r}" if app else ""
        raise UserError(
            f'no event {event_id!r}{of} in the store: `weir sql "SELECT app, event_id FROM events"` has all; '
            "an event is there some seconds after its decision"
        )
    apps = sorted({each["app"] for each in found})
    if len(apps) > 1:
        raise UserError(f"{len(apps)} apps have an event {event_id!r}: add --app, one of {', '.join(apps)}")
    return found[-1]


def explain(event_id: str, app: str, policy: Path, settings: DecisionSettings, store: Store) -> Explained:
    """Judge a stored event by its scores.

    Raises `UserError`, `StoreError` and the errors of `policy.file.load`.
    """
    decision = stored(store, event_id, app, _DECISION)
    runner = make_runner(settings)
    try:
        written = load(policy, owners(runner), runner.ranges)
        # Only the policy of the settings has demotions: a draft stands as it is written.
        standing = demotions(store) if policy == settings.policy else Demotions()
        compiled = standing.applied(written).compile(runner.metrics, runner.counted)
        own = fingerprint(runner.detectors, runner.models)
        reader = Reader(store, compiled.asks, Detectors(owners(runner), runner.read_closely, runner.counted))
    finally:
        runner.close()
    *_, block = reader.blocks(Chosen(app=decision["app"], event_id=event_id))
    row = len(block.event_ids) - 1
    outcome = compiled.judge(block.rows)
    values = _values(store, compiled, decision["app"], event_id)
    app, then = decision["app"], set(decision["rules"])
    demoted = standing.holding(written)
    return Explained(
        event_id=event_id,
        rules_then=list(decision.pop("rules")),
        **decision,
        policy=compiled.policy.hash,
        detectors=own,
        replayed=VERDICTS[outcome.action[row]],
        answered=_answered(store, app, event_id),
        rules=[
            RuleExplained(
                rule=rule.id,
                mode=rule.mode,
                demoted_at=demoted[rule.id].timestamp if rule.id in demoted else 0,
                demoted_because=demoted[rule.id].reason if rule.id in demoted else "",
                action=rule.action,
                hit=bool(outcome.hits[row, column]),
                by_failure=bool(outcome.failed[row, column]),
                hit_then=rule.id in then,
                conditions=[
                    _condition(comparison.of(app), outcome, block.rows, row, values, exception=exception)
                    for exception, conditions in ((False, rule.when), (True, rule.unless))
                    for comparison in comparisons(conditions)
                ],
            )
            for column, rule in enumerate(compiled.rules)
        ],
    )


def _condition(
    own: Comparison, outcome: Outcome, rows: Any, row: int, values: dict[str, Any], *, exception: bool
) -> Condition:
    owner = {**outcome.policy.policy.owners, LANGUAGE: LANGUAGE}.get(own.name, "")
    failed = rows.failed.get(owner)
    lost = [mask for mask in (failed, rows.unknown.get(own.name)) if mask is not None]
    if any(mask[row] for mask in lost):
        return Condition(str(own), None, None, exception)
    if own.subject == "text":
        value = values[own.name]
    else:
        number = float(rows.column(own)[row])
        value = None if np.isnan(number) else round(number, 6)
    return Condition(str(own), value, bool(holds(own, rows.column(own))[row]), exception)


def _answered(store: Store, app: str, event_id: str) -> str:
    rows = store.query(
        f"SELECT action FROM resolutions WHERE {Chosen(app=app, event_id=event_id).identity}"
    ).rows
    return str(rows[0][0]) if rows else ""


def _values(store: Store, compiled: CompiledPolicy, app: str, event_id: str) -> dict[str, Any]:
    """Return the fields of the event that the policy compares as texts."""
    names = sorted({each.name for each in compiled.asks if each.subject == "text"})
    if not names:
        return {}
    wanted = ", ".join(map(field_sql, names))
    *_, row = store.query(
        f"SELECT {wanted} FROM events WHERE {Chosen(app=app, event_id=event_id).condition}"
    ).rows
    return dict(zip(names, row, strict=True))
