"""One file of a partition's log, and where in it the offsets are."""

import bisect
import contextlib
import logging
import os
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

from streams.local.broker.batches import HEADER, RecordBatch, gap, header
from streams.local.broker.recovery import File, Hole, intact_batches

log = logging.getLogger(__name__)
_CLOSED = -1
INDEX_BYTES = 4096
"""One entry of the index per so many bytes: what lies between is found by reading headers."""
KEPT_BYTES = 16 << 20
"""So much of what is damaged in a segment is kept beside it."""


class LogSegment:
    """Batches from the offset in the file's name on; written at its end only.

    A write reaches the system's cache, as with Kafka: it outlives the process, not a loss of power.
    """

    def __init__(self, path: Path, *, new: bool = False, checked: bool = False) -> None:
        self.path = path
        self._checked = new or checked
        self.base = int(path.stem)
        self.below: int | None = None
        """No record has this offset or a higher one; None where that is not known."""
        self.torn = False
        """Whether it was found to end in what is no whole batch."""
        self._file = os.open(path, os.O_RDWR | (os.O_CREAT if new else 0), 0o644)
        self.size = os.fstat(self._file).st_size
        self._offsets, self._positions = array("q"), array("q")
        self._indexed = 0
        self.opened = time.monotonic()

    @property
    def age(self) -> float:
        """When it was last written, in seconds of the system's clock."""
        return os.fstat(self._file).st_mtime

    def append(self, data: bytes, batch: RecordBatch) -> None:
        """Write one batch whole or not at all; `OSError` where it cannot be written."""
        try:
            written = os.pwrite(self._file, data, self.size)
            if written != len(data):
                raise OSError(f"{written} of {len(data)} bytes written")  # noqa: TRY301
        except OSError:
            # Half a batch must not stay: those behind it would not be found.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise
        self._note(batch, self.size)
        self.size += len(data)

    def recover(self, *, given: int | None = None) -> Iterator[tuple[RecordBatch, bytes]]:
        """Yield every intact batch; the file is left without what is damaged. `OSError` of the disk.

        `given` is for a file in which no compaction has left gaps: the offsets below it may be in use.
        """
        holes, end, offset = [], 0, self.base
        file = File(self.read, self.size, below=self.below, given=given)
        for position, batch, data in intact_batches(file, self.base):
            if position > end or (given is not None and batch.base > offset):
                holes.append(Hole(end, position, offset, batch.base))
            self._note(batch, position)
            end, offset = position + batch.size, batch.last + 1
            yield batch, data
        self.torn = end < self.size
        if self.torn:
            holes.append(Hole(end, self.size, offset, None))
        if holes:
            self._leave_out(holes)
        self._checked = True

    def check(self) -> None:
        """Recover what an earlier process has written, once. `OSError` of the disk."""
        # Not at the start, which would take minutes where there is much: when it is first looked into.
        if not self._checked:
            for _ in self.recover():
                pass

    def headers(self, position: int) -> Iterator[tuple[int, RecordBatch]]:
        """Yield the headers from a position on, each with its own."""
        self.check()
        while (batch := header(self.read(position, HEADER.size))) is not None:
            if batch.length <= 0 or position + batch.size > self.size:
                return
            if position >= self._indexed:
                self._note(batch, position)
            yield position, batch
            position += batch.size

    def position(self, offset: int) -> int:
        """Return where the first batch is that ends at an offset or after it; the size where none is."""
        self.check()
        # The index is sparse: from the entry before it headers are read on.
        entry = bisect.bisect_right(self._offsets, offset) - 1
        start = self._positions[entry] if entry >= 0 else 0
        for position, batch in self.headers(start):
            if batch.last >= offset:
                return position
        return self.size

    def read(self, position: int, size: int) -> bytes:
        """Return bytes; fewer at the end."""
        return os.pread(self._file, max(0, min(size, self.size - position)), position)

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, _CLOSED  # closed twice, its number would be another file's
        if file != _CLOSED:
            with contextlib.suppress(OSError):
                os.close(file)

    def delete(self) -> None:
        """Remove the file."""
        self.close()
        self.path.unlink(missing_ok=True)
        self._damaged.unlink(missing_ok=True)

    @property
    def _damaged(self) -> Path:
        return self.path.with_suffix(".torn")

    def _leave_out(self, holes: list[Hole]) -> None:
        for hole in holes:
            if not hole.size:
                log.warning(
                    "%s has no records from offset %d to before %d, and no damage there: they are gone",
                    *(self.path, hole.first, hole.after),
                )
        if damaged := [hole for hole in holes if hole.size]:
            self._keep(damaged)
        written = os.fstat(self._file)
        if holes[0].after is None:
            os.ftruncate(self._file, holes[0].start)
        else:
            self._rewrite(holes)
        os.utime(self._file, ns=(written.st_atime_ns, written.st_mtime_ns))  # the age of what is in it
        self.size = os.fstat(self._file).st_size

    def _keep(self, holes: list[Hole]) -> None:
        with self._damaged.open("ab") as file:
            for hole in holes:
                kept = min(hole.size, max(0, KEPT_BYTES - file.tell()))
                file.write(self.read(hole.start, kept))
                what = (
                    "ends in what is no whole batch"
                    if hole.after is None
                    else f"is damaged, and intact before offset {hole.first} and from {hole.after} on"
                )
                log.warning(
                    "%s %s: %d bytes at %d, from offset %d on, are left out; %d of them are kept in %s",
                    *(self.path, what, hole.size, hole.start, hole.first, kept, self._damaged),
                )

    def _rewrite(self, holes: list[Hole]) -> None:
        """Replace the file by one without the holes: a crash leaves the old one or the new one."""
        temporary = self.path.with_suffix(".mended")
        with temporary.open("wb") as file:
            begin = 0
            for hole in holes:
                file.write(self.read(begin, hole.start - begin))
                for data in gap(hole.first, hole.first if hole.after is None else hole.after):
                    file.write(data)
                begin = hole.end
            file.write(self.read(begin, self.size - begin))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        os.close(self._file)
        self._file = os.open(self.path, os.O_RDWR)
        self._offsets, self._positions, self._indexed = array("q"), array("q"), 0

    def _note(self, batch: RecordBatch, position: int) -> None:
        if not self._positions or position >= self._positions[-1] + INDEX_BYTES:
            self._offsets.append(batch.base)
            self._positions.append(position)
        self._indexed = position + batch.size
