"""Numbered changes of the store's tables, forward and backward.

`schemas/sql/NNNN_name.sql` goes forward, `NNNN_name.down.sql` back. Each statement
must be harmless when run twice (`IF NOT EXISTS`, `OR REPLACE`): ClickHouse has no transactions, two processes
may migrate at the same time, and what somebody dropped is made again so.
"""

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from clickhouse_connect.driver.client import Client

from streams.errors import WeirError
from streams.store.sql_text import statements, without_comments

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
_MADE = re.compile(r"CREATE (?:TABLE IF NOT EXISTS|OR REPLACE VIEW) (\w+)")
_HISTORY = """
CREATE TABLE IF NOT EXISTS schema_migrations
(version UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = ReplacingMergeTree ORDER BY version
"""


class MigrationError(WeirError):
    """The tables and the migration files contradict each other; the message says how."""


@dataclass(frozen=True)
class Migration:
    """One numbered change, with the SQL of both directions."""

    version: int
    name: str
    up: str
    down: str

    @property
    def checksum(self) -> str:
        """Of the forward file, the same whatever the line endings."""
        return hashlib.sha256(self.up.replace("\r\n", "\n").encode()).hexdigest()


@dataclass(frozen=True)
class Changes:
    """What `migrate` did: the migrations applied for the first time, and what it made again, by name."""

    applied: list[Migration]
    restored: list[str]


def available(folder: Traversable | None = None) -> list[Migration]:
    """Return the migrations of `folder` (default: those that ship), in order."""
    folder = folder or files("schemas") / "sql"
    found = []
    for entry in folder.iterdir():
        if match := _FILE.fullmatch(entry.name):
            down = (folder / entry.name.replace(".sql", ".down.sql")).read_text("utf-8")
            found.append(Migration(int(match[1]), match[2], entry.read_text("utf-8"), down))
    return sorted(found, key=lambda migration: migration.version)


def migrate(client: Client, migrations: list[Migration] | None = None) -> Changes:
    """Apply what is pending to the client's database, in order; make missing tables and views again."""
    migrations = available() if migrations is None else migrations
    client.command(_HISTORY)
    done = _history(client)
    _verify(migrations, done)
    if lost := missing(client, migrations):
        # All that was applied, in order, not the lost ones alone: later migrations build on earlier ones.
        for migration in migrations:
            if migration.version in done:
                _run(client, migration.up)
    pending = [migration for migration in migrations if migration.version not in done]
    applied: list[Migration] = []
    try:
        for migration in pending:
            _run(client, migration.up)
            applied.append(migration)
    finally:
        _note(client, applied)
    return Changes(pending, lost)


def rollback(client: Client, to: int, migrations: list[Migration] | None = None) -> list[Migration]:
    """Undo every applied migration above version `to`, the newest first; return what was undone."""
    migrations = available() if migrations is None else migrations
    client.command(_HISTORY)
    done = _history(client)
    _verify(migrations, done)
    undone = [m for m in reversed(migrations) if m.version in done and m.version > to]
    for migration in undone:
        _run(client, migration.down)
        # Waited for: a `migrate` right after this must not find the row.
        client.command(
            "ALTER TABLE schema_migrations DELETE WHERE version = {version:UInt32}",
            parameters={"version": migration.version},
            settings={"mutations_sync": 1},
        )
    return undone


def pending(client: Client, migrations: list[Migration] | None = None) -> list[Migration]:
    """Return what `migrate` would apply, changing nothing."""
    exists = client.command("EXISTS TABLE schema_migrations")
    done = _history(client) if exists else {}
    return [m for m in (available() if migrations is None else migrations) if m.version not in done]


def missing(client: Client, migrations: list[Migration] | None = None) -> list[str]:
    """Return the tables and views that the history says were made and that are not there."""
    there = {row[0] for row in client.query("SHOW TABLES").result_rows}
    done = _history(client) if "schema_migrations" in there else {}
    applied = [m for m in (available() if migrations is None else migrations) if m.version in done]
    made = dict.fromkeys(name for m in applied for text in parts(m.up) for name in _MADE.findall(text))
    return [name for name in made if name not in there]


def parts(sql: str) -> list[str]:
    """Return the statements of a migration, without comments."""
    return statements(without_comments(sql))


def _history(client: Client) -> dict[int, tuple[str, str]]:
    rows = client.query("SELECT version, name, checksum FROM schema_migrations FINAL").result_rows
    return {version: (name, checksum) for version, name, checksum in rows}


def _note(client: Client, applied: list[Migration]) -> None:
    # Last, and together: after a crash before it they are run once more, which is harmless. As a statement:
    # an insert of the client imports what is there of pandas and Arrow.
    if applied:
        rows = ", ".join(f"({m.version}, '{m.name}', '{m.checksum}')" for m in applied)
        client.command(f"INSERT INTO schema_migrations (version, name, checksum) VALUES {rows}")  # noqa: S608


def _verify(migrations: list[Migration], done: dict[int, tuple[str, str]]) -> None:
    known = {migration.version: migration for migration in migrations}
    for version, (name, checksum) in sorted(done.items()):
        if version not in known:
            raise MigrationError(
                f"Migration {version:04d}_{name} was applied, but this version of weir does not know it. "
                "Install the version that made the tables, or a later one."
            )
        if known[version].checksum != checksum:
            raise MigrationError(
                f"Migration {version:04d}_{name} was changed after it was applied. Restore the file, "
                "and put the change into a migration with a new number."
            )


def _run(client: Client, sql: str) -> None:
    for statement in parts(sql):
        # Every replica has the change before the next statement builds on it.
        client.command(statement, settings={"alter_sync": 2})
