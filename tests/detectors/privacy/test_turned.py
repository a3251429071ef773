"""Values spaced out, backwards, in rot13 and in base 85."""

import base64
import codecs
from collections.abc import Callable

import pytest

from detectors.privacy.finders import find_all
from detectors.privacy.redaction import Redactor
from detectors.privacy.tail import Tail
from tests.detectors.privacy.corpus import FRAMES

REDACTOR = Redactor(b"0123456789abcdef")
VALUES = (
    "ann.lee@example.com",
    "+44 20 7946 0958",
    "536-90-4399",
    "password: Qr7xdke39Z",
    "AKIAQ2W3E4R5T6Y7U8I9",
    "4111 1111 1111 1111",
)
SEPARATORS = (" ", "  ", ".", "-", "_", "/", "|", "*", "~", "\u00b7", "\n", "\t", ", ")


def rot13(value: str) -> str:
    return codecs.encode(value, "rot13")


def in_base85(encode: Callable[[bytes], bytes]) -> Callable[[str], str]:
    return lambda value: encode(value.encode()).decode()


TURNS: dict[str, Callable[[str], str]] = {
    "rot13": rot13,
    "backwards": lambda value: value[::-1],
    "ascii85": in_base85(base64.a85encode),
    "framed ascii85": lambda value: base64.a85encode(value.encode(), adobe=True).decode(),
    "base85": in_base85(base64.b85encode),
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("separator", SEPARATORS)
def test_letter_by_letter_hides_nothing(value: str, separator: str) -> None:
    shown = separator.join(value)
    text = f"please note {shown} thanks"
    (found,) = find_all(text)
    assert text[found.start : found.end] == shown
    assert found.kind in {each.kind for each in find_all(value)}


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize(
    "value", [VALUES[0], VALUES[4], "jane_roe@shop.example.org", "glpat-Zk7mQ2wX9pLd4RtB8sVn"]
)
def test_an_address_and_a_token_are_known_however_they_are_turned(turn: str, value: str) -> None:
    shown = TURNS[turn](value)
    text = f"please note {shown} thanks"
    found = find_all(text)
    assert found
    redacted = REDACTOR.redact(text, found)
    assert shown not in redacted
    assert redacted.startswith("please note [")
    assert redacted.endswith(" thanks")


@pytest.mark.parametrize(
    ("value", "turn", "announced"),
    [
        (VALUES[3], "rot13", "{} is it"),
        (VALUES[3], "backwards", "{} is it"),
        (VALUES[1], "rot13", "this is ROT13: {}"),
        (VALUES[5], "backwards", "my card, reversed: {}"),
        (VALUES[2], "backwards", "my SSN written backwards: {}"),
        ("token: Zk7mQ2wX9pLd4RtB", "rot13", "rot-13 of it is {}"),
    ],
)
def test_what_has_no_form_needs_a_word_that_says_so(value: str, turn: str, announced: str) -> None:
    text = announced.format(TURNS[turn](value))
    assert {each.kind for each in find_all(text)} & {each.kind for each in find_all(value)}


@pytest.mark.parametrize(
    "text",
    [
        "a b c d e f g h i j k l m n o p q r s t u v w x y z",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
        "0 1 0 1 1 0 1 0 0 1 1 1 0 1 0 1 1 0",
        "A, B, C, D, E, F, G, H, I, J, K, L, M",
        "| x | y | z | 1 | 2 | 3 | 4 | 5 | 6 |",
        "How do I reverse a list backwards in version 3.11.0.1? reversed([4111, 1111, 1111])",
        "rot13 is its own inverse: apply it twice and nothing has changed since v1.2.3.4",
        "com.example.service@host and de.example.app@v1.2",
        "r @ 3 . 5 % p . a . f o r a y e a r",
        "see https://example.org/?q=%20a+b;c=d&e#f(g)!h and C:\\Users\\x\\y;z=[1]",
        "s/[A-Z]{2,}/$1*(x+y)^2=%d;\\n/g && !defined($x->{y})",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert find_all(text) == []


def _hidden() -> list[str]:
    spaced = [separator.join(value) for value in VALUES for separator in (" ", ".", "-", "\u00b7", ", ")]
    return spaced + [turn(value) for turn in TURNS.values() for value in (VALUES[0], VALUES[4])]


@pytest.mark.parametrize("hidden", _hidden())
def test_a_stream_holds_back_what_is_not_whole_yet(hidden: str) -> None:
    before, after = FRAMES[len(hidden) % len(FRAMES)]
    text = f"{before}{hidden} {after}"
    whole = REDACTOR.redact(text, find_all(text), "conversation")
    for size in (1, 3, 40):
        tail = Tail(REDACTOR, "conversation")
        pieces = [tail.feed(text[place : place + size]) for place in range(0, len(text), size)]
        assert "".join([*pieces, tail.finish()]) == whole
        assert not tail.diverged
