"""One file of a partition's log, and where in it the offsets are."""

import bisect
import contextlib
import os
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

from streams.local.broker.batches import HEADER, RecordBatch, header, intact

INDEX_BYTES = 4096
"""One entry of the index per so many bytes: what lies between is found by reading headers."""


class LogSegment:
    """Batches from the offset in the file's name on; written at its end only.

    A write reaches the system's cache, as with Kafka: it outlives the process, not a loss of power.
    """

    def __init__(self, path: Path, *, new: bool = False) -> None:
        self.path = path
        self.base = int(path.stem)
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

    def recover(self) -> Iterator[tuple[RecordBatch, bytes]]:
        """Yield every batch; cut off what a crash has left half written."""
        good = 0
        for position, batch in self.headers(0):
            data = self.read(position, batch.size)
            # Where one is damaged, its length says nothing about where the next one begins.
            if not intact(data, batch):
                break
            good = position + batch.size
            yield batch, data
        if good != self.size:
            os.ftruncate(self._file, good)
            self.size = self._indexed = good

    def headers(self, position: int) -> Iterator[tuple[int, RecordBatch]]:
        """Yield the headers from a position on, each with its own."""
        while (batch := header(self.read(position, HEADER.size))) is not None:
            if batch.length <= 0 or position + batch.size > self.size:
                return
            if position >= self._indexed:
                self._note(batch, position)
            yield position, batch
            position += batch.size

    def position(self, offset: int) -> int:
        """Return where the first batch is that ends at an offset or after it; the size where none is."""
        # The index is sparse: from the entry before it headers are read on.
        entry = bisect.bisect_right(self._offsets, offset) - 1
        start = self._positions[entry] if entry >= 0 else 0
        for position, batch in self.headers(start):
            if batch.last >= offset:
                return position
        return self.size

    def read(self, position: int, size: int) -> bytes:
        """Return bytes; fewer at the end."""
        return os.pread(self._file, min(size, self.size - position), position)

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(OSError):
            os.close(self._file)

    def delete(self) -> None:
        """Remove the file."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _note(self, batch: RecordBatch, position: int) -> None:
        if not self._positions or position >= self._positions[-1] + INDEX_BYTES:
            self._offsets.append(batch.base)
            self._positions.append(position)
        self._indexed = position + batch.size
