"""The vectorised evaluation, against a plain one that looks at one event and one condition at a time."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from schemas.events import SEVERITIES, VERDICTS, RuleHit
from tests.streams.policy.judging import NAMES, event, hit, judge, policy, row


@pytest.mark.parametrize(
    ("condition", "score", "expected"),
    [
        ("injection >= 0.9", 0.9, True),
        ("injection > 0.9", 0.9, False),
        ("injection <= 0.9", 0.9, True),
        ("injection < 0.9", 0.89, True),
        ("injection == 0.25", 0.25, True),
        ("injection != 0.25", 0.25, False),
        ("injection != 0.25", 0.5, True),
        ("injection>=9e-1", 0.95, True),
        ("injection >= -1", 0.0, True),
        ("injection != 0.25", math.nan, False),
        ("injection < 0.9", math.nan, False),
        ("injection >= 0", math.nan, False),
    ],
)
def test_metric_conditions(condition: str, score: float, expected: bool) -> None:
    assert hit(policy(f"id: a, when: ['{condition}'], action: flag"), injection=score) is expected


@pytest.mark.parametrize(
    ("condition", "fields", "expected"),
    [
        ("app == shop", {}, True),
        ("app != shop", {}, False),
        ("app in [bank, shop]", {}, True),
        ('app in ["my shop", bank]', {"app": "my shop"}, True),
        ("app not in [bank]", {}, True),
        ("app == 'my  shop'", {"app": "my  shop"}, True),
        ("app == Shop", {}, False),
        ("kind == completion", {"kind": "completion"}, True),
        ("tenant == acme", {}, False),
        ("tenant != acme", {}, False),
        ("tenant not in [acme]", {}, False),
        ("tenant not in [acme]", {"tenant": "other"}, True),
        ('tenant == ""', {}, True),
        ('tenant in ["", acme]', {}, True),
        ('tenant != ""', {}, False),
        ('tenant != ""', {"tenant": "acme"}, True),
        ("prompt_version == 3", {"prompt_version": "3"}, True),
        ("metadata.team == red", {"metadata": {"team": "red"}}, True),
        ("metadata.team != red", {"metadata": {"team": "blue"}}, True),
        ("metadata.team != red", {}, False),
        ("metadata.team-a/b.c == red", {"metadata": {"team-a/b.c": "red"}}, True),
        ("cost > 0.5", {"cost": 0.51}, True),
        ("cost != 0.5", {}, False),
        ("prompt_tokens == 16777217", {"prompt_tokens": 16777217}, True),
        ("prompt_tokens == 16777217", {"prompt_tokens": 16777216}, False),
        ("latency_ms <= 10", {}, False),
    ],
)
def test_field_conditions(condition: str, fields: dict[str, Any], expected: bool) -> None:
    quoted = condition.replace("'", "''")
    assert hit(policy(f"id: a, when: ['{quoted}'], action: flag"), fields=fields) is expected


def test_any_and_all_nest() -> None:
    rule = policy(
        "id: a, action: flag, when: [kind==prompt, any: [threat >= 0.9, all: [toxicity >= 0.5, app == shop]]]"
    )
    assert hit(rule, threat=0.95)
    assert hit(rule, threat=0.1, toxicity=0.6)
    assert not hit(rule, threat=0.1, toxicity=0.6, fields={"app": "bank"})
    assert not hit(rule, threat=0.95, fields={"kind": "completion"})


def test_strongest_verdict_action_and_severity() -> None:
    rules = policy(
        "id: block, when: [toxicity >= 0.9], action: block, mode: shadow, severity: low",
        "id: escalate, when: [toxicity >= 0.8], action: escalate, severity: high",
        "id: redact, when: [toxicity >= 0.7], action: redact",
        "id: flag, when: [toxicity >= 0.6], action: flag, severity: low",
        "id: off, when: [toxicity >= 0], action: block, mode: off, severity: critical",
    )
    matrix = np.vstack([row(toxicity=score) for score in (0.95, 0.85, 0.75, 0.65, 0.1)])
    outcome = judge(rules, matrix, *[event()] * 5)
    assert [VERDICTS[code] for code in outcome.verdict] == ["block", "escalate", "redact", "flag", "allow"]
    assert [VERDICTS[code] for code in outcome.action] == ["escalate", "escalate", "redact", "flag", "allow"]
    assert [SEVERITIES[code] for code in outcome.severity] == ["high", "high", "medium", "low", "none"]
    assert outcome.alert.tolist() == [True, True, False, False, False]
    assert outcome.verdict.dtype == outcome.action.dtype == outcome.severity.dtype == np.int8
    assert [rule.id for rule in outcome.policy.rules] == ["block", "escalate", "redact", "flag"]
    assert [found.rule for found in outcome.rule_hits(1, matrix)] == ["escalate", "redact", "flag"]
    assert outcome.rule_hits(4, matrix) == ()


def test_rule_hit_names_the_metric_that_decided() -> None:
    rules = policy(
        "id: first, when: [app==shop, toxicity > 0.5, pii > 1], action: block, mode: shadow, severity: high",
        "id: branch, when: [any: [all: [injection >= 0.5, app == bank], pii >= 1]], action: redact",
        "id: field, when: [app == shop], action: flag",
    )
    matrix = row(toxicity=0.75, injection=0.5, pii=2)
    assert judge(rules, matrix).rule_hits(0, matrix) == (
        RuleHit(rule="first", action="block", severity="high", mode="shadow", metric="toxicity", score=0.75),
        RuleHit(rule="branch", action="redact", severity="medium", mode="enforce", metric="pii", score=2.0),
        RuleHit(rule="field", action="flag", severity="medium", mode="enforce"),
    )


class TestFailure:
    OPEN = "id: a, when: [kind == prompt, injection >= 0.9], action: block"
    CLOSED = OPEN + ", on_failure: closed"

    def test_open_does_not_hit(self) -> None:
        assert not hit(policy(self.OPEN), failed={"injection"})

    def test_scores_of_a_failed_detector_are_not_looked_at(self) -> None:
        assert not hit(policy(self.OPEN), failed={"injection"}, injection=1.0)
        found = judge(policy(self.CLOSED), row(injection=1.0), failed={"injection"}).rule_hits(
            0, row(injection=1)
        )
        assert (found[0].failed, found[0].metric, found[0].score) == (True, "", None)

    def test_closed_hits_where_the_other_conditions_hold(self) -> None:
        assert hit(policy(self.CLOSED), failed={"injection"})
        assert not hit(policy(self.CLOSED), failed={"injection"}, fields={"kind": "completion"})

    def test_closed_is_an_ordinary_rule_while_its_detector_works(self) -> None:
        assert not hit(policy(self.CLOSED), failed={"toxicity", "pii"}, injection=0.1)
        assert not hit(policy(self.CLOSED))

    def test_a_hit_by_its_own_scores_is_not_by_failure(self) -> None:
        rule = policy(
            "id: a, when: [any: [toxicity >= 0.9, injection >= 0.9]], action: flag, on_failure: closed"
        )
        matrix = np.vstack([row(toxicity=0.95), row(toxicity=0.1)])
        outcome = judge(rule, matrix, event(), event(), failed=["injection"])
        assert outcome.hits.tolist() == [[True], [True]]
        assert outcome.failed.tolist() == [[False], [True]]
        assert outcome.rule_hits(0, matrix)[0].metric == "toxicity"

    def test_redaction_that_is_closed_blocks(self) -> None:
        rule = policy("id: a, when: [pii >= 1], action: redact, on_failure: closed")
        outcome = judge(rule, row(), failed={"pii"})
        assert VERDICTS[outcome.action[0]] == "block"
        assert outcome.rule_hits(0, row())[0].action == "block"
        assert VERDICTS[judge(rule, row(pii=1)).action[0]] == "redact"


def test_alert_defaults_to_the_actions_that_stop_something() -> None:
    rules = [
        f"id: {action}, when: [pii >= 1], action: {action}"
        for action in ("flag", "redact", "block", "escalate")
    ]
    assert [rule.alert for rule in policy(*rules).rules] == [False, False, True, True]
    changed = policy(rules[0] + ", alert: true", rules[2] + ", alert: false")
    assert [rule.alert for rule in changed.rules] == [True, False]


def test_a_policy_of_off_rules_allows() -> None:
    outcome = judge(policy("id: a, when: [toxicity >= 0], action: block, mode: off"), row(toxicity=1))
    assert (outcome.verdict[0], outcome.severity[0], outcome.hits.shape) == (0, 0, (1, 0))


def test_an_empty_batch() -> None:
    compiled = policy("id: a, when: [app == shop, toxicity > 0], action: block, on_failure: closed").compile(
        NAMES
    )
    outcome = compiled.evaluate(np.empty((0, len(NAMES)), np.float32), [], {"toxicity"})
    assert outcome.verdict.shape == outcome.action.shape == (0,)


def test_only_the_fields_that_a_rule_needs_are_read() -> None:
    needy: Any = SimpleNamespace(app="shop")
    rules = policy(
        "id: a, when: [app == shop], action: flag", "id: b, when: [cost > 1], action: flag, mode: off"
    )
    assert judge(rules, row(), needy).hits.tolist() == [[True]]


def test_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a matrix of 2 x 4"):
        judge(policy("id: a, when: [toxicity > 0], action: flag"), row(), event(), event())
