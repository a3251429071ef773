"""Where the characters of a changed text stand in the one it was made of."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import overload


class Places(Sequence[int]):
    """A place for each character, kept by the pieces between changes."""

    def __init__(
        self, length: int, edges: list[int], firsts: list[int], steps: list[int], behind: Sequence[int]
    ) -> None:
        self._length, self._edges, self._firsts, self._steps = length, edges, firsts, steps
        self._behind = behind

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(self._length))]
        if not 0 <= index < self._length:
            raise IndexError
        piece = bisect_right(self._edges, index) - 1
        return self._behind[self._firsts[piece] + self._steps[piece] * (index - self._edges[piece])]
