"""ClickHouse: rows in, columnar and counted once; tables made and changed; queries."""

import contextlib
import logging
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.client import Client

from streams.store import bounded, ddl, migrations, queries, tables
from streams.store.errors import (
    CLIENT_ERRORS,
    LACKING,
    VALUE_ERRORS,
    RetryableStoreError,
    RowError,
    StoreError,
    UnknownColumnError,
    classify,
    error_code,
    not_acknowledged,
    unfitting,
    while_migrating,
)
from streams.store.queries import Result, Stream
from streams.store.settings import StoreSettings
from streams.store.token import find_token

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 2
"""How many time-outs an insert or query may take: a server that goes on saying a little may be at work."""
_AUTHENTICATION_FAILED = 516
_INSERT_SETTINGS = {
    # The insert is done when it returns, as one block, whatever the server's profile says.
    "async_insert": 0,
    # Timestamps come from outside: a batch of a backfill may touch more months than the default allows.
    "max_partitions_per_insert_block": 0,
}


# It logs the traceback of a value that does not fit, which may quote the value; the error is raised too.
logging.getLogger("clickhouse_connect.driver.transform").setLevel(logging.CRITICAL)


class Store:
    """The tables of weir in one ClickHouse database. Blocking; safe to share between threads.

    Connects at the first use, and again after a failure: while the server is down the calls fail with
    `RetryableStoreError`, the construction does not.
    """

    def __init__(
        self,
        url: str,
        *,
        database: str = "weir",
        user: str = "default",
        password: str = "",
        ca_file: Path | None = None,
        timeout: float = 30.0,
    ) -> None:
        """`url` is the HTTP interface, https for TLS checked against `ca_file`.

        `timeout`, in seconds, is without a byte of the answer; a connection, an insert or query ends after
        twice as long.

        Without a password, that of the embedded store is used where it answers at `url`.
        """
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self.url = url
        self.database = database
        self._password = password
        self._within_s = PATIENCE * timeout
        host, port = parts.hostname or "", parts.port or (8443 if secure else 8123)
        self._pools = bounded.pools(parts.scheme, host, port, str(ca_file) if ca_file else None)
        self._arguments: dict[str, Any] = {
            "host": host,
            "port": port,
            "pool_mgr": self._pools,
            "interface": parts.scheme,
            "username": user,
            "connect_timeout": min(timeout, 10.0),
            "send_receive_timeout": timeout,
            "autogenerate_session_id": False,  # the server runs one query of a session at a time
        }
        self._client: Client | None = None
        self._types: dict[str, dict[str, str]] = {}
        self._lock = threading.RLock()

    @property
    def client(self) -> Client:
        """The clickhouse-connect client, connected to the database; `StoreError` if that fails."""
        with self._lock:
            if self._client is None:
                self._client = self._connect(self.database)
            return self._client

    def _connect(self, database: str | None) -> Client:
        password = self._password or find_token(self.url)
        try:
            # Others wait for the lock meanwhile, whatever they ask for.
            with bounded.within(self._within_s):
                return clickhouse_connect.get_client(database=database, password=password, **self._arguments)
        except CLIENT_ERRORS as error:
            raise classify(error, self.url) from None

    def close(self) -> None:
        """Close the connections; the next use opens them again."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            bounded.close(self._pools)
            self._client = None

    def migrate(self, metrics: Sequence[str] = (), ttl_days: int | None = None) -> migrations.Changes:
        """Make or update the database and its tables; return the migrations applied, and what was lost.

        Tables, views and columns that somebody dropped are made again, without their rows.

        `metrics` become columns of `events`; rows of tables that expire are deleted after `ttl_days`, 0 keeps
        them for ever, None leaves that as it is. Harmless to repeat, and for two processes at a time.
        """
        self._create_database()
        try:
            changes = ddl.bring_up_to_date(self.client)
        except CLIENT_ERRORS as error:
            if error_code(error) in LACKING:  # the advice would be to run what runs here
                raise while_migrating(error) from None
            raise self._classified(error) from None
        self._types.clear()
        self.ensure_metric_columns(metrics)
        if ttl_days is not None:
            self._guarded(ddl.apply_ttl, self.client, ttl_days)
        return changes

    def pending(self) -> list[migrations.Migration]:
        """Return the migrations that `migrate` would apply, changing nothing."""
        return self._guarded(migrations.pending, self.client)

    def missing(self) -> list[str]:
        """Return the tables, views and columns that were made and are not there, changing nothing."""
        return self._guarded(ddl.missing, self.client)

    def rollback(self, to: int = 0) -> list[migrations.Migration]:
        """Undo the migrations above version `to`, with the rows of their tables; return them."""
        self._types.clear()
        return self._guarded(migrations.rollback, self.client, to)

    def ensure_metric_columns(self, metrics: Sequence[str]) -> list[str]:
        """Add a column to `events` for each metric that has none; return the new ones.

        `ValueError` when a metric cannot be a column.
        """
        ddl.check_metrics(metrics)
        self._types.pop(tables.EVENTS.name, None)
        known = self._column_types(tables.EVENTS) if metrics else {}
        new = [metric for metric in dict.fromkeys(metrics) if metric not in known]
        if new:
            self._guarded(ddl.add_metrics, self.client, new)
            self._types.pop(tables.EVENTS.name, None)
        return new

    def insert(self, batch: Sequence[msgspec.Struct], token: str) -> None:
        """Insert messages of one kind into its table; a metric that is new gets its column first.

        A retry of the same batch under the same token adds nothing. Raises `RetryableStoreError` (keep the
        rows, try again) or `RowError` (at least one row will never be taken: see `blocks.Blocks`), also for
        a row without a timestamp.
        """
        if not batch:
            return
        with bounded.within(self._within_s):
            self._insert(batch, token)

    def _insert(self, batch: Sequence[msgspec.Struct], token: str) -> None:
        table = tables.TABLES[type(batch[0])]
        columns, metrics = table.read(batch), table.metrics(batch)
        self._require(table, columns, metrics)
        columns.update(metrics)
        try:
            try:
                self._send(table, columns, token)
            except UnicodeEncodeError:
                self._send(table, tables.encodable(columns), token)
        except RowError as error:
            self._types.pop(table.name, None)  # the table may have changed under us
            if changed := ddl.changed_column(self._column_types(table), table, list(columns)):
                raise RetryableStoreError(f"{error}: {changed}; give it that type again") from None
            raise
        except StoreError:
            self._types.pop(table.name, None)
            raise

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Result:
        """Run a query and return all rows; `QueryError` holds the server's text when it is wrong.

        A statement that has no result, such as ALTER, gives neither columns nor rows.
        """
        with bounded.within(self._within_s):
            return queries.run(self.client, self.url, sql, parameters)

    def stream(self, sql: str) -> contextlib.AbstractContextManager[Stream]:
        """Run a query; its rows are read from the server as they are taken, in bounded memory.

        Errors are those of `query`, while rows are taken too.
        """
        return queries.stream(self.client, self.url, sql)

    def columns(self, sql: str) -> Generator[Sequence[Sequence[Any]], None, None]:
        """Run a query and yield its result block by block, each a sequence of columns, in bounded memory.

        Errors are those of `query`, while blocks are taken too.
        """
        return queries.columns(self.client, self.url, sql)

    def _create_database(self) -> None:
        if self._client is None:
            client = self._connect(None)
            try:
                self._guarded(ddl.create_database, client, self.database)
            finally:
                client.close()

    def _classified(self, error: Exception) -> StoreError:
        if error_code(error) == _AUTHENTICATION_FAILED:
            self.close()  # an embedded store that was made anew has a new token
        return classify(error, self.url)

    def _guarded(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return action(*args, **kwargs)
        except CLIENT_ERRORS as error:
            raise self._classified(error) from None

    def _column_types(self, table: tables.Table) -> dict[str, str]:
        if not self._types.get(table.name):
            self._types[table.name] = self._guarded(ddl.column_types, self.client, table)
        return self._types[table.name]

    def _require(self, table: tables.Table, columns: tables.Columns, metrics: tables.Columns) -> None:
        """Make sure that the table has all columns; add those of new metrics."""
        types = self._column_types(table)
        missing = [name for name in columns if name not in types]
        if missing:
            self._types.pop(table.name, None)
            what = f"column {missing[0]} is" if types else "it is"
            raise UnknownColumnError(
                f"Table {table.log} is not as expected ({what} missing): run `weir migrate`"
            )
        try:
            ddl.check_metrics(list(metrics))
        except ValueError as error:
            raise RowError(str(error)) from None
        new = [name for name in metrics if name not in types]
        if new:
            self.ensure_metric_columns(new)

    def _send(self, table: tables.Table, columns: tables.Columns, token: str) -> None:
        client, types = self.client, self._column_types(table)
        names, type_names = list(columns), [types[name] for name in columns]
        try:
            # Nothing of ours runs in here: what else it raises is about a value.
            answer = client.insert(
                table.log,
                list(columns.values()),
                column_names=names,
                column_type_names=type_names,
                column_oriented=True,
                settings={**_INSERT_SETTINGS, "insert_deduplication_token": token},
            )
        except UnicodeEncodeError:
            raise
        except CLIENT_ERRORS as error:
            raise self._classified(error) from None
        except VALUE_ERRORS as error:
            raise unfitting(error) from None
        if not answer.query_id():
            raise not_acknowledged(self.url)


def make_store(settings: StoreSettings) -> Store:
    """Return the store as the settings want it; it connects at the first use."""
    return Store(
        settings.clickhouse,
        database=settings.clickhouse_database,
        user=settings.clickhouse_user,
        password=settings.clickhouse_password.get_secret_value(),
        ca_file=settings.clickhouse_ca_file,
        timeout=settings.clickhouse_timeout_s,
    )
