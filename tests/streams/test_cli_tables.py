import click
from hypothesis import given
from hypothesis import strategies as st

from streams.aligned import Aligner, Cell, aligned, table, width
from streams.terminal import plain


def cells(*texts: str) -> list[Cell]:
    return [Cell(text) for text in texts]


def test_width_counts_columns_of_a_terminal() -> None:
    assert width("weir") == 4
    assert width("堰堤") == 4
    assert width("e\u0301") == 1


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


def test_table_has_a_rule_and_numbers_flush_right() -> None:
    shown = table(["app", "n"], [["shop", "5"], ["a", "12"]], [False, True])
    assert shown.splitlines() == ["app    n", "────  ──", "shop   5", "a     12"]


def test_a_table_without_rows_shows_its_columns() -> None:
    assert table(["app"], []).splitlines() == ["app", "───"]


@given(st.text())
def test_plain_text_cannot_steer_a_terminal(text: str) -> None:
    assert plain(text).isprintable()


def test_plain_keeps_what_can_be_read() -> None:
    assert plain("Grüße 堰") == "Grüße 堰"
    assert plain("a\x1b[31mb\n") == "a\\x1b[31mb\\n"
