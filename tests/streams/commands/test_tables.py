import json
import unicodedata
from collections.abc import Sequence

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import width

from streams.terminal.command import json_text, plain
from streams.terminal.table import Aligner, Cell, TextTable, aligned, folded


def cells(*texts: str) -> list[Cell]:
    return [Cell(text) for text in texts]


def test_columns_grow_with_what_was_seen_and_never_shrink() -> None:
    lines = Aligner()
    assert lines.line(cells("a", "x")) == "a  x"
    assert lines.line(cells("long", "x")) == "long  x"
    assert lines.line(cells("b", "x")) == "b     x"


def test_one_long_cell_does_not_push_all_others_away() -> None:
    lines = Aligner(limit=4)
    assert lines.line(cells("very long indeed", "x")) == "very long indeed  x"
    assert lines.line(cells("a", "x")) == "a     x"


def test_styles_take_no_room() -> None:
    line = Aligner().line([Cell("block", {"fg": "red"}), Cell("x")])
    assert line != click.unstyle(line) == "block  x"


@given(
    st.lists(st.lists(st.text(alphabet="ab 堰", max_size=5), min_size=2, max_size=2), min_size=1, max_size=5)
)
def test_aligned_lines_begin_their_last_column_at_the_same_place(rows: list[list[str]]) -> None:
    lines = aligned([[*cells(*row), Cell("END")] for row in rows])
    assert len({width(line.removesuffix("END")) for line in lines}) == 1


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], room: int = 1_000
) -> list[str]:
    shown = TextTable(header, rows, right, room)
    return [line for row in [*shown.head(), *map(shown.row, rows)] for line in row.splitlines()]


def test_table_has_a_rule_and_numbers_flush_right() -> None:
    shown = table(["app", "n"], [["shop", "5"], ["a", "12"]], [False, True])
    assert shown == ["app    n", "────  ──", "shop   5", "a     12"]


def test_a_table_without_rows_shows_its_columns() -> None:
    assert table(["app"], [], [False]) == ["app", "───"]


@pytest.mark.parametrize("room", [20, 40, 60, 80])
@given(
    rows=st.lists(
        st.tuples(st.text("ab 堰ö", max_size=90), st.text("x1-", max_size=90), st.text("123", max_size=9)),
        min_size=1, max_size=5,
    )
)  # fmt: skip
def test_a_table_fits_the_terminal_and_cuts_no_number(room: int, rows: list[tuple[str, ...]]) -> None:
    lines = table(["name", "id", "count"], rows, [False, False, True], room)
    assert max(map(width, lines)) <= room
    for *_, number in rows:
        assert number in "\n".join(lines)


def test_what_is_cut_says_so() -> None:
    lines = table(["app", "text"], [["shop", "a sentence that is long"]], [False, False], 20)
    assert lines == ["app   text", "────  ──────────────", "shop  a sentence th…"]


def test_many_columns_on_a_narrow_terminal_are_rows_of_their_own() -> None:
    names = [f"column_{number}" for number in range(6)]
    assert table(names, [["a value"] * 6, ["b"] * 6], [False] * 6, 40)[:9] == [
        "── 1 ───────────",
        *(f"column_{number}  a value" for number in range(6)),
        "── 2 ───────────",
        "column_0  b",
    ]


@pytest.mark.parametrize("room", [40, 60])
def test_a_line_that_is_too_wide_goes_on_indented(room: int) -> None:
    line = Aligner(room=room).line(
        [*cells("2026-01-01 00:00:00.000Z", "block"), Cell("x" * 70, {"fg": "red"})]
    )
    first, *more = line.splitlines()
    assert max(map(width, [first, *more])) <= room
    assert all(click.unstyle(each).startswith("    ") for each in more)
    assert "".join(click.unstyle(line).split()).endswith("x" * 70)


def test_folding_keeps_the_words() -> None:
    text = "one two three four five six seven"
    assert folded(text, 16).splitlines() == ["one two three", "    four five", "    six seven"]
    assert folded(text, 3).split() == text.split()


@given(st.text(st.characters(codec=None)))
def test_json_means_the_same_and_steers_no_terminal(text: str) -> None:
    escaped = json_text(json.dumps(text, ensure_ascii=False))
    assert json.loads(escaped) == text
    assert not [c for c in escaped if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


@given(st.text(st.characters(codec=None)))
def test_plain_text_cannot_steer_a_terminal(text: str) -> None:
    assert not [c for c in plain(text) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def test_plain_keeps_what_can_be_read() -> None:
    assert plain("Grüße 堰") == "Grüße 堰"
    assert plain("a\x1b[31mb\n") == "a\\x1b[31mb\\n"
