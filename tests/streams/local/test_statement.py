from collections.abc import Callable

import pytest

from streams.local.statement import Insert, Query, parse
from tests.streams.embedded_store import ask

Parse = Callable[..., Insert | Query]


@pytest.fixture
def parsed(clickhouse: str) -> Parse:
    """`parse` with the engine's own parser behind it."""

    def canonical(statement: bytes) -> str:
        quoted = statement.decode().replace("\\", "\\\\").replace("'", "\\'")
        status, text, _ = ask(clickhouse, f"SELECT formatQuery('{quoted}') FORMAT RawBLOB")
        assert status == 200, text
        return text

    return lambda text, default="TabSeparated": parse(text, default, canonical)


@pytest.mark.parametrize(
    ("text", "head", "name", "data"),
    [
        (
            b"INSERT INTO t (a, b) FORMAT Native\n\x02\x00 FORMAT x",
            "t (a, b)",
            "Native",
            b"\x02\x00 FORMAT x",
        ),
        (b"INSERT INTO t FORMAT Native\n\n\n", "t", "Native", b"\n\n"),
        (b"INSERT INTO t FORMAT TSV 1\t2", "t", "TSV", b"1\t2"),
        (b"insert into t format CSV\r\n1,2", "t", "CSV", b"1,2"),
        (b"-- why\nINSERT INTO t VALUES (1, 'FORMAT')", "t", "Values", b" (1, 'FORMAT')"),
        (b"INSERT INTO t -- why\nVALUES (1)", "t", "Values", b" (1)"),
        (b"INSERT INTO `format values` FORMAT TSV\n1", "`format values`", "TSV", b"1"),
        (b'INSERT INTO t ("format", `values`) FORMAT TSV\n1', "t (format, `values`)", "TSV", b"1"),
        (b"INSERT INTO FUNCTION f('x', 'CSV') FORMAT TSV\n1", "FUNCTION f('x', 'CSV')", "TSV", b"1"),
    ],
)
def test_rows_behind_an_insert(parsed: Parse, text: bytes, head: str, name: str, data: bytes) -> None:
    found = parsed(text)
    assert isinstance(found, Insert)
    assert (found.text, found.format, bytes(found.data)) == (f"INSERT INTO {head}", name, data)
    expected = f"INSERT INTO {head} FROM INFILE '/x' COMPRESSION 'none' FORMAT {name}"
    assert found.from_file("/x") == expected


def test_settings_of_an_insert_stand_behind_its_file(parsed: Parse) -> None:
    found = parsed(b"INSERT INTO t SETTINGS async_insert = 0 FORMAT TSV\n1")
    assert isinstance(found, Insert)
    expected = "INSERT INTO t FROM INFILE '/x' COMPRESSION 'none' SETTINGS async_insert = 0 FORMAT TSV"
    assert found.from_file("/x") == expected


@pytest.mark.parametrize(
    ("text", "name", "has_result", "streams", "is_short"),
    [
        (b"SELECT 1", "TabSeparated", True, True, True),
        (b"SELECT 'x FORMAT CSV'", "TabSeparated", True, True, True),
        (b"select 1 format JSON;", "JSON", True, False, True),
        (b"SELECT a FROM t FORMAT Native SETTINGS max_threads = 1", "Native", True, True, False),
        (b"/* x */ (SELECT 1) FORMAT CSVWithNames", "CSVWithNames", True, False, True),
        (b"WITH 1 AS x SELECT x", "TabSeparated", True, True, False),
        (b"SELECT name FROM system.columns WHERE table IN ('a')", "TabSeparated", True, True, True),
        (b"SELECT name FROM system.columns, t JOIN u USING (x)", "TabSeparated", True, True, False),
        (b"SELECT count() FROM system.numbers", "TabSeparated", True, True, False),
        (b"SHOW TABLES", "TabSeparated", True, False, True),
        (b"CREATE TABLE t (a Int8) ENGINE = Memory", "TabSeparated", False, False, False),
        (b"INSERT INTO t SELECT 1 FORMAT TSV", "TSV", False, False, False),
        (b"INSERT INTO t FROM INFILE 'x' FORMAT TSV", "TSV", False, False, False),
    ],
)
def test_queries(
    parsed: Parse, text: bytes, name: str, has_result: bool, streams: bool, is_short: bool
) -> None:
    found = parsed(text)
    assert isinstance(found, Query)
    assert (found.format, found.has_result, found.streams) == (name, has_result, streams)
    assert found.is_short == is_short


def test_another_format_replaces_the_one_at_the_end(parsed: Parse) -> None:
    for text in (b"SELECT 1\nFORMAT Native", b"SELECT 1;", b"SELECT 1 FORMAT CSV SETTINGS max_threads = 1"):
        found = parsed(text)
        assert isinstance(found, Query)
        assert found.in_format("JSON").endswith("\nFORMAT JSON")
        assert found.in_format("JSON").count("FORMAT") == 1
