"""The vectorised evaluation, against a plain one that looks at one event and one condition at a time."""

import json
import math
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.events import SEVERITIES, VERDICTS, Event, RuleHit
from streams.policy.conditions import AnyOf, Comparison, Condition
from streams.policy.contradictions import contradiction
from streams.policy.file import PolicyError, parse
from streams.policy.rule import Rule
from streams.policy.rules import FloatMatrix, Outcome, Policy

METRICS = {"toxicity": "toxicity", "threat": "toxicity", "injection": "injection", "pii": "pii"}
NAMES = tuple(METRICS)


def policy(*rules: str) -> Policy:
    return parse(
        "version: '1'\nname: test\nrules:\n" + "".join(f"  - {{{rule}}}\n" for rule in rules), METRICS
    )


def event(**fields: Any) -> Event:
    return Event(**{"event_id": "e", "app": "shop", "kind": "prompt", "text": "hello"} | fields)


def row(**scores: float) -> FloatMatrix:
    return np.array([[scores.get(name, math.nan) for name in NAMES]], np.float32)


def judge(policy: Policy, matrix: FloatMatrix, *events: Event, failed: Collection[str] = ()) -> Outcome:
    return policy.compile(NAMES).evaluate(matrix, events or (event(),), failed)


def hit(
    policy: Policy, *, failed: Collection[str] = (), fields: dict[str, Any] | None = None, **scores: float
) -> bool:
    return bool(judge(policy, row(**scores), event(**(fields or {})), failed=failed).hits[0, 0])


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


def test_metric_that_is_not_computed_is_refused() -> None:
    rules = policy(
        "id: a, when: [pii >= 1], action: flag", "id: b, when: [threat > 0], action: flag, mode: off"
    )
    with pytest.raises(ValueError, match="no loaded detector gives: pii"):
        rules.compile(("toxicity",))
    assert rules.compile(("injection", "pii")).columns["pii"] == 1


def test_the_hash_of_a_policy_stays_what_it_was() -> None:
    """Decisions of earlier versions carry it: a new key of a rule changes nothing where it is not used."""
    assert policy("id: a, when: [pii >= 1], action: block").hash == "f22469d1466f"


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
    },
    optional={"unless": st.lists(CONDITIONS, min_size=1, max_size=2)},
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

    def hits(*, against: bool) -> bool:
        excepted = any(plainly(c, scores, event, failed, missing=not against) for c in rule.unless)
        return not excepted and all(plainly(c, scores, event, failed, missing=against) for c in rule.when)

    if hits(against=False):
        return True, False
    by_failure = rule.on_failure == "closed" and hits(against=True)
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
        dead = [rule for rule in read if contradiction(rule.when, {}, rule.unless)]
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


class TestUnless:
    """An exception takes an event out of a rule where it holds, and needs a value for that."""

    RULE = "id: a, when: [toxicity >= 0.5], unless: [injection < 0.2, app == game], action: redact"

    @pytest.mark.parametrize(
        ("fields", "scores", "expected"),
        [
            ({}, {"injection": 0.9}, True),
            ({}, {"injection": 0.1}, False),
            ({}, {}, True),
            ({"app": "game"}, {"injection": 0.9}, False),
            ({"app": "game"}, {}, False),
        ],
    )
    def test_it_holds_only_where_there_is_a_value(
        self, fields: dict[str, Any], scores: dict[str, float], expected: bool
    ) -> None:
        outcome = judge(policy(self.RULE), row(toxicity=0.9, **scores), event(**fields))
        assert outcome.hits.all() == expected

    def test_a_failed_detector_counts_for_the_event_where_open_and_against_it_where_closed(self) -> None:
        assert not hit(policy(self.RULE), failed={"injection"}, toxicity=0.9, injection=0.9)
        closed = policy(self.RULE + ", on_failure: closed")
        outcome = judge(closed, row(toxicity=0.9, injection=0.1), failed={"injection"})
        (found,) = outcome.rule_hits(0, row(toxicity=0.9, injection=0.1))
        assert (found.failed, found.action) == (True, "block")
        assert not hit(closed, failed={"injection"}, toxicity=0.1)
        assert not hit(closed, failed={"injection"}, toxicity=0.9, fields={"app": "game"})

    def test_a_doubted_score_excepts_nothing_from_a_rule_that_is_closed_on_it(self) -> None:
        scores = row(toxicity=0.9, injection=0.1)
        doubts = np.array([[name == "injection" for name in NAMES]])
        for key, expected in (("open", False), ("closed", True)):
            compiled = policy(f"{self.RULE}, on_degraded: {key}").compile(NAMES)
            assert compiled.evaluate(scores, [event()], (), doubts).hits.all() == expected

    def test_its_metric_is_needed_and_it_is_part_of_the_hash(self) -> None:
        with pytest.raises(ValueError, match="no loaded detector gives: injection"):
            policy(self.RULE).compile(("toxicity",))
        assert policy(self.RULE).hash != policy(self.RULE.replace("game", "quiz")).hash


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
