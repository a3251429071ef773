import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.limits import CHECK_LIMIT, SCAN_LIMIT
from detectors.privacy.findings import PLACEHOLDER, Finding, ascii_twins, merge, verified

findings = st.lists(
    st.builds(
        lambda kind, start, length: Finding(kind, start, start + length),
        st.sampled_from("ABC"),
        st.integers(0, 40),
        st.integers(1, 10),
    ),
    max_size=12,
)


@given(findings)
def test_merged_findings_cover_the_same_characters_once(given_findings: list[Finding]) -> None:
    merged = merge(given_findings)
    assert merged == sorted(merged, key=lambda f: f.start)
    assert all(left.end <= right.start for left, right in pairwise(merged))
    assert covered(merged) == covered(given_findings)
    assert merge(merged) == merged


@given(findings)
def test_a_merged_finding_has_the_kind_given_first(given_findings: list[Finding]) -> None:
    for merged in merge(given_findings):
        inside = [f for f in given_findings if f.start < merged.end and merged.start < f.end]
        assert merged.kind == inside[0].kind


def covered(some: list[Finding]) -> set[int]:
    return {i for finding in some for i in range(finding.start, finding.end)}


@given(st.text(st.characters(codec=None)))
def test_plain_text_keeps_every_position(text: str) -> None:
    result = ascii_twins(text)
    assert len(result) == len(text)
    for before, after in zip(text, result, strict=True):
        assert (
            before == after
            or unicodedata.category(before) in {"Nd", "No", "Zs", "Pd"}
            or "\uff00" < before < "\uff5f"
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\u0664\u0662", "42"),
        ("\uff14\uff12\uff20\uff41", "42@a"),
        ("1\u00a02\u20113\u20134", "1 2-3-4"),
        ("\U0001d7d8", "0"),
        ("caf\u00e9 \ud800", "caf\u00e9 \ud800"),
        ("x" * (SCAN_LIMIT + 5), "x" * SCAN_LIMIT),
    ],
)
def test_plain_text_has_ascii_digits_spaces_and_dashes(text: str, expected: str) -> None:
    assert ascii_twins(text) == expected


def test_candidates_beyond_the_limit_count_unchecked() -> None:
    spans = [(i, i + 1) for i in range(CHECK_LIMIT + 3)]
    checked: list[tuple[int, int]] = []

    def refuse(span: tuple[int, int]) -> bool:
        checked.append(span)
        return False

    assert list(verified(spans, refuse)) == spans[CHECK_LIMIT:]
    assert checked == spans[:CHECK_LIMIT]


@pytest.mark.parametrize(
    "text", ["[EMAIL_0a1b2c]", "[US_SSN_ffffff]", "[TRUNCATED 12 characters]", "[WITHHELD 1 characters]"]
)
def test_placeholders_are_known(text: str) -> None:
    assert PLACEHOLDER.fullmatch(text)


@pytest.mark.parametrize(
    "text", ["[EMAIL_a@b.co]", "[EMAIL_0a1b2]", "[email_0a1b2c]", "[TRUNCATED 1@2 characters]"]
)
def test_a_placeholder_holds_no_value(text: str) -> None:
    assert not PLACEHOLDER.fullmatch(text)
