"""Messages on their way to Kafka, kept in files until they are delivered.

What is appended survives the end of the process, not of the machine: nothing waits for the disk. After a
restart the messages of unfinished files go out again; their ids are the same, so nothing counts twice.
"""

import asyncio
import contextlib
import fcntl
import itertools
import os
import struct
import time
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import msgspec
import structlog
from aiokafka.errors import KafkaError

from streams.errors import WeirError
from streams.kafka.records import Message

log = structlog.get_logger(__name__)
FILE_BYTES: Final = 4 << 20
"""A file is begun anew after so many bytes; delivered ones are removed whole."""
TIDY_BYTES: Final = 64 << 10
"""When all is delivered, a file of this size is removed: so little is sent twice after a restart."""
SEND_BYTES: Final = 1 << 20
RETRY_S = 0.5
MOMENT_S = 2.0
"""What the broker has not acknowledged by then is not with it in a moment; its client tries on for long."""
_HEAD: Final = struct.Struct("<II")


class Parcel(NamedTuple):
    """One message and its topic."""

    topic: str
    key: bytes | None
    value: bytes | None
    stand_in: bool = False
    """A fuller one will follow: it is sent only where the process was killed before that."""


class Sender(Protocol):
    """What delivers: `streams.kafka.clients.BatchProducer`."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect."""

    async def send(self, topic: str, messages: Sequence[Message]) -> None:
        """Send all and return when every one is acknowledged."""


class OutboxFullError(WeirError):
    """So much waits for Kafka that nothing more is kept."""


class Outbox:
    """A queue of parcels in `folder`, at most `max_bytes` of them.

    Raises `WeirError` where the folder cannot be used or is another process's.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._waiting: deque[tuple[Path, int]] = deque()
        """Files from the oldest on, with their sizes; the last one is written to."""
        self._position = 0
        """Bytes of the oldest file that are delivered."""
        self._number = 0
        self._descriptor = -1
        self._more = asyncio.Event()
        self._stand_ins: dict[int, list[Parcel]] = {}
        """What the fuller parcels have not come for yet, by ticket."""
        self._tickets = itertools.count()
        self._lock = self._locked()
        self._succeeded = False
        self._began: float | None = None
        """Of the attempt that is under way."""
        for path in sorted(folder.glob("[0-9]*.log")):
            self._number = int(path.stem)
            self._waiting.append((path, path.stat().st_size))
        self._first = folder / f"{self._number + 1:012d}.log"
        """Files from this one on are written by this process."""
        try:
            self._begin()
        except OSError as error:
            raise WeirError(f"{folder} cannot be used ({error.strerror}): set WEIR_GATE_OUTBOX") from None

    def _locked(self) -> int:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise WeirError(
                f"{self._folder} cannot be used ({error.strerror}): set WEIR_GATE_OUTBOX"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise WeirError(
                f"{self._folder} is in use by another gate: give each its own WEIR_GATE_OUTBOX"
            ) from None
        return lock

    def _begin(self) -> None:
        """Write to a new file from now on; `OSError` where there is no room for it: the old one is kept."""
        path = self._folder / f"{self._number + 1:012d}.log"
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._number, self._descriptor = self._number + 1, descriptor
        self._waiting.append((path, 0))

    @property
    def waiting_bytes(self) -> int:
        """Bytes that are not delivered."""
        return sum(size for _, size in self._waiting) - self._position

    @property
    def delivering(self) -> bool:
        """The last attempt succeeded, and none hangs: what is appended now is with Kafka in a moment."""
        return self._succeeded and (self._began is None or time.monotonic() - self._began < MOMENT_S)

    def append(self, parcels: Sequence[Parcel], stand_ins: Sequence[Parcel] = ()) -> int:
        """Keep all of them, or none: `OutboxFullError`, also when the disk is full.

        `stand_ins` are delivered only by the next process, and only where this one ends before it calls
        `settle` with the ticket that is returned.
        """
        ticket = next(self._tickets)
        marked = [parcel._replace(stand_in=True) for parcel in stand_ins]
        self._write([*parcels, *marked])
        if marked:
            self._stand_ins[ticket] = marked
        return ticket

    def settle(self, ticket: int, parcels: Sequence[Parcel]) -> None:
        """Keep the parcels that the stand-ins of a ticket stood for; errors as of `append`."""
        self._write(parcels)
        self._stand_ins.pop(ticket, None)

    def _write(self, parcels: Sequence[Parcel]) -> None:
        packed = [msgspec.msgpack.encode(parcel) for parcel in parcels]
        data = b"".join(_HEAD.pack(len(each), zlib.crc32(each)) + each for each in packed)
        if self.waiting_bytes + len(data) > self._max_bytes:
            raise OutboxFullError(
                f"{self.waiting_bytes} bytes wait for Kafka, and no more are kept (WEIR_GATE_OUTBOX_BYTES): "
                "try again when Kafka is back"
            )
        path, size = self._waiting[-1]
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            raise OutboxFullError(f"the outbox cannot be written ({error.strerror})") from None
        if written < len(data):
            os.ftruncate(self._descriptor, size)  # half a record would hide those after it
            raise OutboxFullError("the disk of the outbox is full")
        self._waiting[-1] = (path, size + len(data))
        if size + len(data) >= FILE_BYTES:
            with contextlib.suppress(OSError):  # with what is left of the disk, the file grows on
                self._begin()
        self._more.set()

    async def deliver(self, sender: Sender) -> None:
        """Send what is there and what comes, in order, for ever."""
        await self._trying(sender.start)
        while True:
            while not self.waiting_bytes:
                self._more.clear()
                await self._more.wait()
            path, size = self._waiting[0]
            parcels, end = _read(path, self._position, size)
            if path >= self._first:
                parcels = [parcel for parcel in parcels if not parcel.stand_in]
            for topic in dict.fromkeys(parcel.topic for parcel in parcels):
                messages = [(each.key, each.value) for each in parcels if each.topic == topic]
                await self._trying(sender.send, topic, messages)
            self._position = end
            self._tidy(size)

    async def _trying(self, act: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Repeat until it works."""
        while True:
            self._began = time.monotonic()
            try:
                await act(*arguments)
            except (KafkaError, WeirError) as error:
                if self._succeeded:
                    problem = str(error) if isinstance(error, WeirError) else type(error).__name__
                    log.warning("messages wait in the outbox", problem=problem)
                self._succeeded = False
                await asyncio.sleep(RETRY_S)
            else:
                self._succeeded = True
                return
            finally:
                self._began = None

    def _tidy(self, size: int) -> None:
        """Remove the oldest file when all of it is delivered."""
        path, now = self._waiting[0]
        if self._position < now or (len(self._waiting) == 1 and now < TIDY_BYTES):
            return
        try:
            if len(self._waiting) == 1:
                self._begin()
            if open_ones := [parcel for each in self._stand_ins.values() for parcel in each]:
                self._write(open_ones)
        except (OSError, OutboxFullError):
            if len(self._waiting) == 1:
                return
        self._waiting.popleft()
        self._position = 0
        path.unlink()

    async def flush(self, within_s: float) -> bool:
        """Wait until all is delivered; return whether it is."""
        deadline = asyncio.get_running_loop().time() + within_s
        while self.waiting_bytes and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 (at the end)
            await asyncio.sleep(0.01)
        return not self.waiting_bytes

    def close(self) -> None:
        """Leave the folder to the next process; what is not delivered stays there."""
        if not self.waiting_bytes and not self._stand_ins:
            for path, _ in self._waiting:
                path.unlink()
        os.close(self._descriptor)
        os.close(self._lock)


def _read(path: Path, start: int, size: int) -> tuple[list[Parcel], int]:
    """Return the parcels from `start` on, as many as are sent at once, and where they end."""
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(min(SEND_BYTES, size - start))
        parcels, end = [], 0
        for packed in _records(data):
            parcels.append(msgspec.msgpack.decode(packed, type=Parcel))
            end += _HEAD.size + len(packed)
        if end:
            return parcels, start + end
        file.seek(start)
        data = file.read(size - start)  # one that is larger than what is sent at once
    for packed in _records(data):
        return [msgspec.msgpack.decode(packed, type=Parcel)], start + _HEAD.size + len(packed)
    # The end of a file that was being written when its process was killed.
    log.warning("an unfinished record of the outbox is left out", bytes=size - start)
    return [], size


def _records(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        packed = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(packed) < length or zlib.crc32(packed) != checksum:
            return
        yield packed
        at += _HEAD.size + length
