"""Query results as a table, TSV, CSV or JSON."""

import csv
import datetime as dt
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from streams.aligned import table
from streams.terminal import plain

ResultFormat = Literal["table", "tsv", "csv", "json"]

_TSV: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
"""Escapes as ClickHouse's own TabSeparated format has them."""


def render(format_: ResultFormat, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return the whole result as text without a final newline.

    A table shows floats to six digits, the others all of them. A missing value is empty in a table and in
    CSV, `\\N` in TSV, null in JSON.
    """
    if format_ == "json":
        records = [dict(zip(columns, map(_json, row), strict=True)) for row in rows]
        return msgspec.json.format(msgspec.json.encode(records, enc_hook=str)).decode()
    if format_ == "csv":
        return _csv(columns, rows)
    if format_ == "tsv":
        lines = [
            columns,
            *([r"\N" if cell is None else _text(cell).translate(_TSV) for cell in row] for row in rows),
        ]
        return "\n".join("\t".join(line) for line in lines)
    numeric = [_all_numbers(row[i] for row in rows) for i in range(len(columns))]
    return table([plain(name) for name in columns], [list(map(_short, row)) for row in rows], numeric)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    # Texts are quoted one and all, as ClickHouse does: csv itself leaves a lone carriage return bare.
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns)
    writer.writerows([cell if _is_number(cell) else _text(cell) for cell in row] for row in rows)
    return text.getvalue().removesuffix("\n")


def _text(value: Any) -> str:
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
