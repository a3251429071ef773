"""Aligned columns for a terminal."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import click

GAP = "  "


class Cell(NamedTuple):
    """A text and how `click.style` colours it."""

    text: str
    style: Mapping[str, Any] = MappingProxyType({})


def width(text: str) -> int:
    """Return how many columns of a terminal `text` takes: two for an East Asian wide character, none for
    a combining one (UAX #11).
    """
    if text.isascii():
        return len(text)
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Aligner:
    """Pads the cells of line after line to the widest seen so far, at most `limit` columns."""

    def __init__(self, limit: int = 40) -> None:
        self._limit = limit
        self._widths: list[int] = []

    def line(self, cells: Sequence[Cell]) -> str:
        """Return one line; the last cell is not padded."""
        self._widths += [0] * (len(cells) - len(self._widths))
        parts = []
        for column, cell in enumerate(cells):
            padding = "" if column == len(cells) - 1 else " " * self._padding(column, width(cell.text))
            text = click.style(cell.text, **cell.style) if cell.style and cell.text else cell.text
            parts.append(text + padding)
        return GAP.join(parts).rstrip()

    def _padding(self, column: int, taken: int) -> int:
        self._widths[column] = max(self._widths[column], min(taken, self._limit))
        return self._widths[column] - taken


def aligned(lines: Iterable[Sequence[Cell]], limit: int = 40) -> list[str]:
    """Return lines whose columns are as wide as the widest cell of all, at most `limit`."""
    lines = list(lines)
    aligner = Aligner(limit)
    for line in lines:
        aligner.line(line)
    return [aligner.line(line) for line in lines]


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool] = ()) -> str:
    """Return a table with a header and a rule below it; `right` marks the columns aligned to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(width(line[column]) for line in lines) for column in range(len(header))]
    right = [*right, *[False] * (len(header) - len(right))]
    shown = [_padded(line, widths, right) for line in lines]
    shown.insert(1, GAP.join("─" * taken for taken in widths))
    return "\n".join(shown)


def _padded(line: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = []
    for text, wanted, flush_right in zip(line, widths, right, strict=True):
        padding = " " * (wanted - width(text))
        parts.append(padding + text if flush_right else text + padding)
    return GAP.join(parts).rstrip()
