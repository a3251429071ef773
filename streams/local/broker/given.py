"""Which offsets of a partition may have been given: known also where a disk has cut its log short."""

import contextlib
from pathlib import Path
from typing import Final

from streams.local.broker.state_files import write_atomically

RESERVED: Final = 10_000
"""Offsets that are reserved at once: the file is seldom written, and a log that was cut has so wide a gap."""


class GivenOffsets:
    """Two numbers in a file beside the folder of the partition, so that they outlive that folder, too."""

    def __init__(self, folder: Path) -> None:
        self._path = folder.parent / "ends" / folder.name
        self._path.parent.mkdir(exist_ok=True)
        self._least = 0
        """The log did not end before this offset."""
        self.below: int | None = None
        """No offset from this one on was given; None where that is not known."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            self._least, self.below = map(int, self._path.read_text("utf-8", "replace").split())

    def resumed(self, end: int, least: int, *, torn: bool) -> int:
        """Return where a log goes on that was found to end at `end`, behind all that may have been given.

        Args:
            end: the offset after its last intact record.
            least: an offset before which it did not end, for another reason.
            torn: whether something that is no record followed.

        """
        least = max(least, self._least)
        below = self.below or 0
        if 0 < below < end:  # older than the log: as many may have been given since as are reserved at once
            below = end + RESERVED
        return max(end, least, below) if torn or end < least else end

    def reserve(self, end: int, after: int) -> None:
        """Keep that a log of this end may grow to `after`; `OSError` where it cannot be written."""
        if self.below is None or after > self.below:
            self._write(end, after + RESERVED)

    def settle(self, end: int) -> None:
        """Keep the end of a log that is written to no more; `OSError`."""
        if (self._least, self.below) != (end, end):
            self._write(end, end)

    def forget(self) -> None:
        """Begin anew."""
        self._path.unlink(missing_ok=True)

    def _write(self, least: int, below: int) -> None:
        write_atomically(self._path, f"{least} {below}")
        self._least, self.below = least, below
