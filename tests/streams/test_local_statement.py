import pytest

from streams.local.statement import Insert, Query, parse


def insert(text: bytes) -> Insert:
    statement = parse(text, "TabSeparated")
    assert isinstance(statement, Insert)
    return statement


def query(text: bytes, default: str = "TabSeparated") -> Query:
    statement = parse(text, default)
    assert isinstance(statement, Query)
    return statement


@pytest.mark.parametrize(
    ("text", "head", "name", "data"),
    [
        (
            b"INSERT INTO t (a, b) FORMAT Native\n\x02\x00 FORMAT x",
            "INSERT INTO t (a, b) ",
            "Native",
            b"\x02\x00 FORMAT x",
        ),
        (b"INSERT INTO t FORMAT Native\n\n\n", "INSERT INTO t ", "Native", b"\n\n"),
        (b"INSERT INTO t FORMAT TSV 1\t2", "INSERT INTO t ", "TSV", b"1\t2"),
        (b"insert into t format CSV\r\n1,2", "insert into t ", "CSV", b"1,2"),
        (
            b"-- why\nINSERT INTO t VALUES (1, 'FORMAT')",
            "-- why\nINSERT INTO t ",
            "Values",
            b" (1, 'FORMAT')",
        ),
        (
            b"INSERT INTO t SETTINGS async_insert = 0 FORMAT TSV\n1",
            "INSERT INTO t SETTINGS async_insert = 0 ",
            "TSV",
            b"1",
        ),
        (b"INSERT INTO `format values` FORMAT TSV\n1", "INSERT INTO `format values` ", "TSV", b"1"),
        (
            b'INSERT INTO t (`format`, "values") FORMAT TSV\n1',
            'INSERT INTO t (`format`, "values") ',
            "TSV",
            b"1",
        ),
        (
            b"INSERT INTO FUNCTION f('x', 'CSV') FORMAT TSV\n1",
            "INSERT INTO FUNCTION f('x', 'CSV') ",
            "TSV",
            b"1",
        ),
    ],
)
def test_rows_behind_an_insert(text: bytes, head: str, name: str, data: bytes) -> None:
    found = insert(text)
    assert (found.head, found.format, bytes(found.data)) == (head, name, data)


@pytest.mark.parametrize(
    "text",
    [
        b"INSERT INTO t SELECT 1 FORMAT TSV",
        b"INSERT INTO t FROM INFILE 'x' FORMAT TSV",
        b"INSERT INTO t (a)",
        b"",
        b"-- nothing",
    ],
)
def test_what_has_no_rows_behind_it(text: bytes) -> None:
    assert not query(text).streams


@pytest.mark.parametrize(
    ("text", "name", "has_result", "streams"),
    [
        (b"SELECT 1", "TabSeparated", True, True),
        (b"SELECT 'x FORMAT CSV'", "TabSeparated", True, True),
        (b"select 1 format JSON;", "JSON", True, False),
        (b"SELECT 1 FORMAT Native SETTINGS max_threads = 1", "Native", True, True),
        (b"/* x */ (SELECT 1) FORMAT CSVWithNames", "CSVWithNames", True, False),
        (b"WITH 1 AS x SELECT x", "TabSeparated", True, True),
        (b"SHOW TABLES", "TabSeparated", True, False),
        (b"CREATE TABLE t (a Int8) ENGINE = Memory", "TabSeparated", False, False),
    ],
)
def test_queries(text: bytes, name: str, has_result: bool, streams: bool) -> None:
    found = query(text)
    assert (found.format, found.has_result, found.streams) == (name, has_result, streams)


def test_another_format_replaces_the_one_at_the_end() -> None:
    assert query(b"SELECT 1\nFORMAT Native").in_format("JSON").split() == b"SELECT 1 FORMAT JSON".split()
    assert query(b"SELECT 1;").in_format("JSON").split() == b"SELECT 1 FORMAT JSON".split()
