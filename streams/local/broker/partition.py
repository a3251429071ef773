"""The log of one partition: a folder of segments, of which the last is written to."""

import asyncio
import contextlib
import json
import logging
import time
from pathlib import Path

from streams.local.broker import batches, clock
from streams.local.broker.apis import Code, Fault
from streams.local.broker.batches import RecordBatch
from streams.local.broker.config import Config
from streams.local.broker.given import GivenOffsets
from streams.local.broker.producers import Producers
from streams.local.broker.segments import LogSegment
from streams.local.broker.state_files import read_json, write_atomically

log = logging.getLogger(__name__)
COMPACTION = "compaction.json"
"""In the folder of a partition while compaction puts one file in the place of several: which of them go."""
_LATEST, _EARLIEST = -1, -2


def log_files(folder: Path) -> list[Path]:
    """Return the segments in a folder in their order; what else lies there is not the broker's."""
    return sorted(path for path in folder.glob("*.log") if path.stem.isdecimal())


class Partition:
    """Appends, reads and forgets; everything is found again when the folder is opened again."""

    end: int
    """The offset of the next record."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.config = config
        self.closed = False
        self.compacted_to = 0
        """The offset below which compaction has been."""
        self._folder = folder
        self._make_folder()
        self._given = GivenOffsets(folder)
        self._waiting: set[asyncio.Future[None]] = set()
        self._drop_unfinished()
        self.segments = [LogSegment(path) for path in log_files(folder)]
        if not self.segments:
            self.segments = [LogSegment(self._path(0), new=True)]
        self.start = max(self._read_start(), self.segments[0].base)
        self._recover()

    def append(self, data: bytes, *, control: bool = False) -> int:
        """Append one batch and return its offset; raises `Fault` for a bad one, `OSError` of the disk."""
        batch = batches.header(data) if control else batches.checked(data, self.config.max_message_bytes)
        assert batch is not None
        if not control and (base := self.producers.repeated(batch)) is not None:
            return base
        self._roll(len(data))
        data = batches.placed(data, self.end, append_time=self.config.append_time and not control)
        placed = batches.header(data)
        assert placed is not None
        self._given.reserve(self.end, placed.last + 1)
        self.segments[-1].append(data, placed)
        self.producers.note(placed, commit=control and batches.is_commit(data))
        self.end = placed.last + 1
        self.wake()
        return placed.base

    def read(self, offset: int, size: int, *, committed: bool, whole: bool) -> bytes:
        """Return batches from an offset on; with `whole` at least one. `Fault` where the log has none such.

        Reading `committed` ends before the first open transaction.
        """
        if not self.start <= offset <= self.end:
            raise Fault(Code.OFFSET_OUT_OF_RANGE)
        end = self.stable if committed else self.end
        for segment in self.segments[self._index(offset) :]:
            position = segment.position(offset) if offset < end else segment.size
            if position == segment.size:
                continue  # compaction has left a gap
            stop = segment.size if end == self.end else segment.position(end)
            head = batches.header(segment.read(position, batches.HEADER.size))
            assert head is not None
            if not whole and size < head.size:
                return b""  # clients take a part of a batch alone for a record that they can never read
            return segment.read(position, min(stop - position, max(size, head.size)))
        return b""

    @property
    def stable(self) -> int:
        """The offset before which no transaction is open."""
        return min(self.producers.open.values(), default=self.end)

    def at_time(self, timestamp: int, *, committed: bool = False) -> tuple[int, int]:
        """Return timestamp and offset of the first record at a time in ms or later; -1, -1 if none is.

        A timestamp of -1 asks for the end, -2 for the start.
        """
        if timestamp == _LATEST:
            return -1, self.stable if committed else self.end
        if timestamp == _EARLIEST:
            return -1, self.start
        for segment in self.segments:
            for position, batch in segment.headers(0):
                if batch.max_time >= timestamp and batch.last >= self.start:
                    return self._first(batch, segment.read(position, batch.size), timestamp)
        return -1, -1

    def delete_before(self, offset: int) -> None:
        """Forget the records before an offset; -1 for all."""
        offset = self.end if offset == _LATEST else offset
        if not self.start <= offset <= self.end:
            raise Fault(Code.OFFSET_OUT_OF_RANGE)
        write_atomically(self._folder / "start", str(offset))
        self.start = offset
        while len(self.segments) > 1 and self.segments[1].base <= offset:
            self.segments.pop(0).delete()
        self.producers.forget_before(self.start)

    def retain(self) -> None:
        """Delete what the topic's settings no longer keep. Age counts from when a segment was written."""
        if self.segments[-1].size and self.segments[-1].opened < time.monotonic() - self.config.segment_s:
            self._new_segment()
        if not self.config.deletes:
            return
        limit, oldest = self.config.retention_bytes, clock.now() - self.config.retention_s
        if self.segments[-1].size and self.segments[-1].age < oldest:
            self._new_segment()
        while len(self.segments) > 1:
            too_much = 0 <= limit < sum(segment.size for segment in self.segments[1:])
            if self.segments[0].age >= oldest and not too_much:
                break
            self.segments.pop(0).delete()
        self.start = max(self.start, self.segments[0].base)
        self.producers.forget_before(self.start)

    def watch(self, waiting: asyncio.Future[None]) -> None:
        """Have a future set when a record is appended."""
        self._waiting.add(waiting)

    def unwatch(self, waiting: asyncio.Future[None]) -> None:
        """No longer."""
        self._waiting.discard(waiting)

    def wake(self) -> None:
        """Let everyone look again."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def close(self) -> None:
        """Let go of the files, for good."""
        if not self.closed:
            with contextlib.suppress(OSError):  # what was reserved stays so
                self._given.settle(self.end)
        self.closed = True
        for segment in self.segments:
            segment.close()

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise OSError(
                f"{self._folder} is a file where the folder of a partition belongs: put back the folder, "
                "or remove the file to begin with an empty partition"
            ) from None

    def _roll(self, size: int) -> None:
        active = self.segments[-1]
        if active.size and active.size + size > self.config.segment_bytes:
            self._new_segment()

    def _new_segment(self) -> None:
        # Which producers there are is kept beside the segment that begins: only that one is read at a start.
        write_atomically(self._state(self.end), json.dumps(self.producers.state()))
        self._state(self.segments[-1].base).unlink(missing_ok=True)
        self.segments.append(LogSegment(self._path(self.end), new=True))

    def _recover(self) -> None:
        active = self.segments[-1]
        for segment in self.segments[:-1]:
            segment.below = active.base
        self.producers = self._read_producers()
        self.end = active.base
        for batch, data in active.recover(given=self._given.below or 0):
            self.producers.note(batch, commit=batch.control and batches.is_commit(data))
            self.end = batch.last + 1
        # All is gone where offsets were reserved, and retention has not deleted what had them.
        torn = active.torn or (active.base == 0 and not active.size)
        self._skip_lost(self._given.resumed(self.end, self.start, torn=torn))

    def _skip_lost(self, end: int) -> None:
        """Go on at an offset behind those that lost records may have had.

        Given again, they would name other records: for a group that has committed them, and for who keeps
        state by offset, the new records would be old ones.
        """
        if end > self.end:
            log.warning(
                "%s ends at offset %d, and offsets to before %d may have been given: it goes on there, and "
                "what was between is gone",
                *(self._folder, self.end, end),
            )
            for data in batches.gap(self.end, end):
                batch = batches.header(data)
                assert batch is not None
                self._given.reserve(self.end, batch.last + 1)
                self.segments[-1].append(data, batch)
                self.end = batch.last + 1

    def _read_producers(self) -> Producers:
        """Return what is known of the producers before the segment that is written to."""
        with contextlib.suppress(OSError, KeyError, TypeError, ValueError, AttributeError):
            if state := read_json(self._state(self.segments[-1].base)):
                return Producers(state)
        producers = Producers()
        for segment in self.segments[:-1]:
            for position, batch in segment.headers(0):
                data = segment.read(position, batch.size)
                producers.note(batch, commit=batch.control and batches.is_commit(data))
        return producers

    def _drop_unfinished(self) -> None:
        """Remove what was cut off half written, and segments that compaction has put into the first one."""
        unfinished = list(self._folder.glob("*.compacted"))
        with contextlib.suppress(OSError, TypeError):  # a torn list: these segments are merely kept
            for name in () if unfinished else read_json(self._folder / COMPACTION) or ():
                (self._folder / name).unlink(missing_ok=True)
        for left in (*unfinished, *self._folder.glob("*.mended"), self._folder / COMPACTION):
            left.unlink(missing_ok=True)

    def _first(self, batch: RecordBatch, data: bytes, timestamp: int) -> tuple[int, int]:
        with contextlib.suppress(Exception):  # a batch that nobody can read is found as a whole
            for each in batches.records(data):
                if each.timestamp >= timestamp and each.offset >= self.start:
                    return each.timestamp, each.offset
        return batch.max_time, max(batch.base, self.start)

    def _index(self, offset: int) -> int:
        return max(i for i, segment in enumerate(self.segments) if segment.base <= offset or i == 0)

    def _read_start(self) -> int:
        path = self._folder / "start"
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(path.read_text("utf-8", "replace"))
        return 0

    def _path(self, base: int) -> Path:
        return self._folder / f"{base:020}.log"

    def _state(self, base: int) -> Path:
        return self._folder / f"{base:020}.json"
