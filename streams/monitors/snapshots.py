"""Snapshots of what watch remembers, as they lie in `llm.state`: plain data with a format number.

A snapshot is an `Envelope`, packed as MessagePack, and says up to where in which partition of `llm.scores` it
has counted. Its content, MessagePack under zlib, is the state of a segment or a block of the ids seen lately.
"""

import zlib
from collections import deque
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from aiokafka.partitioner import murmur2
from msgspec import Meta

from schemas import codec
from schemas.events import Kind
from streams.monitors.bias import BiasState
from streams.monitors.reference import Time
from streams.monitors.topic_state import TopicState
from streams.monitors.views import MetricState

FORMAT: Final = 2
MAX_BYTES: Final = 1 << 20
"""Of a content, unpacked. A segment with fourteen metrics, subjects and groups takes about 22 kB."""


Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Segment(msgspec.Struct, frozen=True):
    """What drift is measured within."""

    app: str
    model: str
    prompt_version: str
    kind: Kind

    def partition(self, partitions: int) -> int:
        """Return the partition of `llm.scores` to which its scores go, of so many."""
        key = codec.segment_key(self)
        return int((murmur2(key) & 0x7FFFFFFF) % partitions)


class Block(msgspec.Struct, frozen=True):
    """A place for ids seen lately in a partition of `llm.scores`; see `streams.monitors.recent`."""

    partition: int
    slot: int


class UsageGroup(Block, frozen=True):
    """A group of entities as a partition of `llm.scores` shows them; see `streams.monitors.usage_table`."""


class AppKey(msgspec.Struct, frozen=True):
    """An app as a partition of `llm.scores` shows it; see `streams.monitors.volume`."""

    partition: int
    app: str


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """A snapshot. Within one partition a later one has a higher offset, and a timestamp at least as high."""

    format: int
    partition: int
    """The partition of `llm.scores` that was counted."""
    partitions: int
    """How many partitions `llm.scores` had."""
    offset: int
    """The last offset that is counted."""
    timestamp: int
    """The highest timestamp that is counted, Kafka's, milliseconds."""
    content: bytes

    @property
    def order(self) -> tuple[int, int]:
        """The larger, the newer. The timestamp comes first: a topic made anew counts from 0 again."""
        return self.timestamp, self.offset


class Cause(msgspec.Struct, frozen=True, array_like=True):
    """The drift that has the alert of its cause."""

    drift_id: str
    found: Time
    """Timestamp, milliseconds."""


class SegmentContent(msgspec.Struct, frozen=True, array_like=True):
    """The state of a segment."""

    samples: Count
    cause: Cause | None
    metrics: dict[str, MetricState]
    topic: TopicState | None = None
    bias: BiasState | None = None


class SnapshotError(Exception):
    """A snapshot cannot be read; the message never quotes it."""


Name = Segment | Block | AppKey
"""What a snapshot is of."""
_KINDS: Final = {Segment: b"segment", Block: b"ids", UsageGroup: b"usage", AppKey: b"volume"}
_ENVELOPES: Final = msgspec.msgpack.Decoder(Envelope)
_SEGMENTS: Final = msgspec.msgpack.Decoder(SegmentContent)


def encode_key(key: Name) -> bytes:
    """Return the key of a snapshot in `llm.state`, without the prefix of the group."""
    return _KINDS[type(key)] + b"\0" + msgspec.json.encode(msgspec.structs.astuple(key))


def decode_key(key: bytes) -> Name:
    """Return what a key stands for; raise `SnapshotError` if nothing."""
    kind, _, fields = key.partition(b"\0")
    try:
        if kind == b"segment":
            return Segment(*msgspec.json.decode(fields, type=tuple[str, str, str, Kind]))
        if kind == _KINDS[AppKey]:
            return AppKey(*msgspec.json.decode(fields, type=tuple[int, str]))
        for block in (Block, UsageGroup):
            if kind == _KINDS[block]:
                return block(*msgspec.json.decode(fields, type=tuple[int, int]))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SnapshotError("a key is no segment") from error
    raise SnapshotError("a key is of an unknown kind")


def encode(partition: int, partitions: int, offset: int, timestamp: int, content: bytes) -> bytes:
    """Return the snapshot with this content."""
    # Level 1: a third smaller for 0.1 ms a segment; the higher ones gain 3 % more.
    packed = zlib.compress(content, 1)
    return msgspec.msgpack.encode(Envelope(FORMAT, partition, partitions, offset, timestamp, packed))


def decode(value: bytes) -> Envelope:
    """Return a snapshot, its content still packed; raise `SnapshotError` if it cannot be read."""
    try:
        envelope = _ENVELOPES.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SnapshotError(f"not a snapshot of format {FORMAT}") from error
    if envelope.format != FORMAT:
        raise SnapshotError(f"format {envelope.format} is not known, {FORMAT} is")
    if envelope.partition < 0 or envelope.partitions < 1:
        raise SnapshotError("a partition is out of range")
    return envelope


def unpack(envelope: Envelope) -> bytes:
    """Return the content; raise `SnapshotError` if it is damaged or too large."""
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(envelope.content, MAX_BYTES)
    except zlib.error as error:
        raise SnapshotError("the content is damaged") from error
    if not inflater.eof:
        raise SnapshotError("the content is cut, or larger than any of ours")
    return content


def decode_segment(content: bytes) -> SegmentContent:
    """Return the state of a segment; raise `SnapshotError` if it is none."""
    try:
        return _SEGMENTS.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise SnapshotError("the content is no state of a segment") from error


class Newest:
    """Gathers the newest snapshot of each key while a topic is read, for some partitions of `llm.scores`.

    Of the snapshots of others nothing is kept; of ours one each, packed.

    Args:
        assigned: partitions of `llm.scores`.
        partitions: how many it has now.

    """

    def __init__(self, assigned: frozenset[int], partitions: int) -> None:
        self._assigned = assigned
        self._partitions = partitions
        self._found: dict[Name, tuple[int, Envelope]] = {}
        self.unreadable = 0
        self.problem = ""
        self.moved = False
        """`llm.scores` had another number of partitions when some snapshot was made."""

    def offer(self, place: int, key: bytes, value: bytes | None) -> None:
        """Take a record; a later one that is older (of a worker that had been paused) changes nothing.

        Args:
            place: the partition of `llm.state` that holds it.
            key: without the prefix of the group.
            value: None deletes what was there.

        """
        try:
            name = decode_key(key)
            envelope = decode(value) if value else None
        except SnapshotError as error:
            self.skip(error)
            return
        known = self._found.get(name)
        if envelope is None:
            if known is not None and known[0] == place:
                del self._found[name]
            return
        self.moved |= envelope.partitions != self._partitions
        if self.home(name, envelope) in self._assigned and (
            known is None or known[1].order <= envelope.order
        ):
            self._found[name] = place, envelope

    @property
    def found(self) -> list[tuple[Name, Envelope]]:
        """The newest snapshots, the segment that was idle longest first."""
        pairs = [(name, envelope) for name, (_, envelope) in self._found.items()]
        return sorted(pairs, key=lambda pair: pair[1].order)

    def taken(self, kind: type[Name] | None = None) -> Iterator[tuple[Name, Envelope]]:
        """Yield what was found, of one kind or all, and let go of each: packed and unpacked they take memory
        together.
        """
        left = deque(pair for pair in self.found if kind is None or isinstance(pair[0], kind))
        for name, _ in left:
            del self._found[name]
        while left:
            yield left.popleft()

    def home(self, name: Name, envelope: Envelope) -> int:
        """Return the partition of `llm.scores` in which a segment goes on."""
        if envelope.partitions == self._partitions or not isinstance(name, Segment):
            return envelope.partition
        return name.partition(self._partitions)

    def skip(self, error: Exception) -> None:
        """Count a snapshot that cannot be read: it costs one segment, not all."""
        self.unreadable += 1
        self.problem = self.problem or str(error)

    def missing(self) -> bool:
        """Whether some partition has left nothing: its segments may lie where they were before."""
        return not self._assigned <= {envelope.partition for _, envelope in self._found.values()}
