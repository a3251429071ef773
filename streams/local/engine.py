"""The ClickHouse engine inside this process (chDB), one data directory, many threads."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from chdb import ChdbError
from chdb.state.sqlitelike import Connection

from streams.local.statement import Insert, Query, parse

_CODE = re.compile(r"Code: (\d+)\.")
_SETTING_NAME = re.compile(r"[A-Za-z_]\w*")
_APPEND = 1 << 20
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


@dataclass(frozen=True)
class Outcome:
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
        limits = {"max_server_memory_usage": memory, "mark_cache_size": 64 << 20}
        self._keeper = Connection(f"{path}?{urlencode(limits)}")
        self.version, self.timezone = (
            self._keeper.query("SELECT version(), timezone()", "TSV").bytes().decode().split()
        )

    def close(self) -> None:
        """Close the data directory cleanly."""
        self._keeper.close()

    def execute(self, request: Request, write: Callable[[bytes], None]) -> Outcome:
        """Run a statement and hand the result to `write`, in parts; `EngineError` when it fails."""
        statement = parse(request.text, request.default_format)
        started = time.perf_counter_ns()
        try:
            with self._connection(request) as connection:
                if isinstance(statement, Insert):
                    counters = _insert(connection, statement)
                else:
                    counters = _query(connection, statement, dict(request.parameters or {}), write)
        except (ChdbError, RuntimeError) as error:
            raise EngineError(str(error), self.version) from None
        counters["elapsed_ns"] = time.perf_counter_ns() - started
        has_result = isinstance(statement, Query) and statement.has_result
        return Outcome(statement.format if has_result else None, {k: str(v) for k, v in counters.items()})

    @contextmanager
    def _connection(self, request: Request) -> Iterator[_Handle]:
        connection: _Handle = Connection(self._path)
        try:
            if request.database:
                connection.query(f"USE {_quote(request.database, '`')}")
            if request.settings:
                connection.query("SET " + ", ".join(_assignment(k, v) for k, v in request.settings.items()))
            yield connection
        finally:
            connection.close()


def _insert(connection: _Handle, insert: Insert) -> dict[str, int]:
    with connection.send_insert(insert.head, insert.format) as rows:
        for start in range(0, len(insert.data), _APPEND):
            rows.append(insert.data[start : start + _APPEND])
        result = rows.finish()
    return {
        "read_rows": 0,
        "read_bytes": 0,
        "written_rows": result.rows_written,
        "written_bytes": result.bytes_written,
    }


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
        with connection.send_query(query.text, query.format, params=parameters) as stream:
            yield from stream
    else:
        yield connection.query(query.text, query.format, params=parameters)


def _empty_block(connection: _Handle, query: Query, parameters: dict[str, str]) -> bytes:
    """Return the header that ClickHouse sends for a result without rows and chDB leaves out."""
    document = connection.query(query.in_format("JSON"), "JSON", params=parameters)
    columns = json.loads(document.bytes())["meta"]
    names = b"".join(_prefixed(column["name"]) + _prefixed(column["type"]) for column in columns)
    return _varint(len(columns)) + _varint(0) + names


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
