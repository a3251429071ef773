"""The store's tables beyond the numbered migrations: the database, metric columns, retention."""

import re
from collections.abc import Sequence

from clickhouse_connect.driver.client import Client

from streams.rows import EVENTS, Table

EVENTS_VIEW = (
    "CREATE OR REPLACE VIEW events AS SELECT * FROM events_log FINAL"
    " SETTINGS do_not_merge_across_partitions_select_final = 1"
)
"""As in the migrations; run again for new columns, a view keeps those of the day it was made."""

_METRIC = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TTL = re.compile(r"\bTTL inserted_at \+ toIntervalDay\((\d+)\)")
_WAIT = {"alter_sync": 2}


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
    added = ", ".join(f"ADD COLUMN IF NOT EXISTS `{metric}` Nullable(Float32)" for metric in metrics)
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
