import json
import re
from functools import reduce
from typing import SupportsIndex

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.errors import DetectorError
from detectors.limits import SCAN_LIMIT
from detectors.privacy import redaction
from detectors.privacy.finders import find_all
from detectors.privacy.findings import PLACEHOLDER, Finding
from detectors.privacy.json_numbers import JsonNumbers
from detectors.privacy.redaction import MARGIN, Redactor

REDACTOR = Redactor(b"0123456789abcdef")
VALUES = (
    "jane@example.com",
    "4111 1111 1111 1111",
    "+44 20 7946 0958",
    "536-90-4399",
    "DE89370400440532013000",
    "8.8.8.8",
    "password = hunter2x",
    "postgres://user:pa55@db.example.com",
    "Bearer a1B2c3D4e5F6g7H8i9J0",
    "-----BEGIN PRIVATE KEY-----\nabc",
    "[EMAIL_0a1b2c]",
    "call 123 4567",
)
pieces = (
    st.sampled_from(VALUES)
    | st.text(st.characters(codec=None), max_size=8)
    | st.sampled_from(" ,\n[]_@:.-1a")
)
texts = st.lists(pieces, max_size=10).map("".join)


def redact(text: str, salt: str = "") -> str:
    return REDACTOR.redact(text, find_all(text), salt)


def test_a_placeholder_says_what_was_there() -> None:
    text = redact("Mail jane@example.com, pwd=hunter2x!")
    assert re.fullmatch(r"Mail \[EMAIL_[0-9a-f]{6}\], pwd=\[PASSWORD_[0-9a-f]{6}\]", text)


def test_text_without_findings_stays() -> None:
    assert redact("Nothing here \ud800 é") == "Nothing here \ud800 é"


def test_only_given_findings_need_to_be_found_by_us() -> None:
    assert re.fullmatch(
        r"I am \[PERSON_[0-9a-f]{6}\]\.", REDACTOR.redact("I am Jane.", [Finding("PERSON", 5, 9)])
    )


def test_overlapping_findings_leave_nothing_uncovered() -> None:
    text = REDACTOR.redact("abcdefgh", [Finding("A", 1, 4), Finding("B", 3, 7)])
    assert re.fullmatch(r"a\[A_[0-9a-f]{6}\]h", text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("jane@example.com", "JANE@Example.com"),
        ("4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("4111111111111111", "\uff14111111111111111"),
        ("DE89 3704 0044 0532 0130 00", "de89370400440532013000"),
        ("+44 20 7946 0958", "+44 (0)20 7946-0958".replace("(0)", "")),
    ],
)
def test_one_value_has_one_placeholder_however_written(one: str, other: str) -> None:
    assert redact(one) == redact(other)


def test_passwords_that_differ_in_case_differ() -> None:
    assert redact("pwd=hunter2x") != redact("pwd=Hunter2x")


def test_the_placeholder_depends_on_value_conversation_and_key() -> None:
    text = "jane@example.com"
    variants = {
        redact(text, "conversation 1"),
        redact(text, "conversation 2"),
        redact("june@example.com", "conversation 1"),
        Redactor(b"another key 1234").redact(text, find_all(text), "conversation 1"),
    }
    assert len(variants) == 4
    assert redact(text, "conversation 1") in variants
    assert len(redact(f"{text} and {text}").split(" and ")[0]) == len(redact(text))
    assert len(set(redact(f"{text} and {text}").split(" and "))) == 1


@pytest.mark.parametrize("size", [0, 15])
def test_a_short_key_is_refused(size: int) -> None:
    with pytest.raises(DetectorError, match=f"the redaction key has {size} bytes: give it at least 16"):
        Redactor(b"k" * size)


def test_a_key_may_be_long() -> None:
    address = [Finding("EMAIL", 0, 6)]
    one, other = (Redactor(b"k" * size).redact("a@b.co", address) for size in (500, 501))
    assert one != other


@settings(max_examples=300)
@given(texts, st.text(st.characters(codec=None), max_size=5))
@example("-----BEGIN PRIVATE KEY-----[EMAIL_0a1b2c]x", "")
@example("call [TRUNCATED 1234567 characters] now", "")
@example("5361-904-43998.8.8.8jane@example.com4111111111111111", "\ud800")
def test_redacting_again_changes_nothing(text: str, salt: str) -> None:
    once = redact(text, salt)
    assert find_all(once) == []
    assert redact(once, salt) == once


@given(st.lists(st.text("xyz é\n", max_size=10), min_size=2, max_size=2), st.sampled_from(VALUES[:9]))
def test_no_value_survives(around: list[str], value: str) -> None:
    before, after = around
    secret = (
        value.removeprefix("password = ").removeprefix("postgres://").removeprefix("Bearer ").split("@db.")[0]
    )
    assert secret not in redact(f"{before} {value} {after}")


def test_a_placeholder_is_opaque_but_shields_nothing() -> None:
    text = "[EMAIL_0a1b2c]jane@example.com[EMAIL_0a1b2c]"
    assert redact(text).startswith("[EMAIL_0a1b2c][EMAIL_")
    assert "jane" not in redact(text)
    assert "1111" not in redact("[EMAIL_4111111111111111]")


def test_the_tail_that_was_not_searched_is_cut() -> None:
    tail = "jane@example.com " * 100
    text = "x" * SCAN_LIMIT + tail
    result = redact(text)
    kept = SCAN_LIMIT - MARGIN
    assert result == "x" * kept + f"[TRUNCATED {len(text) - kept} characters]"
    assert redact(result) == result


@pytest.mark.parametrize("offset", [2, 5, 10, 600])
def test_a_value_at_the_cut_is_not_kept_in_part(offset: int) -> None:
    value = "4111 1111 1111 1111"
    start = SCAN_LIMIT - MARGIN - offset
    text = "x " * (start // 2) + value + " x" * 2000
    result = redact(text)
    assert "4111" not in result
    assert len(result) <= SCAN_LIMIT
    assert re.search(r"\[CREDIT_CARD_[0-9a-f]{6}\].*\[TRUNCATED \d+ characters\]$", result)


def test_a_text_that_grows_beyond_the_limit_stays_within_it() -> None:
    result = redact("a@b.co " * (SCAN_LIMIT // 7))
    assert len(result) <= SCAN_LIMIT
    assert "a@b.co" not in result
    assert redact(result) == result


def test_a_text_that_keeps_uncovering_values_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "find_all", lambda text, finders: [Finding("EMAIL", 0, 1)])
    assert REDACTOR.redact("abc", [Finding("EMAIL", 0, 1)]) == "[WITHHELD 3 characters]"
    assert PLACEHOLDER.fullmatch("[WITHHELD 3 characters]")


def test_findings_of_both_kinds_are_merged() -> None:
    text = "postgres://user:pa55@db.example.com and a@b.co"
    assert [(f.kind, text[f.start : f.end]) for f in find_all(text)] == [
        ("CONNECTION_STRING", "user:pa55"),
        ("EMAIL", "a@b.co"),
    ]


documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.sampled_from([4111111111111111, 12025550142, 536904399, -4111111111111111, 0.5309136012499991])
    | st.sampled_from(VALUES)
    | st.sampled_from(
        [
            'the password is "Summer*2024" ok',
            "pwd=a\\b1234\nnext",
            'mysql -pZima2024" x',
            "password=\\u0041bc2024x",
            "ann\njane@example.com\tDE89370400440532013000",
            "C:\\u0040 ann%40example.com",
        ]
    )
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["phone", "card", "ssn", "password", "api_key", "n"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


deep = st.builds(
    lambda leaf, keys: reduce(lambda inner, key: {key: inner} if key else [inner], keys, leaf),
    documents,
    st.lists(st.sampled_from(["", "", "card", "n", "a\\\\"]), max_size=24),
)


@given(deep, st.sampled_from([None, 2, 4, "\t"]), st.booleans())
def test_json_stays_json(document: object, indent: int | str | None, ascii_only: bool) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    if isinstance(document, dict | list):
        json.loads(redact(text))
        assert all(
            json.loads(line) is not None for line in redact(f"{json.dumps(document)}\n" * 2).splitlines()
        )
    nested = json.dumps({"arguments": text})
    json.loads(redact(nested))


CARD = 4111111111111111


@pytest.mark.parametrize("indent", [None, 1, 4, 300, "\t"])
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "document", [[[[[CARD]]], CARD, -CARD], {"a": {"b": [1, {"card": CARD}]}}, {"a\\": CARD}]
)
def test_a_number_in_json_becomes_a_string(document: object, depth: int, indent: int | str | None) -> None:
    text = json.dumps(document, indent=indent)
    for _ in range(depth):
        text = json.dumps(text)
    redacted = redact(text)
    for _ in range(depth):
        redacted = json.loads(redacted)
    assert str(CARD) not in redacted
    inner = re.sub(r"-?\d{16}", '"[card]"', json.dumps(document))
    assert json.loads(re.sub(r"\[CREDIT_CARD_\w{6}\]", "[card]", redacted)) == json.loads(inner)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "", " ", "\n\x1e"])
def test_several_documents_in_one_text_stay_json(end: str) -> None:
    lines = [[CARD, 1], {"cards": [CARD]}, "4111111111111111", [[], {}], [float("nan"), CARD]]
    text = redact(end + "".join(json.dumps(line) + end for line in lines))
    assert text.count('"[CREDIT_CARD_') == 4
    position = 0
    for line in lines:
        position = re.compile(r"[\s\x1e]*").match(text, position).end()  # type: ignore[union-attr]
        found, position = json.JSONDecoder().raw_decode(text, position)
        assert type(found) is type(line)


def test_lists_in_prose_are_no_json() -> None:
    text = redact(f"[1] See cards [{CARD}, 5]")
    assert re.fullmatch(r"\[1\] See cards \[\[CREDIT_CARD_\w{6}\], 5\]", text)


class Counted(str):
    """A text that counts how often one of its characters is looked at by itself."""

    looks = 0

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        self.looks += isinstance(key, int)
        return super().__getitem__(key)


@pytest.mark.parametrize(
    "hostile",
    ["[1" + " " * 20_000 + ",", "[1" + "\\n" * 10_000 + ",", "[1" + "\\" * 20_000 + '":', "9.9.9.9-" * 2_500],
)
def test_numbers_are_found_in_linear_time(hostile: str) -> None:
    text = Counted(hostile + f"{CARD}, " * 500)
    numbers = JsonNumbers(text)
    for match in re.finditer(r"\d+(?:\.\d+){3}|\d{16}", text):
        numbers.of(Finding("CREDIT_CARD", *match.span()))
    assert text.looks < 8 * len(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"phone": 12025550142, "ok": true}', r'\{"phone": "\[PHONE_\w{6}\]", "ok": true\}'),
        ('Here: {"card":4111111111111111}.', r'Here: \{"card":"\[CREDIT_CARD_\w{6}\]"\}\.'),
        ("[4111111111111111, 5]", r'\["\[CREDIT_CARD_\w{6}\]", 5\]'),
        ("cards 4111111111111111, 5", r"cards \[CREDIT_CARD_\w{6}\], 5"),
        ('{"card": -4111111111111111}', r'\{"card": "\[CREDIT_CARD_\w{6}\]"\}'),
    ],
)
def test_a_bare_number_in_json_becomes_a_string(text: str, expected: str) -> None:
    assert re.fullmatch(expected, redact(text))
