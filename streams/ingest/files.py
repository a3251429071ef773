"""Reads rows from a JSONL, CSV or Parquet file, or from stdin; gzip is recognised by its first bytes."""

import asyncio
import csv
import gzip
import io
import itertools
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Literal, NamedTuple, Self, cast

from streams.errors import UserError

Format = Literal["jsonl", "csv", "parquet"]

FORMATS: Final[dict[str, Format]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
STDIN: Final = "-"
CHUNK_BYTES: Final = 256 * 1024
CHUNK_ROWS: Final = 1_000
_DELIMITERS: Final = ",;\t|"
_GZIP_MAGIC: Final = b"\x1f\x8b"


class InputRow(NamedTuple):
    """One line of JSONL as bytes, or one row of a table by column."""

    number: int
    """The line on which it begins, from 1; in a Parquet file the row."""
    value: bytes | dict[str, Any]
    problem: str = ""
    """Why there is no value."""


class RowSource:
    """A file of rows, opened. Raises `UserError` where it cannot be read."""

    def __init__(self, path: str, format_: Format | None = None) -> None:
        self.name = "stdin" if path == STDIN else Path(path).name
        self.format = format_ or guess(path)
        self.columns: tuple[str, ...] | None = None
        """The names of the columns; None where every row has its own."""
        self.size: int | None = None
        """How much there is in all, in the unit of `position`: bytes, or the rows of a Parquet file."""
        self._path = path
        self._rows_read = 0
        self._raw: BinaryIO | None = None
        self._live, self._peeked = False, True
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._open()
        except OSError as error:
            self._stack.close()
            raise UserError(f"{self._path} cannot be read: {error.strerror or error}") from None
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def position(self) -> int:
        """How much was read, in the unit of `size`."""
        return self._raw.tell() if self._raw is not None and self.size is not None else self._rows_read

    def chunks(self) -> Iterator[list[InputRow]]:
        """Yield what can be read at once; from a pipe, what has been written to it so far."""
        try:
            yield from self._chunks
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise UserError(f"{self.name}: the gzip data is damaged or ends early") from None
        except csv.Error as error:
            raise UserError(f"{self.name}: not a CSV file that can be read: {error}") from None

    async def ready(self) -> None:
        """Wait until reading will not block, where the system can tell."""
        if not self._live:
            return
        if self._peeked:
            self._peeked = False  # the first bytes are in our own buffer, of which the system knows nothing
            return
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        try:
            loop.add_reader(sys.stdin.fileno(), readable.set)
        except (OSError, ValueError, NotImplementedError):
            return  # a regular file is always ready, and epoll refuses it
        try:
            await readable.wait()
        finally:
            loop.remove_reader(sys.stdin.fileno())

    def _open(self) -> None:
        if self.format == "parquet":
            self._chunks = self._open_parquet()
            return
        if self._path == STDIN:
            stdin = sys.stdin.buffer
            raw = stdin if isinstance(stdin, io.BufferedReader) else io.BufferedReader(cast(Any, stdin))
        else:
            raw = self._stack.enter_context(Path(self._path).open("rb"))  # noqa: SIM115 (closed by the stack)
            self._raw, self.size = raw, os.fstat(raw.fileno()).st_size or None
        compressed = raw.peek(2)[:2] == _GZIP_MAGIC
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if compressed else raw
        if self.format == "csv":
            self._chunks = self._open_csv(stream)
        else:
            self._live = self._path == STDIN and not compressed
            self._chunks = self._lines(stream)

    def _lines(self, stream: BinaryIO) -> Iterator[list[InputRow]]:
        number = 0
        rest: list[bytes] = []  # joined only when the line ends: a line of many chunks is not copied for each
        read = getattr(stream, "read1", stream.read)
        while chunk := read(CHUNK_BYTES):
            lines = chunk.split(b"\n")
            if len(lines) > 1:
                lines[0] = b"".join([*rest, lines[0]])
                rest.clear()
            rest.append(lines.pop())
            if lines:
                yield [InputRow(i, line) for i, line in enumerate(lines, number + 1)]
                number += len(lines)
        if last := b"".join(rest):
            yield [InputRow(number + 1, last)]

    def _open_csv(self, stream: BinaryIO) -> Iterator[list[InputRow]]:
        csv.field_size_limit(sys.maxsize)
        # Bytes that are not UTF-8 pass as lone surrogates: the row that has them is refused, not the file.
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._stack.callback(text.detach)
        first = text.readline()
        delimiter = "\t" if ".tsv" in Path(self._path).suffixes else _delimiter(first)
        reader = csv.reader(itertools.chain([first], text) if first else text, delimiter=delimiter)
        header = next(reader, None)
        if header is None:
            raise UserError(f"{self.name} is empty: its first line must name the columns")
        if doubled := [name for name in header if header.count(name) > 1]:
            raise UserError(f"{self.name}: the column {doubled[0]!r} stands twice in the header")
        self.columns = tuple(header)
        return self._csv_rows(reader, header)

    def _csv_rows(self, reader: Any, header: Sequence[str]) -> Iterator[list[InputRow]]:
        rows: list[InputRow] = []
        first = reader.line_num + 1
        for cells in reader:
            if cells:
                rows.append(_csv_row(first, header, cells))
            first = reader.line_num + 1
            if len(rows) >= CHUNK_ROWS:
                yield rows
                rows = []
        if rows:
            yield rows

    def _open_parquet(self) -> Iterator[list[InputRow]]:
        if self._path == STDIN:
            raise UserError("Parquet cannot be read from stdin: name a file")
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise UserError(
                "reading Parquet needs pyarrow: `pip install '.[local]'` in the checkout of weir, or export "
                "JSONL or CSV"
            ) from None
        try:
            file = self._stack.enter_context(pyarrow.parquet.ParquetFile(self._path))
        except pyarrow.ArrowInvalid:
            raise UserError(f"{self.name} is not a Parquet file") from None
        self.columns, self.size = tuple(file.schema_arrow.names), file.metadata.num_rows
        return self._parquet_rows(file, pyarrow)

    def _parquet_rows(self, file: Any, pyarrow: Any) -> Iterator[list[InputRow]]:
        try:
            for batch in file.iter_batches(CHUNK_ROWS):
                values = _without_nanoseconds(batch, pyarrow).to_pylist()
                yield [InputRow(i, value) for i, value in enumerate(values, self._rows_read + 1)]
                self._rows_read += len(values)
        except (pyarrow.ArrowException, OSError) as error:
            raise UserError(
                f"{self.name}: damaged after row {self._rows_read} ({type(error).__name__})"
            ) from None


def guess(path: str) -> Format:
    """Return the format that a file's name tells; stdin is JSONL. Raises `UserError` for any other name."""
    if path == STDIN:
        return "jsonl"
    name = Path(path.removesuffix(".gz"))
    if found := FORMATS.get(name.suffix.lower()):
        return found
    raise UserError(f"what is in {name.name!r}? Add --format jsonl, csv or parquet")


def _delimiter(header: str) -> str:
    """Return what separates the columns of a header: a comma, or else the first that separates any."""
    return next(
        (each for each in _DELIMITERS if len(next(csv.reader([header], delimiter=each), ())) > 1), ","
    )


def _csv_row(number: int, header: Sequence[str], cells: Sequence[str]) -> InputRow:
    if len(cells) != len(header):
        return InputRow(number, b"", f"{len(cells)} cells, where the header has {len(header)} columns")
    return InputRow(number, dict(zip(header, cells, strict=True)))


def _without_nanoseconds(batch: Any, pyarrow: Any) -> Any:
    """Cut timestamps to microseconds, as far as Python's datetime goes."""
    columns = [
        column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
        if pyarrow.types.is_timestamp(column.type)
        else column
        for column in batch.columns
    ]
    return pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names)
