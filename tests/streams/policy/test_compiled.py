"""A policy that is compiled: what it refuses, its hash, and that it judges as its rules say."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.events import SEVERITIES, VERDICTS, Event
from streams.policy.conditions import AnyOf, Comparison, Condition
from streams.policy.contradictions import contradiction
from streams.policy.file import PolicyError, parse
from streams.policy.rules import Outcome, Rule
from tests.streams.policy.judging import METRICS, NAMES, event, policy, row


def test_metric_that_is_not_computed_is_refused() -> None:
    rules = policy(
        "id: a, when: [pii >= 1], action: flag", "id: b, when: [threat > 0], action: flag, mode: off"
    )
    with pytest.raises(ValueError, match="no loaded detector gives: pii"):
        rules.compile(("toxicity",))
    assert rules.compile(("injection", "pii")).columns["pii"] == 1


def test_hash_is_of_the_meaning() -> None:
    plain = policy("id: a, when: [pii >= 1], action: block")
    same = policy("action: block, id: a, when: [' pii>=1.0 '], alert: true, mode: enforce, description: ''")
    assert plain.sha256 == same.sha256
    assert plain.hash == plain.sha256[:12]
    others = ("id: a, when: [pii >= 2], action: block", "id: b, when: [pii >= 1], action: block",
              "id: a, when: [pii > 1], action: block", "id: a, when: [pii >= 1], action: block, mode: off",
              "id: a, when: [any: [pii >= 1]], action: block")  # fmt: skip
    assert len({plain.hash, *(policy(other).hash for other in others)}) == 6


# The reference: one event, one rule, one condition at a time.

SCORES = st.one_of(st.just(math.nan), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
WORDS = st.sampled_from(["", "a", "b", "c"])
EVENTS = st.builds(
    Event,
    event_id=st.just("e"),
    app=st.sampled_from(["a", "b", "c"]),
    kind=st.sampled_from(["prompt", "completion"]),
    text=st.just("x"),
    tenant=WORDS,
    cost=st.sampled_from([None, 0.0, 0.5, 1.0]),
    metadata=st.dictionaries(st.just("team"), WORDS),
)
THRESHOLDS = st.sampled_from([0.0, 0.25, 0.5, 1.0])
NUMBER_COMPARISONS = st.builds(
    "{} {} {}".format,
    st.sampled_from([*NAMES, "cost"]),
    st.sampled_from([">=", ">", "<=", "<", "==", "!="]),
    THRESHOLDS,
)
TEXT_COMPARISONS = st.one_of(
    st.builds(
        '{} {} "{}"'.format,
        st.sampled_from(["app", "tenant", "metadata.team"]),
        st.sampled_from(["==", "!="]),
        WORDS,
    ),
    st.builds(
        '{} {} ["{}", "{}"]'.format,
        st.sampled_from(["app", "tenant", "metadata.team"]),
        st.sampled_from(["in", "not in"]),
        WORDS,
        WORDS,
    ),
)
CONDITIONS: st.SearchStrategy[Any] = st.recursive(
    NUMBER_COMPARISONS | TEXT_COMPARISONS,
    lambda inner: st.builds(
        lambda key, parts: {key: parts},
        st.sampled_from(["any", "all"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=4,
)
RULES = st.fixed_dictionaries(
    {
        "when": st.lists(CONDITIONS, min_size=1, max_size=3),
        "action": st.sampled_from(["flag", "redact", "block", "escalate"]),
        "severity": st.sampled_from(["low", "medium", "high", "critical"]),
        "mode": st.sampled_from(["enforce", "shadow", "off"]),
        "on_failure": st.sampled_from(["open", "closed"]),
    }
)
OPERATIONS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "in": lambda a, b: a in b,
    "not in": lambda a, b: a not in b,
}


def plainly(
    condition: Condition, scores: dict[str, float], event: Event, failed: set[str], missing: bool
) -> bool:
    if not isinstance(condition, Comparison):
        some = any if isinstance(condition, AnyOf) else all
        return some(plainly(part, scores, event, failed, missing) for part in condition.parts)
    if condition.name in METRICS:
        if METRICS[condition.name] in failed:
            return missing
        value: Any = scores[condition.name]
    elif condition.name.startswith("metadata."):
        value = event.metadata.get("team", "")
    else:
        value = getattr(event, condition.name)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return False
    if value == "" and condition.operator in ("!=", "not in"):
        return False
    return bool(OPERATIONS[condition.operator](value, condition.value))


def judge_plainly(rule: Rule, scores: dict[str, float], event: Event, failed: set[str]) -> tuple[bool, bool]:
    """Return whether the rule hits, and whether by failure."""
    if all(plainly(condition, scores, event, failed, missing=False) for condition in rule.when):
        return True, False
    closed = rule.on_failure == "closed"
    by_failure = closed and all(plainly(c, scores, event, failed, missing=True) for c in rule.when)
    return by_failure, by_failure


@settings(max_examples=150)
@given(
    rules=st.lists(RULES, min_size=1, max_size=5),
    rows=st.lists(st.tuples(EVENTS, st.tuples(*[SCORES] * len(NAMES))), max_size=5),
    failed=st.sets(st.sampled_from(sorted(set(METRICS.values())))),
)
def test_equals_the_plain_evaluation(
    rules: list[dict[str, Any]], rows: list[tuple[Event, tuple[float, ...]]], failed: set[str]
) -> None:
    text = json.dumps(
        {"version": "1", "name": "p", "rules": [{"id": f"r{i}"} | rule for i, rule in enumerate(rules)]}
    )
    try:
        compiled = parse(text, METRICS).compile(NAMES)
    except PolicyError as refused:
        assume("never holds" not in str(refused))
        read = [Rule.model_validate({"id": "r"} | rule, context={"metrics": METRICS}) for rule in rules]
        dead = [rule for rule in read if contradiction(rule.when, {})]
        assert dead
        for event, scores in rows:
            named = dict(zip(NAMES, scores, strict=True))
            assert not any(judge_plainly(rule, named, event, set())[0] for rule in dead)
        return
    matrix = np.array([scores for _, scores in rows], np.float32).reshape(len(rows), len(NAMES))
    outcome = compiled.evaluate(matrix, [event for event, _ in rows], failed)
    for number, (event, scores) in enumerate(rows):
        named = dict(zip(NAMES, scores, strict=True))
        judged = [(rule, *judge_plainly(rule, named, event, failed)) for rule in compiled.rules]
        hits = outcome.rule_hits(number, matrix)
        assert [(h.rule, h.failed) for h in hits] == [
            (rule.id, failed) for rule, hit, failed in judged if hit
        ]
        enforced = [VERDICTS.index(h.action) for h in hits if h.mode == "enforce"]
        assert outcome.action[number] == max(enforced, default=0)
        assert outcome.verdict[number] == max((VERDICTS.index(h.action) for h in hits), default=0)
        assert outcome.severity[number] == max((SEVERITIES.index(h.severity) for h in hits), default=0)
        assert outcome.alert[number] == any(rule.alert for rule, hit, _ in judged if hit)
        for h in hits:
            assert (h.score is None) == (h.metric == "")
            assert h.metric == "" or h.score == named[h.metric]


class TestDegraded:
    """A score that rests on less than it should, under rules that are open and closed on that."""

    OPEN = "id: a, when: [kind == prompt, injection >= 0.9], action: redact, severity: high"
    CLOSED = OPEN + ", on_degraded: closed"

    @staticmethod
    def judge(rule: str, injection: float, *unsure: str, **fields: Any) -> Outcome:
        doubts = np.array([[name in unsure for name in NAMES]])
        return policy(rule).compile(NAMES).evaluate(row(injection=injection), [event(**fields)], (), doubts)

    def test_open_takes_the_score_as_it_is(self) -> None:
        assert not self.judge(self.OPEN, 0.2, "injection").hits.any()
        outcome = self.judge(self.OPEN, 0.95, "injection")
        assert outcome.hits.all()
        assert not outcome.failed.any()

    def test_closed_treats_it_as_a_failure(self) -> None:
        outcome = self.judge(self.CLOSED, 0.2, "injection")
        assert VERDICTS[outcome.action[0]] == "block", "nothing to redact by"
        (found,) = outcome.rule_hits(0, row(injection=0.2))
        assert (found.failed, found.metric, found.score) == (True, "", None)

    def test_closed_takes_a_score_that_is_against_it_anyway(self) -> None:
        (found,) = self.judge(self.CLOSED, 0.95, "injection").rule_hits(0, row(injection=0.95))
        assert (found.failed, found.action) == (False, "redact")

    def test_closed_asks_for_the_other_conditions_and_its_own_metrics(self) -> None:
        assert not self.judge(self.CLOSED, 0.2, "injection", kind="completion").hits.any()
        assert not self.judge(self.CLOSED, 0.2, "toxicity").hits.any()

    def test_it_is_no_matter_of_on_failure(self) -> None:
        assert not self.judge(self.OPEN + ", on_failure: closed", 0.2, "injection").hits.any()
        failed = policy(self.CLOSED).compile(NAMES).evaluate(row(), [event()], ["injection"])
        assert not failed.hits.any()
