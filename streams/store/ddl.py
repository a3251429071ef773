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


def expected_types(log: str) -> Mapping[str, str]:
    """Return the type that the migrations give each column of a table that holds rows."""
    return {name: _type(definition) for name, definition in _expected(log).items()}


def bring_up_to_date(client: Client) -> Changes:
    """Apply what is pending, and make again the tables, views and columns that somebody dropped."""
    changes = migrate(client)
    columns = [f"{table.log}.{name}" for table in TABLES.values() for name in restore_columns(client, table)]
    return Changes(changes.applied, changes.restored + columns)


def missing(client: Client) -> list[str]:
    """Return the tables, views and columns that were made and are not there, changing nothing."""
    columns = [f"{table.log}.{name}" for table in TABLES.values() for name in missing_columns(client, table)]
    return migrations.missing(client) + columns


def missing_columns(client: Client, table: Table) -> list[str]:
    """Return the columns that the migrations gave an existing table and that it has no more."""
    types = column_types(client, table)
    return [name for name in expected_types(table.log) if types and name not in types]


def restore_columns(client: Client, table: Table) -> list[str]:
    """Add the columns that somebody dropped, empty; return their names."""
    lost = missing_columns(client, table)
    if lost:
        added = ", ".join(f"ADD COLUMN IF NOT EXISTS {name} {_expected(table.log)[name]}" for name in lost)
        client.command(f"ALTER TABLE {table.log} {added}", settings=_WAIT)
        client.command(_VIEW.format(table.name))
    return lost


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


def apply_ttl(client: Client, table: Table, days: int) -> bool:
    """Have rows deleted `days` after they were inserted, 0 for never; return whether that was news."""
    definition = client.query(f"SHOW CREATE TABLE {table.log}").result_rows[0][0]
    match = _TTL.search(definition)
    if days == (int(match[1]) if match else 0):
        return False
    change = f"MODIFY TTL inserted_at + toIntervalDay({days:d})" if days else "REMOVE TTL"
    client.command(f"ALTER TABLE {table.log} {change}", settings=_WAIT)
    return True
