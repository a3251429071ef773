"""Which events a partition of `llm.scores` held lately, so that one that comes again is counted once.

A guard that dies between publishing a batch and committing it publishes the batch again: the same events at
new offsets.
"""

import struct
from collections import deque
from collections.abc import Iterable
from typing import Final

SPAN: Final = 16_384
"""So many offsets back a repetition is known. A guard repeats what it had not committed: a second of work and
one batch; until another worker takes over (the session timeout, 6 s), the other guards go on writing. Ten
seconds at 1,600 events/s in one partition are covered."""
BLOCK: Final = 1_024
SLOTS: Final = SPAN // BLOCK + 1
_ENTRY: Final = struct.Struct("<qQ")


class RecentIds:
    """The 64-bit hashes of the ids within the last `SPAN` offsets of one partition.

    What it says depends on the records of the partition alone, not on when they were read: an event is a
    repetition if the same id is at a lower offset, at most `SPAN` below. So a replay gives the same answers.
    """

    def __init__(self) -> None:
        self.clear()

    def __len__(self) -> int:
        return len(self._first)

    def clear(self) -> None:
        """Know nothing."""
        self._first: dict[int, int] = {}
        # By offset. (The first key of a dict is slow to find once many before it were deleted.)
        self._order: deque[int] = deque()
        self._changed: set[int] = set()
        self.offset = self.timestamp = -1

    def repeats(self, number: int, offset: int, timestamp: int) -> bool:
        """Note an id; return whether it was there before.

        Args:
            number: 64-bit hash of the id.
            offset: of its record.
            timestamp: Kafka's, milliseconds.

        """
        if offset <= self.offset and timestamp > self.timestamp:
            # Nothing that was read before is newer than all that was read: the topic was made anew.
            self.clear()
        self.timestamp = max(self.timestamp, timestamp)
        if offset > self.offset:
            self.offset = offset
            self._drop()
        first = self._first.get(number)
        if first is None:
            self._first[number] = offset
            self._order.append(number)
            self._changed.add(offset // BLOCK)
        return first is not None and first < offset

    def _drop(self) -> None:
        oldest = self.offset - SPAN
        while self._order and self._first[self._order[0]] < oldest:
            del self._first[self._order.popleft()]

    def changed(self) -> list[tuple[int, bytes]]:
        """Return slot and content of each block of offsets that changed since `written`, the oldest first."""
        oldest = self.offset - SPAN
        blocks = {n: bytearray() for n in sorted(self._changed) if (n + 1) * BLOCK > oldest}
        for number in self._order:
            offset = self._first[number]
            if (content := blocks.get(offset // BLOCK)) is not None:
                content += _ENTRY.pack(offset, number)
        return [(block % SLOTS, bytes(content)) for block, content in blocks.items()]

    def written(self) -> None:
        """Note that what `changed` returned is durable."""
        self._changed.clear()

    def restore(self, blocks: Iterable[bytes], offset: int, timestamp: int) -> None:
        """Take over the blocks of `changed`, and how far they reach; raise `ValueError` for anything else."""
        self.clear()
        try:
            entries = sorted(entry for content in blocks for entry in _ENTRY.iter_unpack(content))
        except struct.error as error:
            raise ValueError("a block of ids has the wrong length") from error
        for first, number in entries:
            # Blocks of another time may be among them: slots are used again.
            if offset - SPAN <= first <= offset:
                self._first.setdefault(number, first)
        self._order.extend(self._first)
        self.offset, self.timestamp = offset, timestamp
