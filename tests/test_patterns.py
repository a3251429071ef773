"""Patterns match alike on every Python that weir runs on.

Up to 3.11.4 `re` goes on at a wrong place once a group that is repeated possessively has failed half-way
(gh-106052). An atomic group around a plain repetition says the same and is right on all: `(?>(?:ab?c)*)`.
"""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from detectors.privacy.code import is_argument, is_chain

ROOT: Final = Path(__file__).parent.parent
_PARSER: Final[Any] = importlib.import_module("re._parser")
_SINGLE: Final = {"LITERAL", "NOT_LITERAL", "ANY", "IN"}


def possessive_groups(tree: Any) -> Iterator[str]:
    """Yield what is repeated possessively and is more than one character, as the parser shows it."""
    if isinstance(tree, _PARSER.SubPattern | list | tuple):
        for node in tree:
            if isinstance(node, tuple) and len(node) == 2 and str(node[0]) == "POSSESSIVE_REPEAT":
                body = node[1][2]
                if len(body) != 1 or str(body[0][0]) not in _SINGLE:
                    yield repr(body)
            yield from possessive_groups(node)


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("(?:ab?c)*+", 1), ("(?:ab)?+", 1), ("(ab){2,3}+", 1), ("x(?:(?:y|a++b)++|z)", 1),
        ("(?=(?:ab)++)", 1), ("(?<!(?:ab){2}+)c", 1), ("(?>(?:ab)*+)", 1), ("(?:(?:ab)*+c)*+", 2),
        ("(?(1)(?:ab)*+)", 1),
        ("a*+[bc]++.?+(?:d)*+[^e]{2,3}+", 0), ("(?>(?:ab)*)", 0), (r"\(?+\[*+", 0),
    ],
)  # fmt: skip
def test_a_possessive_group_is_seen(pattern: str, count: int) -> None:
    tree = _PARSER.parse(pattern if "(?(" not in pattern else f"(q){pattern}")
    assert len(list(possessive_groups(tree))) == count


def test_no_pattern_has_a_possessive_group() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.compiled"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = json.loads(run.stdout)
    assert {"schemas.rejection", "detectors.privacy.providers", "streams.local.statement"} <= {
        of for of, *_ in found
    }
    bad = [
        (module, group)
        for module, pattern, flags in found
        for group in possessive_groups(_PARSER.parse(pattern, flags))
    ]
    assert not bad, (
        "write (?>(?:...)*) for (?:...)*+: Python 3.11.2, which Debian 12 has, matches that wrongly"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a[!", False), ("[!.", False), ("a!.", False), ("a!.b", True), ("f(a(b", True), ("f(a(b)c).d", True),
        ("f(a)b", False), ("a.b.", False), ("a[b]?.", False), ("f(a?.b)!", False), ("a[b]!.c[d]", True),
    ],
)  # fmt: skip
def test_a_chain_ends_where_its_last_part_does(value: str, expected: bool) -> None:
    assert is_chain(value) is expected


@pytest.mark.parametrize(
    ("before", "expected"),
    [("h((", False), ("h(a, (", False), ("h('(", False), ("h(", True), ("h((a), ", True), ("h('(', ", True)],
)
def test_a_bracket_left_open_is_not_passed_over(before: str, expected: bool) -> None:
    assert is_argument(f"{before}password=x", len(before)) is expected
