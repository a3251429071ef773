"""The store's tables beyond the numbered migrations: the database, metric columns, retention."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from clickhouse_connect.driver.client import Client

from streams.store import migrations
from streams.store.migrations import Changes, available, migrate, parts
from streams.store.sql_text import split
from streams.store.tables import EVENTS, TABLES, Table

_VIEW = (
    "CREATE OR REPLACE VIEW {0} AS SELECT * FROM {0}_log FINAL"
    " SETTINGS do_not_merge_across_partitions_select_final = 1"
)
EVENTS_VIEW = _VIEW.format(EVENTS.name)
"""As in the migrations; run again for new columns, a view keeps those of the day it was made."""

_METRIC = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TTL = re.compile(r"\bTTL inserted_at \+ toIntervalDay\((\d+)\)")
_WAIT = {"alter_sync": 2}
"""Every replica has a column before a row with it comes."""
_METRIC_TYPE = "Nullable(Float32)"
_COLUMNS = re.compile(
    r"CREATE TABLE IF NOT EXISTS (?P<made>\w+)\s*\((?P<all>.*)\)\s*ENGINE"
    r"|ALTER TABLE (?P<changed>\w+) (?P<more>.*)",
    re.DOTALL,
)
_COLUMN = re.compile(r"(?:ADD COLUMN IF NOT EXISTS )?(\w+) (.*)")
_LOW_CARDINALITY = re.compile(r"LowCardinality\((.*)\)")


def create_database(client: Client, name: str) -> None:
    """Make the database where it is missing."""
    # Asked first: a user may own a database without the right to make one.
    if not client.command(f"EXISTS DATABASE `{name}`"):
        client.command(f"CREATE DATABASE IF NOT EXISTS `{name}`")


def column_types(client: Client, table: Table) -> dict[str, str]:
    """Return the type of each column of the table that holds the rows; empty when there is no table."""
    rows = client.query(
        "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String}",
        parameters={"table": table.log},
    ).result_rows
    return {row[0]: row[1] for row in rows}


def _all_types(client: Client) -> dict[str, dict[str, str]]:
    rows = client.query(
        "SELECT table, name, type FROM system.columns WHERE database = currentDatabase()"
    ).result_rows
    found: dict[str, dict[str, str]] = {}
    for table, name, type_ in rows:
        found.setdefault(table, {})[name] = type_
    return found


def expected_types(log: str) -> Mapping[str, str]:
    """Return the type that the migrations give each column of a table that holds rows."""
    return {name: _type(definition) for name, definition in _expected(log).items()}


def bring_up_to_date(client: Client) -> Changes:
    """Apply what is pending, and make again the tables, views and columns that somebody dropped."""
    changes = migrate(client)
    lost = _missing_columns(client)
    for table, names in lost:
        _restore_columns(client, table, names)
    return Changes(changes.applied, changes.restored + _qualified(lost))


def missing(client: Client) -> list[str]:
    """Return the tables, views and columns that were made and are not there, changing nothing."""
    return migrations.missing(client) + _qualified(_missing_columns(client))


def _missing_columns(client: Client) -> list[tuple[Table, list[str]]]:
    """Return the columns that the migrations gave existing tables and that these have no more."""
    there = _all_types(client)
    lost = [
        (table, [name for name in expected_types(table.log) if name not in there[table.log]])
        for table in TABLES.values()
        if table.log in there
    ]
    return [(table, names) for table, names in lost if names]


def _qualified(columns: Sequence[tuple[Table, Sequence[str]]]) -> list[str]:
    return [f"{table.log}.{name}" for table, names in columns for name in names]


def _restore_columns(client: Client, table: Table, names: Sequence[str]) -> None:
    """Add columns that somebody dropped, empty."""
    added = ", ".join(f"ADD COLUMN IF NOT EXISTS {name} {_expected(table.log)[name]}" for name in names)
    client.command(f"ALTER TABLE {table.log} {added}", settings=_WAIT)
    client.command(_VIEW.format(table.name))


@cache
def _expected(log: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for migration in available():
        for statement in parts(migration.up):
            match = _COLUMNS.match(statement)
            if match and log in (match["made"], match["changed"]):
                found |= dict(_definitions(match["all"] or match["more"]))
    return found


def _definitions(text: str) -> Iterator[tuple[str, str]]:
    for definition in split(" ".join(text.split()), ","):
        match = _COLUMN.fullmatch(definition)
        if match and match[1] != "INDEX":
            yield match[1], match[2].partition(" AFTER ")[0]


def _type(definition: str) -> str:
    return split(definition, " ")[0].replace("( ", "(").replace(" )", ")")


def changed_column(types: Mapping[str, str], table: Table, written: Sequence[str]) -> str | None:
    """Return what is wrong with the type of a column that is written, None when all are as weir made them."""
    expected = expected_types(table.log)
    for name in written:
        wanted = expected.get(name, _METRIC_TYPE)
        if name in types and _plain(types[name]) != _plain(wanted):
            return f"column {name} of {table.log} is {types[name]} where weir made it {wanted}"
    return None


def _plain(type_: str) -> str:
    # How a column is stored is up to whoever runs the store: it takes the same values.
    match = _LOW_CARDINALITY.fullmatch(type_)
    return match[1] if match else type_


def check_metrics(metrics: Sequence[str]) -> None:
    """Raise `ValueError` when a metric cannot be a column of `events`."""
    for metric in metrics:
        if not _METRIC.fullmatch(metric):
            raise ValueError(f"{metric!r} cannot be a metric: letters, digits and _ only, no digit first")
        if metric in EVENTS.columns or metric == "inserted_at":
            raise ValueError(f"{metric!r} cannot be a metric: `events` has a column of that name already")


def add_metrics(client: Client, metrics: Sequence[str]) -> None:
    """Add a column of `events` for each metric, where it is missing.

    Nullable: where a metric does not apply it is NULL, which avg() and quantile() leave out; a single
    NaN would make them NaN.
    """
    added = ", ".join(f"ADD COLUMN IF NOT EXISTS `{metric}` {_METRIC_TYPE}" for metric in metrics)
    client.command(f"ALTER TABLE {EVENTS.log} {added}", settings=_WAIT)
    client.command(EVENTS_VIEW)


def apply_ttl(client: Client, days: int) -> None:
    """Have rows of tables that expire deleted `days` after they were inserted, 0 for never."""
    rows = client.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
    ).result_rows
    definitions = {row[0]: row[1] for row in rows}
    change = f"MODIFY TTL inserted_at + toIntervalDay({days:d})" if days else "REMOVE TTL"
    for table in TABLES.values():
        match = _TTL.search(definitions.get(table.log, "")) if table.expires else None
        if table.expires and days != (int(match[1]) if match else 0):
            client.command(f"ALTER TABLE {table.log} {change}", settings=_WAIT)
