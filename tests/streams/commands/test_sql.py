import csv
import datetime as dt
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.summary import QuerySummary
from hypothesis import given
from hypothesis import strategies as st

from streams.store import sql_text
from streams.store.client import Store
from streams.store.queries import Result, of_command
from streams.store.sql_text import has_format
from streams.terminal.results import ResultFormat
from streams.terminal.results import render as lines_of
from tests.streams.weir import forget_settings, run, start

MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, 600_000)
VALUES: tuple[Any, ...] = (
    None,
    "a\tb\n",
    0.123456789,
    MOMENT,
    ["x", 1],
    {1: "y"},
    Decimal("1.50"),
    IPv4Address("10.0.0.1"),
)
NAMES = tuple("abcdefgh")


def render(format_: ResultFormat, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    return "".join(lines_of(format_, columns, rows))


def test_a_table_aligns_numbers_right_and_shows_no_control_characters() -> None:
    shown = render("table", ("app", "n"), [("shop", 0.123456789), (None, None), ("a\x1b\n", 12)])
    assert shown.splitlines() == [
        "app             n",
        "───────  ────────",
        "shop     0.123457",
        "",
        "a\\x1b\\n        12",
    ]


def test_values_in_tsv_are_escaped_as_clickhouse_does() -> None:
    lines = render("tsv", NAMES, [VALUES]).splitlines()
    assert lines[0].split("\t") == list(NAMES)
    assert lines[1].split("\t") == [
        r"\N", r"a\tb\n", "0.123456789", "2026-01-02 03:04:05.600",
        '["x",1]', '{"1":"y"}', "1.50", "10.0.0.1",
    ]  # fmt: skip


def test_json_keeps_types() -> None:
    assert json.loads(render("json", NAMES, [VALUES])) == [
        {
            "a": None, "b": "a\tb\n", "c": 0.123456789, "d": "2026-01-02T03:04:05.600000Z",
            "e": ["x", 1], "f": {"1": "y"}, "g": "1.50", "h": "10.0.0.1",
        }
    ]  # fmt: skip


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_csv_can_be_read_back(rows: list[tuple[str, str]]) -> None:
    text = render("csv", ("a", "b"), rows)
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], *map(list, rows)]


def test_numbers_in_csv_are_bare_and_exact() -> None:
    assert (
        render("csv", ("a", "b"), [(0.123456789, None), (True, 3)]) == '"a","b"\n0.123456789,""\n"True",3\n'
    )


@given(st.lists(st.tuples(st.text(), st.none() | st.text()), max_size=4))
def test_tsv_has_one_line_per_row_and_one_tab_per_gap(rows: list[tuple[str, str | None]]) -> None:
    lines = render("tsv", ("a", "b"), rows).removesuffix("\n").split("\n")
    assert len(lines) == len(rows) + 1
    assert all(line.count("\t") == 1 for line in lines)


@pytest.fixture
def database(migrated: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("WEIR_CLICKHOUSE", migrated.url)
    monkeypatch.setenv("WEIR_CLICKHOUSE_DATABASE", migrated.database)
    return migrated.database


def test_queries_run_in_weirs_database(database: str) -> None:
    assert run("sql", "SELECT currentDatabase() AS db").out == f"db\n{database}\n"
    assert run("sql", "SELECT count() AS n FROM events;").out == "n\n0\n"


def test_a_query_is_read_from_stdin_and_a_result_may_have_no_rows(database: str) -> None:
    outcome = run("sql", "--format", "table", "-", stdin="SELECT event_id\nFROM events -- all\n")
    assert (outcome.out, outcome.err) == ("event_id\n────────\n", "0 rows\n")


def test_an_error_of_clickhouse_is_one_message(database: str) -> None:
    outcome = run("sql", "SELECT nothing FROM events")
    assert outcome.code == 1
    assert "nothing" in outcome.err
    assert "Traceback" not in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_an_empty_query_is_refused(database: str) -> None:
    assert run("sql", " ; ").code == 2


def test_statements_run_one_after_the_other(database: str) -> None:
    script = (
        "CREATE TABLE t (a String) ENGINE = Memory;\nINSERT INTO t VALUES ('x;y'); -- two\nSELECT a FROM t;\n"
    )
    assert run("sql", "-", stdin=script).out == "ok\n\nok\n\na\nx;y\n"
    failed = run("sql", "SELECT 1 AS a; SELECT nothing FROM t; SELECT 2")
    assert (failed.code, failed.out) == (1, "a\n1\n")
    assert failed.err.startswith("Error: statement 2 of 3: ")


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (QuerySummary({"written_rows": "0"}), Result((), [])),
        (1, Result(("result",), [(1,)])),
        (["a", "b"], Result(("result",), [("a",), ("b",)])),
    ],
)
def test_what_a_command_answers_is_kept_unless_it_is_about_the_work(answer: object, result: Result) -> None:
    assert of_command(answer) == result


def test_a_format_clause_is_refused_with_the_option_to_use(database: str) -> None:
    outcome = run("sql", "SELECT 1 FORMAT Vertical")
    assert outcome.code == 2
    assert "leave FORMAT out of the query: --format says" in outcome.err


@pytest.mark.parametrize("query", ["SELECT 1 FROM", "SELECT", "SELCT 1", "SELECT (1", "SELECT 'a"])
def test_a_wrong_query_is_quoted_without_what_the_client_adds(database: str, query: str) -> None:
    outcome = run("sql", query)
    assert outcome.code == 1
    assert "Syntax error" in outcome.err
    assert "FORMAT" not in outcome.err


@pytest.mark.parametrize(
    "query", ["SELECT 'FORMAT x'", "SELECT 1 -- FORMAT x", "SELECT format FROM system.x"]
)
def test_what_is_no_format_clause(query: str) -> None:
    assert not has_format(query)


@given(
    st.lists(
        st.sampled_from(["SELECT 1", "SELECT ';'", "SELECT `a;\\`b`", "SELECT 1 /* ; */", "SELECT 2 -- ;\n"])
    )
)
def test_statements_are_split_and_nothing_within_them(parts: list[str]) -> None:
    assert sql_text.statements(";".join(parts) + "; -- end;") == [part.strip() for part in parts]


def test_a_store_that_is_down_is_one_line_for_migrate_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("WEIR_CLICKHOUSE", "http://127.0.0.1:1")
    with start("migrate") as process:
        _, shown = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(shown.splitlines()) == 1
    assert "no ClickHouse answers at http://127.0.0.1:1" in shown


def test_a_large_result_is_written_while_it_is_read(database: str) -> None:
    """1,000,000 rows of 200 characters are 250 MB as Python objects; one block of 65,409 is held."""
    peaks = [peak_kib(f"SELECT repeat('x', 200) FROM numbers({rows})") for rows in (150_000, 1_000_000)]
    assert peaks[1] - peaks[0] < 30 * 1024


def peak_kib(query: str) -> int:
    """Run a query in a process of its own; return its largest resident size."""
    code = (
        "import atexit, sys; from streams.cli import weir;"
        "atexit.register(lambda: sys.stderr.write(open('/proc/self/status').read()));"
        "weir.main(['sql', '--format', 'tsv', sys.argv[1]])"
    )
    done = subprocess.run([sys.executable, "-c", code, query], capture_output=True, text=True, check=True)
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", done.stderr)
    return int(peak)


def test_whoever_stops_reading_ends_a_query_quietly_and_at_once(database: str) -> None:
    with start("sql", "SELECT number FROM numbers(1000000000)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "number\n"
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_ctrl_c_ends_a_query_quietly_and_at_once(database: str) -> None:
    with start("sql", "SELECT number FROM numbers(1000000000)") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")


def test_an_error_after_the_first_rows_is_said(database: str) -> None:
    outcome = run(
        "sql", "SELECT throwIf(number = 500000) FROM numbers(1000000) SETTINGS max_block_size = 1000"
    )
    assert outcome.code == 1
    assert "non-zero" in outcome.err


def test_no_store_is_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("WEIR_CLICKHOUSE", "http://127.0.0.1:1")
    outcome = run("sql", "SELECT 1")
    assert outcome.code == 1
    assert outcome.err.startswith(
        "Error: no ClickHouse answers at http://127.0.0.1:1 (nothing listens there): start one "
    )
