"""What stands beside the policy file: rules that reviews took out of force, as `llm.policy` says."""

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from schemas import codec
from schemas.policy import PolicyChange
from streams.policy.rule import digest, meaning
from streams.policy.rules import Policy


class Demotions:
    """The demotions that stand, of the changes taken so far, in the order of the topic."""

    def __init__(self) -> None:
        self._of: dict[str, PolicyChange] = {}
        self.last = ""
        """Hash of the policy that came into force last, anywhere; empty after one was refused."""

    @property
    def of(self) -> Mapping[str, PolicyChange]:
        """The demotion of each rule that has one."""
        return MappingProxyType(self._of)

    def take(self, change: PolicyChange) -> None:
        """Note a change."""
        if change.what == "in_force":
            self.last = change.policy_hash
        elif change.what == "refused":
            self.last = ""
        elif change.what == "demoted":
            self._of[change.rule] = change
        elif change.what == "restored":
            self._of.pop(change.rule, None)

    def holding(self, policy: Policy) -> dict[str, PolicyChange]:
        """Return the demotions of rules that a policy enforces; not of one that hits otherwise since then."""
        return {
            rule.id: change
            for rule in policy.rules
            if rule.mode == "enforce"
            and (change := self._of.get(rule.id)) is not None
            and change.rule_hash == digest(rule)
        }

    def applied(self, policy: Policy) -> Policy:
        """Return the policy with its demoted rules in shadow."""
        demoted = self.holding(policy)
        rules = tuple(
            rule.model_copy(update={"mode": "shadow"}) if rule.id in demoted else rule
            for rule in policy.rules
        )
        return policy if rules == policy.rules else replace(policy, rules=rules)


def in_force(policy: Policy, by: str, now_ms: int) -> PolicyChange:
    """Return the change that a policy came into force."""
    return PolicyChange(
        change_id=codec.change_id("in_force", policy.hash, str(now_ms)),
        what="in_force",
        timestamp=now_ms,
        by=by,
        policy_name=policy.name,
        policy_version=policy.version,
        policy_hash=policy.hash,
        rules=json.dumps([meaning(rule) | {"hash": digest(rule)} for rule in policy.rules]),
    )


def refused(reason: str, by: str, now_ms: int) -> PolicyChange:
    """Return the change that a new version was refused."""
    change_id = codec.change_id("refused", reason, str(now_ms))
    return PolicyChange(change_id=change_id, what="refused", timestamp=now_ms, by=by, reason=reason)


def restored(demotion: PolicyChange, by: str, reason: str, now_ms: int) -> PolicyChange:
    """Return the change that takes a demotion back."""
    return PolicyChange(
        change_id=codec.change_id("restored", demotion.rule, str(now_ms)),
        what="restored",
        timestamp=now_ms,
        by=by,
        rule=demotion.rule,
        rule_hash=demotion.rule_hash,
        reason=reason,
    )
