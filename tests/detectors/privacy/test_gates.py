"""What is not looked for is not there: gates say so of every string and shape, whatever else a text has."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.privacy.gates import BLANK, Gates, around, matches_at, places
from detectors.privacy.labels import ENGLISH, PASSWORDS

STRINGS = sorted(PASSWORDS | ENGLISH)
GATES = Gates.of_strings(STRINGS)


@given(st.lists(st.sampled_from([*STRINGS, " ", "\ud800", "\n", "密", "p", "ass"]), max_size=12))
def test_every_string_of_a_text_is_told_and_no_other(parts: list[str]) -> None:
    text = "".join(parts)
    assert GATES.open(text) == {string for string in STRINGS if string in text}


def test_a_text_of_all_strings_opens_all_gates() -> None:
    chance, texts = random.Random(1), []
    for _ in range(50):
        texts.append(" ".join(chance.sample(STRINGS, len(STRINGS))))
    assert all(GATES.open(text) == frozenset(STRINGS) for text in texts)


@pytest.mark.parametrize("blank", " \t\n\r\v\f\x1c\x85\xa0\u2028\u3000")
def test_what_is_a_blank_opens_the_gate_of_one(blank: str) -> None:
    assert Gates({"spaced": f"a{BLANK}{{1,3}}b"}).open(f"xa{blank}b") == {"spaced"}
    assert Gates({"spaced": f"a{BLANK}{{1,3}}b"}).open("xab") == frozenset()


@given(st.text("ab -c", max_size=40))
def test_matches_are_those_of_a_search(text: str) -> None:
    pattern = re.compile(r"(?<!c)(?:ab|b)[ab]*-?")
    found = [match.span() for match in matches_at(pattern, text, text, ("ab", "b"))]
    assert found == [match.span() for match in pattern.finditer(text)]


def test_parts_around_places_are_joined_where_they_meet() -> None:
    assert places("ab..b", ("b", "ab")) == [0, 1, 4]
    assert list(around([0, 5, 40], 3, 6)) == [(0, 11), (37, 46)]
    assert list(around([], 3, 6)) == []
