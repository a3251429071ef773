"""Which batches of a file are intact, and where the damage between them begins and ends."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from streams.local.broker.batches import HEADER, RecordBatch, header, intact

Read = Callable[[int, int], bytes]
"""Bytes of the file, by position and size; fewer at its end."""
Found = tuple[int, RecordBatch, bytes]
"""Position, header and bytes of a batch."""
_WINDOW = 1 << 20
_MARK, _MARK_AT = b"\0\0\0\0\2", 12
"""The leader's epoch and the format: the same in the header of every batch that the broker has placed."""


class File:
    """What is looked through, `size` bytes of it; read in windows, since most batches are small.

    Args:
        below: no record has this offset or a higher one; None where that is not known.
        contiguous: each offset was written, one after the other.

    """

    def __init__(self, read: Read, size: int, *, below: int | None = None, contiguous: bool = False) -> None:
        self._read = read
        self.size = size
        self.below = below
        self.contiguous = contiguous
        self._begin, self._window = 0, b""
        self._checked: tuple[int, Found | None] = (-1, None)

    def read(self, position: int, size: int) -> bytes:
        """Return bytes; fewer at the end."""
        at = position - self._begin
        if at < 0 or at + size > len(self._window):
            self._begin, self._window = position, self._read(position, max(size, _WINDOW))
            at = 0
        return self._window[at : at + size]

    def intact(self, position: int, batch: RecordBatch) -> Found | None:
        """Return the batch of a header at a position if it is whole; asked twice, it is checked once."""
        if self._checked[0] != position:
            data = self.read(position, batch.size)
            self._checked = position, (position, batch, data) if intact(data, batch) else None
        return self._checked[1]


class Hole(NamedTuple):
    """Damaged bytes from `start` to before `end`; the records from `first` to before `after` were in them."""

    start: int
    end: int
    first: int
    after: int | None
    """None at the end of the file: what follows is written there, from offset `first` on."""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


def intact_batches(file: File, base: int) -> Iterator[Found]:
    """Yield the batches of a file that are whole and in order; `base` is the lowest offset in it."""
    position = end = 0
    while position < file.size:
        found = _batch(file, position, base)
        if found is None or _misplaced(file, found, base, follows=position == end):
            position = _resumed(file, position, base)
            continue
        yield found
        position = end = position + found[1].size
        base = found[1].last + 1


def _batch(file: File, position: int, base: int) -> Found | None:
    """Return the batch at a position; None where it is damaged, or has offsets that are others' already."""
    batch = header(file.read(position, HEADER.size))
    if batch is None or batch.base < base or not HEADER.size <= batch.size <= file.size - position:
        return None
    if file.below is not None and batch.last >= file.below:
        return None
    return file.intact(position, batch)


def _misplaced(file: File, found: Found, base: int, *, follows: bool) -> bool:
    """Whether the offset, which no checksum covers, is wrong: it leaves a gap, and the next one is lower.

    The last one, of which nothing says so, must leave no gap where there is none: `follows` says that no
    damage is before it.
    """
    position, batch, _ = found
    if batch.base == base:
        return False
    following = _batch(file, position + batch.size, base)
    if following is None:
        return file.contiguous and follows
    return following[1].base <= batch.last


def _resumed(file: File, position: int, base: int) -> int:
    """Return where the next intact batch begins after a damaged one; the size where none does."""
    damaged = header(file.read(position, HEADER.size))
    if damaged is not None and damaged.size >= HEADER.size:
        # Its length first: what looks like a batch may also lie within a record.
        end = position + damaged.size
        if end == file.size or _batch(file, end, base) is not None:
            return end
    marks = _marks(file, position + 1)
    return next((each for each in marks if _batch(file, each, base) is not None), file.size)


def _marks(file: File, position: int) -> Iterator[int]:
    """Yield every position from one on where a batch may begin."""
    while position < file.size:
        window = file.read(position, _WINDOW + _MARK_AT + len(_MARK))
        at = window.find(_MARK, _MARK_AT)
        while 0 <= at < _WINDOW + _MARK_AT:
            yield position + at - _MARK_AT
            at = window.find(_MARK, at + 1)
        position += _WINDOW
