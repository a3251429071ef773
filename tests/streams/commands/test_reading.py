import csv
import datetime as dt
import gzip
import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import UserError
from streams.ingest.files import CHUNK_BYTES, InputRow, RowSource, guess

Write = Callable[[str, str | bytes], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to(name: str, content: str | bytes) -> str:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return str(tmp_path / name)

    return to


def rows(path: str) -> list[InputRow]:
    with RowSource(path) as source:
        return [row for chunk in source.chunks() for row in chunk]


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("a.jsonl", "jsonl"),
        ("a.JSON", "jsonl"),
        ("b.csv.gz", "csv"),
        ("b.tsv", "csv"),
        ("c.parquet", "parquet"),
        ("-", "jsonl"),
    ],
)
def test_the_name_tells_the_format(name: str, format_: str) -> None:
    assert guess(name) == format_


def test_another_name_does_not() -> None:
    with pytest.raises(UserError, match=r"what is in 'a\.txt'\? Add --format"):
        guess("folder/a.txt.gz")


def test_lines_keep_their_numbers(write: Write) -> None:
    assert rows(write("a.jsonl", b"{}\n\n{1}\r\nlast")) == [
        InputRow(1, b"{}"),
        InputRow(2, b""),
        InputRow(3, b"{1}\r"),
        InputRow(4, b"last"),
    ]


def test_lines_longer_than_a_chunk_are_put_together(write: Write) -> None:
    long = b"x" * (2 * CHUNK_BYTES + 5)
    assert rows(write("a.jsonl", b"a\n" + long + b"\nb\n" + long)) == [
        InputRow(1, b"a"), InputRow(2, long), InputRow(3, b"b"), InputRow(4, long),
    ]  # fmt: skip


def test_gzip_is_recognised_without_its_name_and_the_position_is_that_of_the_file(write: Write) -> None:
    path = write("a.jsonl", gzip.compress(b"a\nb\n"))
    with RowSource(path) as source:
        assert [row.value for chunk in source.chunks() for row in chunk] == [b"a", b"b"]
        assert source.position == source.size == Path(path).stat().st_size


@pytest.mark.parametrize("cut", [5, -4])
def test_damaged_gzip_is_said(write: Write, cut: int) -> None:
    with pytest.raises(UserError, match=r"a\.jsonl: the gzip data is damaged or ends early"):
        rows(write("a.jsonl", gzip.compress(b"a\n" * 1000)[:cut]))


def test_csv_rows_begin_where_their_first_line_is(write: Write) -> None:
    found = rows(write("a.csv", '\ufefftext,n\n"two\nlines",1\n\nplain,2\nshort\n'))
    assert found[:2] == [
        InputRow(2, {"text": "two\nlines", "n": "1"}),
        InputRow(5, {"text": "plain", "n": "2"}),
    ]
    assert found[2] == InputRow(6, b"", "1 cells, where the header has 2 columns")


def test_tsv_and_cells_beyond_csvs_own_limit(write: Write) -> None:
    assert rows(write("a.tsv", f"text\tn\n{'x' * 200_000}\t1"))[0].value == {"text": "x" * 200_000, "n": "1"}


@pytest.mark.parametrize(
    ("content", "row"),
    [
        ("id;question\n1;a, b\n", {"id": "1", "question": "a, b"}),
        ("id|question\n1|a\n", {"id": "1", "question": "a"}),
        ("id\tquestion\n1\ta\n", {"id": "1", "question": "a"}),
        ("id,a;b\n1,2\n", {"id": "1", "a;b": "2"}),
        ("question\na;b\n", {"question": "a;b"}),
    ],
)
def test_the_header_tells_what_separates(write: Write, content: str, row: dict[str, str]) -> None:
    assert rows(write("a.csv", content)) == [InputRow(2, row)]


@pytest.mark.parametrize(
    ("content", "message"), [("", "a.csv is empty"), ("a,b,a\n", "the column 'a' stands twice")]
)
def test_csv_needs_a_header(write: Write, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        rows(write("a.csv", content))


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_csv_reads_what_csv_writes(table: list[tuple[str, str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([("a", "b"), *table])
    stdin = SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(text.getvalue().encode())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", stdin)
        with RowSource("-", "csv") as source:
            found = [row.value for chunk in source.chunks() for row in chunk]
    assert found == [{"a": a, "b": b} for a, b in table]


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: Is a directory"), RowSource(str(tmp_path), "jsonl"):
        pass


def test_parquet_gives_python_values(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns: dict[str, Any] = {
        "text": ["a", None],
        "timestamp": pyarrow.array([1_700_000_000_000_000_001, None], pyarrow.timestamp("ns", "UTC")),
        "contexts": [["x", "y"], []],
    }
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    with RowSource(str(path)) as source:
        assert source.columns == ("text", "timestamp", "contexts")
        found = [row for chunk in source.chunks() for row in chunk]
        assert source.position == source.size == 2
    moment = dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC)
    assert found[0] == InputRow(1, {"text": "a", "timestamp": moment, "contexts": ["x", "y"]})
    assert found[1] == InputRow(2, {"text": None, "timestamp": None, "contexts": []})


def test_what_is_no_parquet_is_said(write: Write) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(UserError, match="is not a Parquet file"):
        rows(write("a.parquet", "nothing of the kind"))


def test_without_pyarrow_it_is_said_how_to_get_it(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install '\.\[local\]'"):
        rows(write("a.parquet", ""))


def test_parquet_is_not_read_from_a_pipe() -> None:
    with pytest.raises(UserError, match="name a file"), RowSource("-", "parquet"):
        pass
