"""The states of all segments; those that were restored stay packed until they are asked for. Pure: no I/O."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from streams.monitors import snapshots
from streams.monitors.segment import SegmentState, Watched
from streams.monitors.snapshots import Envelope, Segment


class _Packed(NamedTuple):
    envelope: Envelope
    home: int
    """The partition of `llm.scores` in which the segment goes on."""


class States(Mapping[Segment, SegmentState]):
    """States by segment, the one that was idle longest first.

    Args:
        watched: what is watched in every segment.

    """

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        # Packed a segment takes a fifth of the memory, and many never come again.
        self._states: OrderedDict[Segment, SegmentState | _Packed] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._states)

    def __getitem__(self, segment: Segment) -> SegmentState:
        state = self._states[segment]
        if isinstance(state, _Packed):
            state = self._states[segment] = self._unpacked(state)
        return state

    def begin(self, segment: Segment) -> SegmentState:
        """Return the state of a segment that was not known."""
        state = self._states[segment] = SegmentState(self._watched)
        return state

    def touch(self, segment: Segment) -> None:
        """Note that a segment is not idle."""
        self._states.move_to_end(segment)

    def restore(self, segment: Segment, envelope: Envelope, home: int) -> SegmentState:
        """Go on where a snapshot was; return a copy of the state, for a look at it.

        Raises `SnapshotError` or `StateError` for a snapshot that cannot be read.
        """
        packed = _Packed(envelope, home)
        state = self._unpacked(packed)
        self._states[segment] = packed
        return state

    def _unpacked(self, packed: _Packed) -> SegmentState:
        envelope, home = packed
        content = snapshots.decode_segment(snapshots.unpack(envelope))
        state = SegmentState(self._watched)
        state.partition, state.timestamp = home, envelope.timestamp
        # The offsets of another partition say nothing about this one.
        state.offset = envelope.offset if home == envelope.partition else -1
        state.restore(content)
        return state

    def pop_idle(self) -> tuple[Segment, int]:
        """Forget the segment that was idle longest; return it and its partition."""
        segment, state = self._states.popitem(last=False)
        return segment, state.home if isinstance(state, _Packed) else state.partition

    def clear(self) -> None:
        """Forget all."""
        self._states.clear()
