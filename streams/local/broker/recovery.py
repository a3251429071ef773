"""Which batches of a file are intact, and where the damage between them begins and ends."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from streams.local.broker.batches import HEADER, RecordBatch, header, intact

Read = Callable[[int, int], bytes]
"""Bytes of the file, by position and size; fewer at its end."""
Found = tuple[int, RecordBatch, bytes]
"""Position, header and bytes of a batch."""
_WINDOW = 1 << 20
_LIKELY_GAP = 10_000
"""So many offsets may be missing before the last batch of a file; a wider gap is a flipped bit of its own."""
_ASKED = 9
"""So many batches after a gap say whether it is one; where compaction leaves gaps, the next one alone."""
_MARK, _MARK_AT = b"\0\0\0\0\2", 12
"""The leader's epoch and the format: the same in the header of every batch that the broker has placed."""


class File:
    """What is looked through, `size` bytes of it; read in windows, since most batches are small.

    Args:
        below: no record has this offset or a higher one; None where that is not known.
        given: each offset was written, one after the other, and those below this one may be; None where
            compaction may have left gaps.

    """

    def __init__(self, read: Read, size: int, *, below: int | None = None, given: int | None = None) -> None:
        self._read = read
        self.size = size
        self.below = below
        self.given = given
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
    """Damaged bytes from `start` to before `end`, or none; records `first` to before `after` were there."""

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
        if found is None or _misplaced(file, found, base, damage=position - end):
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


def _misplaced(file: File, found: Found, base: int, *, damage: int) -> bool:
    """Whether the offset, which no checksum covers, is wrong: it leaves a gap, and the next are lower.

    The last one, of which nothing says so, is kept where the gap is likely, since a gap costs less than a
    record: `damage` is how many bytes before it are damaged, and each may have held a record.
    """
    position, batch, _ = found
    if batch.base == base:
        return False
    asked = 1 if file.given is None else _ASKED
    following = list(islice(_following(file, position + batch.size, base), asked))
    if following:
        return 2 * sum(each.base <= batch.last for each in following) >= len(following)
    if file.given is None or batch.last < file.given:
        return False
    return batch.base - base > _LIKELY_GAP + damage


def _following(file: File, position: int, base: int) -> Iterator[RecordBatch]:
    """Yield the intact batches from a position on, also behind damage."""
    while position < file.size:
        found = _batch(file, position, base)
        if found is None:
            position = _resumed(file, position, base)
            continue
        yield found[1]
        position += found[1].size


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
