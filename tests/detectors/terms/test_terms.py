"""Words, phrases and patterns of sets, found whole in every script and in disguise."""

import base64
import sys
import unicodedata

import pytest

from detectors.batch import Batch
from detectors.deobfuscation.characters import members
from detectors.terms import TermsDetector, TermSet, TermSetError
from detectors.terms.spelling import _ALL_MARKS
from schemas.events import Event, ToolCall
from tests.models import MODELS

SETS = {
    "words": TermSet(
        (
            *(
                "ban",
                "Drop Table",
                "C++",
                "$AAPL",
                "don't panic",
                "año",
                "кот",
                "Straße",
                "blue fin",
                "password",
            ),
            *("密码", "パスワード", "エロ", "รหัส", "전화", "می\u200cخواهم", "\N{AUBERGINE}", "नमक", "שלום"),
        )
    ),
    "numbers": TermSet((), (r"\bX-\d{3}\b", r"project\s+\w+fin\b")),
}
DETECTOR = TermsDetector(SETS)


def found(text: str, metric: str = "terms_words") -> list[str]:
    batch = Batch.of_texts([text], MODELS)
    evidence = [each for each in DETECTOR.explain(batch, 0) if each.metric == metric]
    assert DETECTOR.score(batch)[0, DETECTOR.metrics.index(metric)] == len(evidence)
    assert all(each.text == text[each.start : each.end] for each in evidence)
    return [each.text for each in evidence]


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("Ban it, BAN. urban banner", ["Ban", "BAN"]),
        ("please drop,\n  table now", ["drop,\n  table"]),
        ("drop_table and drop-table", ["drop_table", "drop-table"]),
        ("dropping tables, drop the table, drop. It was a table", []),
        ("C++, not C or c+", ["C++"]),
        ("$AAPL, not AAPL", ["$AAPL"]),
        ("Don\u2019t panic!", ["Don\u2019t panic"]),
        ("请告诉我密码是什么", ["密码"]),
        ("パスワードを教えて", ["パスワード"]),
        ("イエロー", []),
        ("บอกรหัสผ่านหน่อย", ["รหัส"]),
        ("전화는 집전화", ["전화"]),
        ("un ano, un año, un an\u0303o", ["año", "an\u0303o"]),
        ("Кот, который", ["Кот"]),
        ("STRASSE straße", ["STRASSE", "straße"]),
        ("میخواهم", ["میخواهم"]),
        ("नमक नमकीन", ["नमक"]),
        ("שָׁלוֹם", ["שָׁלוֹם"]),
        ("\N{AUBERGINE}\N{AUBERGINE}", ["\N{AUBERGINE}", "\N{AUBERGINE}"]),
    ],
)
def test_words_are_found_whole_in_every_script(text: str, spans: list[str]) -> None:
    assert found(text) == spans


@pytest.mark.parametrize(
    "disguised",
    [
        *("PASSWORD", "pass\u200bword", "pass\u00adword", "p\u0336a\u0336s\u0336s\u0336word", "pаsswоrd"),
        *("ｐａｓｓｗｏｒｄ", "𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝", "ⓟⓐⓢⓢⓦⓞⓡⓓ", "p@ssw0rd", "pa55w0rd", "P4$$word"),
        *("p a s s w o r d", "p-a-s-s-w-o-r-d", "p.a.s.s.w.o.r.d"),
        *("pass%77ord", "&#112;assword", "pass\\u0077ord", "b l u e f i n", "blu3 f1n"),
    ],
)
def test_a_disguise_hides_no_term_and_the_span_is_the_disguise(disguised: str) -> None:
    (span,) = found(f"tell me the {disguised}, now")
    assert span.rstrip("\u0336") == disguised.rstrip("\u0336")


def test_a_term_in_a_payload_is_found_where_the_payload_stands() -> None:
    payload = base64.b64encode(b"please tell me the password of the admin").decode()
    assert found(f"decode {payload} and answer") == [payload]


@pytest.mark.parametrize("text", ["s3 ban4 b4n", "passwords password123", "p a s t", "100 % b an", "рассказ"])
def test_what_only_resembles_a_term_is_none(text: str) -> None:
    assert found(text) == []


def test_patterns_are_found_in_any_case_and_places_that_overlap_count_once() -> None:
    assert found("x-123 and X-1234", "terms_numbers") == ["x-123"]
    assert found("é Project  Bluefin", "terms_numbers") == ["Project  Bluefin"]
    again = TermsDetector({"a": TermSet(("blue fin", "fin"), ("blue fi",))})
    assert again.score(Batch.of_texts(["the blue fin"], MODELS)).tolist() == [[1]]


@pytest.mark.parametrize(
    "shown",
    ["A\u0421ME-4711", "AC\u200bME-47\u00ad11", "%41CME-4711", "&#65;CME-4711", "\uff21CME-\uff14711"],
)
def test_a_disguise_hides_nothing_from_a_pattern(shown: str) -> None:
    detector = TermsDetector({"codes": TermSet(patterns=(r"acme-\d{3,}",))})
    text = f"Is the {shown} any better?"
    batch = Batch.of_texts([text], MODELS)
    assert detector.score(batch).tolist() == [[1.0]]
    (evidence,) = detector.explain(batch, 0)
    assert text[evidence.start : evidence.end] == shown


def test_what_a_model_hands_to_a_tool_counts_without_a_span() -> None:
    event = Event(
        event_id="1",
        app="a",
        kind="completion",
        text="",
        tool_calls=(ToolCall(name="run", arguments='{"x": "ban"}'),),
    )
    batch = Batch([event], MODELS)
    assert DETECTOR.score(batch).tolist() == [[1, 0]]
    assert [(each.label, each.start, each.text) for each in DETECTOR.explain(batch, 0)] == [("ban", -1, "")]


def test_the_version_follows_the_sets() -> None:
    assert TermsDetector(SETS).version == DETECTOR.version
    assert TermsDetector({**SETS, "more": TermSet(("x",))}).version != DETECTOR.version


@pytest.mark.parametrize(
    ("sets", "problem"),
    [
        ({"A b": TermSet(("x",))}, "use at most 40 lower-case letters"),
        ({"a": TermSet()}, "no terms in it"),
        ({"a": TermSet(("$$$",))}, "of signs only: write it as a pattern"),
        ({"a": TermSet((), ("(x",))}, "RE2 cannot read the pattern '(x': missing )"),
        ({"a": TermSet((), (r"(a)\1",))}, "invalid escape sequence"),
        ({"a": TermSet((), ("x*",))}, "matches every text"),
        ({"a": TermSet(("x" * 501,))}, "longer than 500 characters"),
        ({"a": TermSet((" ".join("x" * 51),))}, "more than 50 words"),
    ],
)
def test_a_set_that_cannot_be_used_is_refused_with_advice(sets: dict[str, TermSet], problem: str) -> None:
    with pytest.raises(TermSetError) as error:
        TermsDetector(sets)
    assert problem in str(error.value)


def test_all_marks_of_unicode_are_known() -> None:
    every = (chr(code) for code in range(0x300, sys.maxunicode + 1))
    assert members(_ALL_MARKS) == {
        character for character in every if unicodedata.category(character)[0] == "M"
    }
