"""One rule of a policy, and what it says."""

import hashlib
import json
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from schemas.events import NAME_LENGTH, Action, Mode, RuleSeverity
from streams.policy.actions import ACTIONS
from streams.policy.conditions import Condition

RuleMode = Literal[Mode, "off"]
OnFailure = Literal["open", "closed"]
AppName = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH)]
Precision = Annotated[float, Field(gt=0, lt=1)]
_LATER: Final = ("unless", "alert_below", "demote_below", "min_reviews")
"""Keys that are newer than the first hashes of policies."""


class Rule(BaseModel):
    """One rule of a policy: where all of `when` and nothing of `unless` holds, `action` is due."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=128)]
    description: Annotated[str, Field(max_length=1000)] = ""
    when: Annotated[tuple[Condition, ...], Field(min_length=1)]
    unless: Annotated[tuple[Condition, ...], Field(min_length=1)] = ()
    thresholds: dict[AppName, Annotated[dict[str, str], Field(min_length=1)]] = {}
    """By app and metric, in place of the number in `when`; `file.parse` binds them to its comparisons."""
    action: Action
    severity: RuleSeverity = "medium"
    mode: RuleMode = "enforce"
    on_failure: OnFailure = "open"
    on_degraded: OnFailure = "open"
    alert: StrictBool = Field(default_factory=lambda rule: ACTIONS[rule["action"]].alerts)
    alert_below: Precision | None = None
    """Precision, as reviewers say, below which an alert tells."""
    demote_below: Precision | None = None
    """Precision below which an enforced rule goes to shadow."""
    min_reviews: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Reviewed hits before either."""

    def __hash__(self) -> int:
        return hash(self.id)


def meaning(rule: Rule) -> dict[str, Any]:
    """Return what a rule says, key by key: conditions in one spelling, with the thresholds of apps.

    A hash of yesterday stays what it was: newer keys are there only where they are used.
    """
    said = rule.model_dump(exclude={"when", "unless", "thresholds"})
    said |= {"when": [*map(str, rule.when)], "unless": [*map(str, rule.unless)]}
    unused = {key for key in _LATER if getattr(rule, key) == Rule.model_fields[key].default}
    return {key: told for key, told in said.items() if key not in unused}


def digest(rule: Rule) -> str:
    """Return a hash of what decides whether a rule hits: reviews of one version speak for its equals."""
    said = meaning(rule)
    deciding = {key: said.get(key) for key in ("id", "when", "unless", "on_failure", "on_degraded")}
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:12]
