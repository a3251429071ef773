import csv
import datetime as dt
import io
import json
import uuid
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.results import render
from streams.settings import load
from streams.storing import make_store
from tests.streams.weir import forget_settings, run

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
            "a": None, "b": "a\tb\n", "c": 0.123456789, "d": "2026-01-02T03:04:05.600000",
            "e": ["x", 1], "f": {"1": "y"}, "g": "1.50", "h": "10.0.0.1",
        }
    ]  # fmt: skip


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_csv_can_be_read_back(rows: list[tuple[str, str]]) -> None:
    text = render("csv", ("a", "b"), rows)
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], *map(list, rows)]


def test_numbers_in_csv_are_bare_and_exact() -> None:
    assert render("csv", ("a", "b"), [(0.123456789, None), (True, 3)]) == '"a","b"\n0.123456789,""\n"True",3'


@given(st.lists(st.tuples(st.text(), st.none() | st.text()), max_size=4))
def test_tsv_has_one_line_per_row_and_one_tab_per_gap(rows: list[tuple[str, str | None]]) -> None:
    lines = render("tsv", ("a", "b"), rows).split("\n")
    assert len(lines) == len(rows) + 1
    assert all(line.count("\t") == 1 for line in lines)


@pytest.fixture
def database(clickhouse: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    name = f"cli_{uuid.uuid4().hex[:8]}"
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("WEIR_CLICKHOUSE", clickhouse)
    monkeypatch.setenv("WEIR_CLICKHOUSE_DATABASE", name)
    store = make_store(load())
    store.migrate()
    store.close()
    return name


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


def test_no_store_is_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("WEIR_CLICKHOUSE", "http://127.0.0.1:1")
    outcome = run("sql", "SELECT 1")
    assert outcome.code == 1
    assert outcome.err.startswith("Error: ClickHouse does not answer")
