"""Aligned columns for a terminal, as wide as it is."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import click
from wcwidth import clip, width, wrap

from streams.terminal.command import WIDE, plain

GAP: Final = "  "
INDENT: Final = "    "
"""Of the lines on which a line goes on that is wider than the terminal."""
LEAST: Final = 8
"""Columns of text that still tell something: a table that leaves less shows each row on lines of its own."""


class Cell(NamedTuple):
    """A text, which may come from anywhere, and how `click.style` colours it."""

    text: str
    style: Mapping[str, Any] = MappingProxyType({})


class Aligner:
    """Pads the cells of line after line to the widest seen so far, at most `limit` columns.

    A line wider than `room` goes on in the next one, indented.
    """

    def __init__(self, limit: int = 40, room: int = WIDE) -> None:
        self._limit = limit
        self._room = room
        self._widths: list[int] = []

    def line(self, cells: Sequence[Cell]) -> str:
        """Return one line, free of what a terminal would obey; the last cell is not padded."""
        cells = [Cell(plain(text), style) for text, style in cells]
        self._widths += [0] * (len(cells) - len(self._widths))
        parts = [
            _styled(cell) + " " * self._padding(column, width(cell.text)) for column, cell in enumerate(cells)
        ]
        line = GAP.join(parts).rstrip()
        if width(line) <= self._room:
            return line
        # Side by side no longer works: without padding it takes the fewest lines.
        return folded(GAP.join(_styled(cell) for cell in cells if cell.text), self._room)

    def _padding(self, column: int, taken: int) -> int:
        self._widths[column] = max(self._widths[column], min(taken, self._limit))
        return self._widths[column] - taken


def _styled(cell: Cell) -> str:
    return click.style(cell.text, **cell.style) if cell.style and cell.text else cell.text


def folded(text: str, room: int, indent: str = INDENT) -> str:
    """Return `text` on lines of at most `room` columns, broken at blanks; all but the first are indented."""
    lines = wrap(text, max(room, LEAST + len(indent)), subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(lines)


def aligned(lines: Iterable[Sequence[Cell]], limit: int = 40, room: int = WIDE) -> list[str]:
    """Return lines whose columns are as wide as the widest cell of all, at most `limit`."""
    lines = list(lines)
    aligner = Aligner(limit, room)
    for line in lines:
        aligner.line(line)
    return [aligner.line(line) for line in lines]


class TextTable:
    """Rows under a header and a rule, in `room` columns: text is cut (`…`), a number is not.

    Where too little of the text would be left, each row takes lines of its own, one per column.

    Args:
        header: names of the columns.
        sample: rows that decide how wide the columns are.
        right: the columns of numbers, aligned to the right.
        room: columns of the terminal.

    """

    def __init__(
        self, header: Sequence[str], sample: Sequence[Sequence[str]], right: Sequence[bool], room: int = WIDE
    ) -> None:
        self._header = header
        self._right = right
        self._room = room
        lines = [header, *sample]
        widest = [max(width(line[column]) for line in lines) for column in range(len(header))]
        self._widths = _fitted(widest, right, room)
        self._rows = 0

    def head(self) -> list[str]:
        """Return the lines above the first row."""
        if not self._widths:
            return []
        return [self._line(self._header), GAP.join("─" * taken for taken in self._widths)]

    def row(self, cells: Sequence[str]) -> str:
        """Return the next row."""
        self._rows += 1
        return self._line(cells) if self._widths else self._record(cells)

    def _line(self, cells: Sequence[str]) -> str:
        parts = []
        for text, wanted, flush_right in zip(cells, self._widths, self._right, strict=True):
            shown = text if flush_right or width(text) <= wanted else clip(text, 0, wanted - 1) + "…"
            padding = " " * (wanted - width(shown))
            parts.append(padding + shown if flush_right else shown + padding)
        return GAP.join(parts).rstrip()

    def _record(self, cells: Sequence[str]) -> str:
        names = min(max(map(width, self._header)), self._room // 2)
        title = f"── {self._rows} "
        lines = [title + "─" * (min(self._room, names + LEAST) - width(title))]
        for name, text in zip(self._header, cells, strict=True):
            label = clip(name, 0, names)
            lines.append(
                folded(f"{label}{' ' * (names - width(label))}{GAP}{text}", self._room, " " * (names + 2))
            )
        return "\n".join(lines)


def _fitted(widths: Sequence[int], right: Sequence[bool], room: int) -> list[int]:
    """Return the widths, cut at the widest texts to fit into `room`; nothing if it is too narrow."""
    free = room - len(GAP) * (len(widths) - 1)
    for most in range(max(widths, default=0), LEAST - 1, -1):
        cut = [taken if number else min(taken, most) for taken, number in zip(widths, right, strict=True)]
        if sum(cut) <= free:
            return cut
    return [] if sum(widths) > free else list(widths)
