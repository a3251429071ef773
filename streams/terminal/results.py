"""Query results as a table, TSV, CSV or JSON, written while they are read."""

import csv
import datetime as dt
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from streams.terminal.command import WIDE, json_text, plain
from streams.terminal.table import TextTable

ResultFormat = Literal["table", "tsv", "csv", "json"]
Row = Sequence[Any]

SAMPLE: Final = 1_000
"""Rows that decide how wide the columns of a table are: more would have to be held back."""
_TSV: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
"""Escapes as ClickHouse's own TabSeparated format has them."""


def render(
    format_: ResultFormat, columns: Sequence[str], rows: Iterable[Row], room: int = WIDE
) -> Iterator[str]:
    """Yield the result line by line, each with its line break.

    A table is `room` columns wide and shows floats to six digits, the others all of them. A missing value is
    empty in a table and in CSV, `\\N` in TSV, null in JSON.
    """
    lines = {"json": _json_lines, "csv": _csv_lines, "tsv": _tsv_lines}.get(format_)
    return lines(columns, rows) if lines else _table_lines(columns, iter(rows), room)


def _table_lines(columns: Sequence[str], rows: Iterator[Row], room: int) -> Iterator[str]:
    sample = list(itertools.islice(rows, SAMPLE))
    numeric = [_all_numbers(row[i] for row in sample) for i in range(len(columns))]
    shown = [list(map(_short, row)) for row in sample]
    table = TextTable([plain(name) for name in columns], shown, numeric, room)
    lines = [table.head(), map(table.row, shown), (table.row(list(map(_short, row))) for row in rows)]
    return (line + "\n" for line in itertools.chain.from_iterable(lines))


def _tsv_lines(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    yield "\t".join(name.translate(_TSV) for name in columns) + "\n"
    for row in rows:
        yield "\t".join(r"\N" if cell is None else _text(cell).translate(_TSV) for cell in row) + "\n"


def _csv_lines(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    text = io.StringIO()
    # Texts are quoted one and all, as ClickHouse does: csv itself leaves a lone carriage return bare.
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for row in itertools.chain([columns], rows):
        writer.writerow([cell if _is_number(cell) else _text(cell) for cell in row])
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def _json_lines(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    before = "["
    for row in rows:
        record = dict(zip(columns, map(_json, row), strict=True))
        text = msgspec.json.format(msgspec.json.encode(record, enc_hook=str)).decode()
        # Not splitlines: a text may hold what Unicode takes for a line break.
        yield f"{before}\n  " + json_text(text).replace("\n", "\n  ")
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.isoformat(" ", "milliseconds" if value.microsecond else "seconds")
    if isinstance(value, (list, tuple, dict)):
        return msgspec.json.encode(_json(value), enc_hook=str).decode()
    return str(value)


def _short(value: Any) -> str:
    return format(value, ".6g") if isinstance(value, float) else plain(_text(value))


def _json(value: Any) -> Any:
    """Return a value that JSON can hold: keys that are text, times that name their zone (the store's UTC)."""
    if isinstance(value, Mapping):
        return {str(key): _json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(entry) for entry in value]
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        return value.replace(tzinfo=dt.UTC)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _all_numbers(values: Iterable[Any]) -> bool:
    given = [value for value in values if value is not None]
    return bool(given) and all(map(_is_number, given))
