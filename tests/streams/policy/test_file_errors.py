"""What is said of a policy file that cannot be used, with the line."""

import re
import time
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Action
from streams.policy import DEFAULT_POLICY
from streams.policy.file import PolicyError, load, parse
from streams.policy.yaml_subset import MAX_BYTES
from tests.streams.policy.files import HEAD, METRICS, RULE, problems

CONDITION = "a condition is text such as: injection >= 0.9, or a list under any: or all:"


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
                " action, severity, mode, on_failure, on_degraded, alert",
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
    started = time.monotonic()
    lines = problems("version: '1'\nrules: {" + "a,\n " * 5000 + "}")
    assert len(lines) == 51
    assert lines[-1].startswith("p.yaml: and ")
    assert time.monotonic() - started < 20


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
