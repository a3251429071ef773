"""Reading a policy: what is accepted, and the message for each thing that is wrong."""

import json

import pytest

from detectors.base import COUNT, SHARE, Range
from streams.policy import DEFAULT_POLICY
from streams.policy.conditions import comparisons
from streams.policy.file import PolicyError, parse
from tests.streams.policy.files import HEAD, METRICS, RULE, problems

LISTS = "`weir check TEXT` lists the metrics, docs/policy.md the fields"


RANGES = {"toxicity": SHARE, "injection": SHARE, "pii": COUNT, "similarity_x": Range(-1, 1)}


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("injection >= 90", "injection is between 0 and 1: >= 90 never holds; did you mean 0.9?"),
        ("injection >= 9", "injection is between 0 and 1: >= 9 never holds; did you mean 0.9?"),
        (
            "injection <= 90",
            "injection is between 0 and 1: <= 90 holds whatever the value is; did you mean 0.9?",
        ),
        ("toxicity < 0", "toxicity is between 0 and 1: < 0 never holds"),
        ("toxicity > 1", "toxicity is between 0 and 1: > 1 never holds"),
        ("toxicity > 0.9999999999", "toxicity is between 0 and 1: > 0.9999999999 never holds"),
        ("toxicity != 5", "toxicity is between 0 and 1: != 5 holds whatever the value is; did you mean 0.5?"),
        ("similarity_x > 1", "similarity_x is between -1 and 1: > 1 never holds"),
        ("pii == 1.5", "pii is 0 or more, a whole number: == 1.5 never holds"),
        ("pii > -1", "pii is 0 or more, a whole number: > -1 holds whatever the value is"),
        ("latency_ms < 0", "latency_ms is 0 or more: < 0 never holds"),
        ("cost == -2", "cost is 0 or more: == -2 never holds"),
    ],
)
def test_a_threshold_that_no_value_can_pass_is_refused(condition: str, message: str) -> None:
    rule = f"  - id: a\n    action: flag\n    when:\n      - kind == prompt\n      - any: ['{condition}']\n"
    with pytest.raises(PolicyError) as caught:
        parse(HEAD + rule, METRICS | {"similarity_x": "references"}, RANGES, source="p.yaml")
    assert str(caught.value) == f"p.yaml:8: {message}"


@pytest.mark.parametrize(
    "condition",
    ["injection >= 0", "injection <= 1", "injection == 1", "pii >= 3", "similarity_x >= -0.5", "mine > 90"],
)
def test_a_threshold_within_the_range_or_of_a_metric_without_one_is_taken(condition: str) -> None:
    rule = f"  - id: a\n    action: flag\n    when: ['{condition}']\n"
    metrics = METRICS | {"similarity_x": "references", "mine": "third_party"}
    assert parse(HEAD + rule, metrics, RANGES).rules


@pytest.mark.parametrize(
    ("conditions", "excluding"),
    [
        (["injection >= 0.9", "injection < 0.5"], "injection >= 0.9, injection < 0.5"),
        (["pii > 1", "toxicity > 0.1", "pii < 2"], "pii > 1.0, pii < 2.0"),
        (["kind == prompt", "kind == completion"], 'kind == "prompt", kind == "completion"'),
        (["kind != prompt", "kind != completion"], 'kind != "prompt", kind != "completion"'),
        (["app == a", "app in [b, c]"], 'app == "a", app in ["b", "c"]'),
        (["app not in [a]", 'app == ""'], 'app not in ["a"], app == ""'),
        (["cost > 2", "cost <= 2"], "cost > 2.0, cost <= 2.0"),
    ],
)
def test_conditions_that_exclude_each_other_are_refused(conditions: list[str], excluding: str) -> None:
    rule = f"  - id: a\n    action: flag\n    when: {json.dumps(conditions)}\n"
    with pytest.raises(PolicyError) as caught:
        parse(HEAD + rule, METRICS, RANGES, source="p.yaml")
    assert str(caught.value) == f"p.yaml:6: no event can meet all of these: {excluding}"


@pytest.mark.parametrize(
    "conditions",
    [["injection >= 0.5", "injection <= 0.5"], ["pii > 1", "pii < 3"], ["app != a", "app in [a, b]"],
     ["cost > 1", "cost > 2"], ["app == a", "model == b"]],
)  # fmt: skip
def test_conditions_that_leave_a_value_are_taken(conditions: list[str]) -> None:
    rule = f"  - id: a\n    action: flag\n    when: {json.dumps(conditions)}\n"
    assert parse(HEAD + rule, METRICS, RANGES).rules


def test_rules_whose_detectors_do_not_run_are_one_problem() -> None:
    text = DEFAULT_POLICY.read_text()
    with pytest.raises(PolicyError) as caught:
        parse(text, {"shouting": "shouting", "pii": "pii", "pii_strong": "pii"}, source="p.yaml")
    (line,) = str(caught.value).splitlines()
    assert "injection for injection-block, injection-flag" in line
    assert "references for known-attack-block, known-attack-flag, off-topic-shadow" in line
    assert "pii-redact" not in line
    assert "WEIR_DETECTORS=+NAME" in line


def test_a_full_rule() -> None:
    policy = parse(
        "version: 1.10\nname: off\nrules:\n"
        "  - id: a.b-c_1\n"
        "    description: 'Text: with a colon'\n"
        "    when:\n"
        "      - toxicity >= 0.9\n"
        "      - any:\n"
        "          - app in [no, yes]\n"
        "          - all: [kind == prompt, pii < 1e3]\n"
        "    action: escalate\n"
        "    severity: critical\n"
        "    mode: off\n"
        "    on_failure: closed\n"
        "    alert: false\n",
        METRICS,
    )
    (rule,) = policy.rules
    assert (policy.version, policy.name) == ("1.10", "off")
    assert [str(c) for c in rule.when] == [
        "toxicity >= 0.9",
        'any(app in ["no", "yes"]; all(kind == "prompt"; pii < 1000.0))',
    ]
    assert [c.name for c in comparisons(rule.when)] == ["toxicity", "app", "kind", "pii"]
    assert (rule.action, rule.severity, rule.mode) == ("escalate", "critical", "off")
    assert (rule.on_failure, rule.alert, rule.description) == ("closed", False, "Text: with a colon")


def test_the_defaults_of_a_rule() -> None:
    (rule,) = parse(HEAD + RULE, METRICS).rules
    assert (rule.severity, rule.mode, rule.on_failure, rule.alert) == ("medium", "enforce", "open", True)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (
            "toxicitty >= 0.9",
            f"there is no metric or event field 'toxicitty' (did you mean 'toxicity'?); {LISTS}",
        ),
        (
            "metadata. == x",
            f"there is no metric or event field 'metadata.' (did you mean 'metadata.<key>'?); {LISTS}",
        ),
        ("toxicity", "'toxicity' has no operator; allowed for toxicity: >= > <= < == !="),
        ("toxicity >=", "'toxicity >=' has no value after >="),
        (
            "toxicity = 0.9",
            "the operator '=' is not one for toxicity (did you mean '=='?); allowed: >= > <= < == !=",
        ),
        (
            "toxicity => 0.9",
            "the operator '=>' is not one for toxicity (did you mean '>='?); allowed: >= > <= < == !=",
        ),
        ("toxicity in [1]", "the operator 'in' is not one for toxicity; allowed: >= > <= < == !="),
        ("app > shop", "the operator '>' is not one for app; allowed: == != in not in"),
        (
            "app is shop",
            "the operator 'is' is not one for app (did you mean '=='?); allowed: == != in not in",
        ),
        ("toxicity >= high", "toxicity is compared with a number such as 0.9, not with 'high'"),
        ("toxicity >= 90%", "toxicity is compared with a number such as 0.9, not with '90%'"),
        ("toxicity >= nan", "toxicity is compared with a number such as 0.9, not with 'nan'"),
        ("cost > 1 000", "cost is compared with a number such as 0.9, not with '1 000'"),
        ("toxicity > 1e39", "1e39 is too large a number for toxicity"),
        ("cost > 1e999", "1e999 is too large a number for cost"),
        ("app == my shop", 'app == takes one word, or text in quotes ("b c"); got my shop'),
        ("app in shop", "'in' is followed by a list: app in [a, \"b c\"]; got shop"),
        ("app not  in []", "'not in' is followed by a list: app not in [a, \"b c\"]; got []"),
        ("kind == promt", "there is no kind 'promt' (did you mean 'prompt'?); allowed: prompt, completion"),
        ("kind in [prompt, x]", "there is no kind 'x'; allowed: prompt, completion"),
        (">= 0.9", "'>= 0.9' is not a condition; write it like: injection >= 0.9"),
        ("app == " + "x" * 1000, "a condition has at most 1000 characters, this one 1007"),
    ],
)
def test_condition_errors(condition: str, message: str) -> None:
    rule = (
        f"  - id: a\n    action: flag\n    when:\n      - pii > 1\n      - any:\n          - '{condition}'\n"
    )
    assert problems(HEAD + rule) == [f"p.yaml:9: {message}"]
