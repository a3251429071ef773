"""Reading a policy: what is accepted, and the message for each thing that is wrong."""

import json
import re
import time
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.base import COUNT, SHARE, Range
from schemas.events import Action
from streams.policy import DEFAULT_POLICY
from streams.policy.conditions import comparisons
from streams.policy.file import PolicyError, load, parse
from streams.policy.yaml_subset import MAX_BYTES

METRICS = {"toxicity": "toxicity", "injection": "injection", "pii": "pii"}
HEAD = "version: '1'\nname: test\nrules:\n"
RULE = "  - id: a\n    when: [toxicity >= 0.9]\n    action: block\n"
LISTS = "`weir check TEXT` lists the metrics, docs/policy.md the fields"
CONDITION = "a condition is text such as: injection >= 0.9, or a list under any: or all:"


def problems(data: bytes | str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        parse(data, METRICS, source="p.yaml")
    return str(caught.value).splitlines()


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


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (
            "unless: [toxicity >= 0.5]",
            "no event can meet all of these: toxicity >= 0.9, unless toxicity >= 0.5",
        ),
        ("unless: []", "'unless' must have at least one entry, not an empty list"),
        ("unless: [app = shop]", "the operator '=' is not one for app"),
        ("unless: app == shop", "'unless' must be a list, not 'app == shop'"),
    ],
)
def test_a_mistake_in_an_exception_is_told(key: str, expected: str) -> None:
    text = f"{HEAD}  - {{id: a, when: [toxicity >= 0.9], action: flag, {key}}}\n"
    with pytest.raises(PolicyError) as caught:
        parse(text, METRICS)
    (line,) = str(caught.value).splitlines()
    assert expected in line


def test_an_exception_that_leaves_something_is_taken() -> None:
    text = f"{HEAD}  - {{id: a, when: [toxicity >= 0.5], unless: [toxicity > 0.9, app == b], action: flag}}\n"
    (rule,) = parse(text, METRICS).rules
    assert [str(each) for each in rule.unless] == ["toxicity > 0.9", 'app == "b"']


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["p.yaml:1: the file is empty: a policy needs version, name and rules"]),
        ("# nothing\n", ["p.yaml:1: the file is empty: a policy needs version, name and rules"]),
        ("- a\n", ["p.yaml:1: the policy must be a mapping of keys to values, not a list"]),
        (
            "version: ''\nrulez: 1\n",
            [
                "p.yaml:1: 'name' is missing",
                "p.yaml:1: 'rules' is missing",
                "p.yaml:1: 'version' is empty",
                "p.yaml:2: unknown key 'rulez' (did you mean 'rules'?); allowed: version, name, rules",
            ],
        ),
        (
            f"version: '1'\nname: {'n' * 65}\nrules:\n{RULE}",
            ["p.yaml:2: 'name' is longer than 64 characters"],
        ),
        (
            "version: '1'\nname: a\nrules: []\n",
            ["p.yaml:3: 'rules' must have at least one entry, not an empty list"],
        ),
        (
            HEAD + RULE + "  - id: b\n    when: []\n    acton: block\n",
            [
                "p.yaml:7: 'action' is missing",
                "p.yaml:8: 'when' must have at least one entry, not an empty list",
                "p.yaml:9: unknown key 'acton' (did you mean 'action'?); allowed: id, description, when,"
                " unless, thresholds, action, severity, mode, on_failure, on_degraded, alert, alert_below,"
                " demote_below, min_reviews",
            ],
        ),
        (
            HEAD + RULE + "    mode: shadw\n    severity:\n    alert: yes\n    on_failure: [open]\n",
            [
                "p.yaml:7: 'mode' cannot be 'shadw' (did you mean 'shadow'?); allowed: enforce, shadow, off",
                "p.yaml:8: 'severity' has no value",
                "p.yaml:9: 'alert' must be true or false, not 'yes'",
                "p.yaml:10: 'on_failure' cannot be ['open'] (did you mean 'open'?); allowed: open, closed",
            ],
        ),
        (
            HEAD + RULE.replace("block", "blok"),
            [
                "p.yaml:6: 'action' cannot be 'blok' (did you mean 'block'?); allowed: "
                + ", ".join(get_args(Action)),
            ],
        ),
        (HEAD + RULE + RULE, ["p.yaml:7: the rule id 'a' stands twice (first in line 4)"]),
        (HEAD + RULE + "    id: b\n", ["p.yaml:7: the key 'id' stands twice (first in line 4)"]),
        (
            HEAD + RULE.replace("id: a", "id: A b"),
            [
                "p.yaml:4: 'id' must be of a-z, 0-9, '.', '_' and '-', and begin with a letter or digit,"
                " not 'A b'"
            ],
        ),
        (
            HEAD + "  - toxicity\n" + RULE,
            ["p.yaml:4: an entry of 'rules' must be a mapping of keys to values, not 'toxicity'"],
        ),
        (
            HEAD + "  - {id: a, when: toxicity > 1, action: flag}\n",
            ["p.yaml:4: 'when' must be a list, not 'toxicity > 1'"],
        ),
        (
            HEAD + "  - {id: a, when: [{any: [], all: []}, {}, [x], app: x, {any: x}], action: flag}\n",
            [
                "p.yaml:4: 'any' must be a list, not 'x'",
                "p.yaml:4: 'any' must have at least one entry, not an empty list",
                f"p.yaml:4: {CONDITION}",
                "p.yaml:4: unknown key 'all'; allowed: any",
                f"p.yaml:4: unknown key 'app'; {CONDITION}"
                " (a condition that contains ': ' must stand in quotes)",
            ],
        ),
        (
            'version: "\\uD800"\n' + (HEAD + RULE)[13:],
            ["p.yaml:1: half of a surrogate pair: write the character itself"],
        ),
    ],
)
def test_content_errors(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("a: [1, 2\nb: 3\n", "p.yaml:2: not YAML: expected ',' or ']', but got ':'"),
        ("rules:\n\t- a\n", "p.yaml:2: not YAML: a tab: YAML is indented with blanks"),
        (
            "a: b: c\n",
            "p.yaml:1: not YAML: a ':' that does not belong here: put text with ': ' in quotes,"
            " check the indentation",
        ),
        ("a: 1\n---\nb: 2\n", "p.yaml:2: a second document: a policy is one document"),
        ("a: &x 1\nb: *x\n", "p.yaml:2: the alias *x is not allowed in a policy: write the value out"),
        ("a: 1\nb: !!python/name:a.b x\n", "p.yaml:2: the tag !!python/name:a.b is not allowed in a policy"),
        ("a: !secret x\n", "p.yaml:1: the tag !secret is not allowed in a policy"),
        ("? [a]\n: b\n", "p.yaml:1: a key must be a word"),
        ("a: " + "[" * 100, "p.yaml:1: nested more than 20 levels deep"),
        ("a: 1\nb: \x07\n", "p.yaml:2: the character U+0007 is not allowed in YAML"),
        (b"a: 1\nb: \xff\n", "p.yaml:2: not UTF-8 text: save the file as UTF-8"),
        ("a" * (MAX_BYTES + 1), "p.yaml: the file is larger than 256 KiB, the most a policy may have"),
    ],
)  # fmt: skip
def test_not_readable_as_yaml(data: bytes | str, expected: str) -> None:
    assert problems(data) == [expected]


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 15))
    assert problems("a0: &a0 x\n" + levels) == [
        "p.yaml:2: the alias *a0 is not allowed in a policy: write the value out"
    ]


def test_a_file_of_nothing_but_mistakes_is_told_in_a_page() -> None:
    started = time.thread_time()
    lines = problems("version: '1'\nrules: {" + "a,\n " * 5000 + "}")
    assert len(lines) == 51
    assert lines[-1].startswith("p.yaml: and ")
    assert time.thread_time() - started < 20


def test_every_problem_is_one_line() -> None:
    assert problems(HEAD + RULE + '    "a\\nb": 1\n')[0].startswith("p.yaml:7: unknown key 'a b'")


def test_a_byte_order_mark_and_windows_line_ends() -> None:
    assert parse(b"\xef\xbb\xbf" + (HEAD + RULE).replace("\n", "\r\n").encode(), METRICS).name == "test"


def test_load_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(HEAD + RULE)
    assert load(path, METRICS).sha256 == parse(HEAD + RULE, METRICS).sha256
    path.write_text(HEAD)
    with pytest.raises(PolicyError) as caught:
        load(str(path), METRICS)
    assert str(caught.value) == f"{path}:3: 'rules' has no value"


@pytest.mark.parametrize(("name", "reason"), [("none", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(PolicyError, match=f"the policy cannot be read: {reason}"):
        load(tmp_path / name, METRICS)
    with pytest.raises(PolicyError, match="cannot be read: embedded null byte"):
        load("a\0b", METRICS)


PIECES = st.sampled_from(
    [
        *("version: ", "name: ", "rules:", "  - ", "id: a", "when:", "action: flag", "any: ", "all: "),
        *("unless: ", "unless: [app == shop]\n    "),
        *("toxicity >= 0.9", "app in ", "metadata.", "not", "==", "true", "0.5", ",", "kind == prompt"),
        *("[", "]", "{", "}", "\n", "\n    ", "\t", ": ", "- ", "'", '"', "&a ", "*a", "!t ", "#"),
        *("---", "%", "?", "\0", "\x85", "\ud800", "\\ud800"),
    ]
)


@settings(max_examples=300)
@given(
    st.lists(PIECES, max_size=30).map("".join) | st.text() | st.binary().map(lambda b: b.decode("latin-1"))
)
def test_any_text_is_a_policy_or_a_policy_error(text: str) -> None:
    for data in (text, HEAD + RULE + text, HEAD + text):
        try:
            parse(data, METRICS)
        except PolicyError as error:
            told = str(error)
        else:
            continue
        assert all(re.match(r"policy:\d+: \S", line) for line in told.split("\n"))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_policy_is_a_policy_or_a_policy_error(data: st.DataObject) -> None:
    text = DEFAULT_POLICY.read_text("utf-8")
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(begin, min(len(text), begin + 40)))
        text = text[:begin] + data.draw(PIECES | st.just(text[begin:end] * 2)) + text[end:]
    told = []
    try:
        parse(text, METRICS)
    except PolicyError as error:
        told = str(error).split("\n")
    assert all(re.match(r"policy:\d+: \S", line) for line in told)
