"""The ClickHouse engine inside this process (chDB), one data directory, many threads."""

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

from chdb import ChdbError
from chdb.state.sqlitelike import Connection

from streams.local.grants import write_config
from streams.local.rules import Catalogue, RefusedError
from streams.local.statement import Insert, Query, parse

_CODE = re.compile(r"Code: (\d+)\.")
# What a message says of our way of asking: the nested query, the file behind an insert, itself twice.
_OURS = re.compile(
    r"\.? ?: In scope SELECT formatQuery\(.*(?=\. \([A-Z_]+\)\s*\Z)"
    r"|: data for INSERT was parsed from file|: \(in file/uri [^)]*\)|: While executing File\b"
    r"|Code: \d+\. DB::\w+: (?=Code: \d+\. DB::)| \(version [^)]*\)\. \([A-Z_]+\)",
    re.DOTALL,
)
# In the database `default` of an embedded engine a name that is no table is a file's. So statements without
# a database run in one of our own, and what asks `default` for a file is told that there is no such table.
_DEFAULT, DATABASE = "default", "main"
_NO_TABLE = "the grant READ ON FILE"
_UNKNOWN_TABLE = "Code: 60. DB::Exception: Unknown table in `default`: {} (UNKNOWN_TABLE)"
_NO_UTF8 = "codec can't decode"
_NOT_OF_FORMAT = "Code: 117. DB::Exception: The data is not of the format that was named (INCORRECT_DATA)"
_SETTING_NAME = re.compile(r"[A-Za-z_]\w*")
_Handle = Any  # chdb's Connection: it takes statements as bytes, though it is annotated for str only


class EngineError(Exception):
    """The engine refused a statement: its own text, and ClickHouse's error code."""

    def __init__(self, text: str, version: str) -> None:
        start = max(text.find("Code: "), 0)
        text = text[start:].strip()
        super().__init__(text if "(version" in text else f"{text} (version {version})")
        match = _CODE.match(text)
        self.code = int(match[1]) if match else 1002  # UNKNOWN_EXCEPTION


@dataclass(frozen=True)
class Request:
    """A statement with everything that HTTP says beside it."""

    text: bytes
    database: str = ""
    default_format: str = "TabSeparated"
    settings: Mapping[str, str] | None = None
    parameters: Mapping[str, str] | None = None
    read_only: bool = False
    """Whether it may change nothing, whatever its settings say."""


@dataclass(frozen=True)
class Prepared:
    """A request whose statement was read, and may run."""

    request: Request
    statement: Insert | Query

    @property
    def is_short(self) -> bool:
        """Whether it takes no longer than its rows: an insert of rows, or a question about the tables."""
        return isinstance(self.statement, Insert) or self.statement.is_short


@dataclass(frozen=True)
class QueryOutcome:
    """What a statement did."""

    format: str | None
    """Of the result; None when the statement has no result."""
    summary: dict[str, str]
    """The counters of `X-ClickHouse-Summary`."""


class Engine:
    """Runs statements, each on a connection of its own: no setting and no USE leaks into the next.

    All methods block and may be called from many threads at once.
    """

    def __init__(self, path: Path, memory: int) -> None:
        """Open `path`; `memory` bounds what all queries together may use, in bytes."""
        self._path = str(path)
        # Caches are sized for servers by default; this one shares a laptop with the stream.
        limits = {
            "max_server_memory_usage": memory,
            "mark_cache_size": 64 << 20,
            "config-file": str(write_config(path / "access")),
        }
        self._keeper = Connection(f"{path}?{urlencode(limits, safe='/')}")
        self.version, self.timezone = _column(self._keeper, "SELECT arrayJoin([version(), timezone()])")
        self._catalogue = _catalogue(self._keeper)
        self._keeper.query(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")

    def close(self) -> None:
        """Close the data directory cleanly."""
        self._keeper.close()

    def prepare(self, request: Request) -> Prepared:
        """Read the statement as the engine does; `EngineError` when it is wrong or may not run here."""
        try:
            for name in request.settings or {}:
                self._catalogue.check_setting(name)
            statement = parse(request.text, request.default_format, self._canonical)
            self._catalogue.check_format(statement.format)
            self._catalogue.check(statement.text, read_only=request.read_only)
        except (ChdbError, RuntimeError, RefusedError) as error:
            raise self._error(error) from None
        return Prepared(request, statement)

    def execute(self, prepared: Prepared, write: Callable[[bytes], None]) -> QueryOutcome:
        """Run a statement and hand the result to `write`, in parts; `EngineError` when it fails.

        When it returns, all is done and written: nothing fails afterwards.
        """
        statement, request = prepared.statement, prepared.request
        started = time.perf_counter_ns()
        try:
            with self._connection(request) as connection:
                if isinstance(statement, Insert):
                    counters = self._insert(connection, statement)
                else:
                    counters = _query(connection, statement, dict(request.parameters or {}), write)
        except (ChdbError, RuntimeError) as error:
            if _NO_TABLE in str(error):
                raise EngineError(_UNKNOWN_TABLE.format(statement.text), self.version) from None
            raise self._error(error) from None
        counters["elapsed_ns"] = time.perf_counter_ns() - started
        has_result = isinstance(statement, Query) and statement.has_result
        return QueryOutcome(
            statement.format if has_result else None, {k: str(v) for k, v in counters.items()}
        )

    def _error(self, error: Exception) -> EngineError:
        text = str(error)
        # chDB reads the message as UTF-8: it stumbles over bytes of the data in it, or hands over nothing.
        lost = _NO_UTF8 in text or text.rstrip().endswith("failed:")
        return EngineError(_NOT_OF_FORMAT if lost else _OURS.sub("", text), self.version)

    def _canonical(self, statement: bytes) -> str:
        """Return one statement as the engine's parser understands it, without comments.

        That is what is run, so that nothing can be read in one way and run in another.
        """
        connection: _Handle = Connection(self._path)
        try:
            text = _quote(statement.decode("utf-8", "surrogateescape"), "'")
            query = f"SELECT formatQuery({text})".encode("utf-8", "surrogateescape")
            return bytes(connection.query(query, "RawBLOB").bytes()).decode("utf-8", "surrogateescape")
        finally:
            connection.close()

    @contextmanager
    def _connection(self, request: Request) -> Iterator[_Handle]:
        connection: _Handle = Connection(self._path)
        try:
            database = DATABASE if request.database in ("", _DEFAULT) else request.database
            connection.query(f"USE {_quote(database, '`')}")
            if request.read_only:
                # First, and by itself: what follows can change any setting but this one.
                connection.query("SET readonly = 2")
            if request.settings:
                connection.query("SET " + ", ".join(_assignment(k, v) for k, v in request.settings.items()))
            yield connection
        finally:
            connection.close()

    def _insert(self, connection: _Handle, insert: Insert) -> dict[str, int]:
        """Insert from a file in memory: chDB's streaming insert tells of no error at its end."""
        with _rows(insert.data, self._path) as rows:
            statement = insert.from_file(f"/proc/self/fd/{rows.fileno()}")
            result = connection.query(_encoded(statement), "Null")
        return {
            "read_rows": 0,
            "read_bytes": 0,
            "written_rows": result.rows_written(),
            "written_bytes": result.bytes_written(),
        }


def _rows(data: memoryview, folder: str) -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        file: IO[bytes] = os.fdopen(os.memfd_create("rows"), "wb", buffering=0)
    else:
        file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (the caller closes it)
    while data:
        data = data[file.write(data) :]
    return file


def _column(connection: _Handle, query: str) -> list[str]:
    return list(connection.query(query, "TSVRaw").bytes().decode().split("\n")[:-1])


def _catalogue(connection: _Handle) -> Catalogue:
    sources = _column(
        connection,
        "SELECT name FROM system.table_functions UNION ALL SELECT name FROM system.table_engines "
        "UNION ALL SELECT name FROM system.database_engines",
    )
    settings = _column(
        connection,
        "SELECT concat(name, ' ', type) FROM (SELECT name, type FROM system.settings "
        "UNION ALL SELECT name, type FROM system.merge_tree_settings)",
    )
    formats = _column(connection, "SELECT lower(name) FROM system.formats")
    return Catalogue(
        frozenset(map(str.lower, sources)), dict(line.split(" ", 1) for line in settings), frozenset(formats)
    )


def _query(
    connection: _Handle, query: Query, parameters: dict[str, str], write: Callable[[bytes], None]
) -> dict[str, int]:
    counters = {"read_rows": 0, "read_bytes": 0, "written_rows": 0, "written_bytes": 0}
    size = 0
    for part in _parts(connection, query, parameters):
        data = part.bytes()
        size += len(data)
        write(data)
        counters["read_rows"] += part.storage_rows_read()
        counters["read_bytes"] += part.storage_bytes_read()
        counters["written_rows"] += part.rows_written()
        counters["written_bytes"] += part.bytes_written()
    if not size and query.has_result and query.format.lower() == "native":
        write(_empty_block(connection, query, parameters))
    return counters


def _parts(connection: _Handle, query: Query, parameters: dict[str, str]) -> Iterator[Any]:
    if query.streams:
        with connection.send_query(_encoded(query.text), query.format, params=parameters) as stream:
            yield from stream
    else:
        yield connection.query(_encoded(query.text), query.format, params=parameters)


def _empty_block(connection: _Handle, query: Query, parameters: dict[str, str]) -> bytes:
    """Return the header that ClickHouse sends for a result without rows and chDB leaves out."""
    document = connection.query(_encoded(query.in_format("JSON")), "JSON", params=parameters)
    columns = json.loads(document.bytes())["meta"]
    names = b"".join(_prefixed(column["name"]) + _prefixed(column["type"]) for column in columns)
    return _varint(len(columns)) + _varint(0) + names


def _encoded(statement: str) -> bytes:
    return statement.encode("utf-8", "surrogateescape")


def _prefixed(text: str) -> bytes:
    data = text.encode()
    return _varint(len(data)) + data


def _varint(value: int) -> bytes:
    """Encode as LEB128, the length prefix of the Native format."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _assignment(name: str, value: str) -> str:
    if not _SETTING_NAME.fullmatch(name):
        raise RuntimeError(f"Code: 115. DB::Exception: Unknown setting '{name}'. (UNKNOWN_SETTING)")
    return f"{name} = {_quote(value, chr(39))}"


def _quote(text: str, mark: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(mark, "\\" + mark)
    return f"{mark}{escaped}{mark}"
