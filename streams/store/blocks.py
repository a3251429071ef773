"""Blocks of rows on their way into a table, halved where the store refuses them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from streams.store.errors import BlockTooLargeError, DoubtfulRowError, RetryableStoreError, RowError

T = TypeVar("T")

LEAST_BYTES = 1 << 20
"""A block is not halved below this because of what may pass: many small inserts would make it worse."""
PATIENCE = 2
"""Attempts before a block is halved that fails for whatever reason: a timeout may mean its size."""
SUSPICIOUS = 16
"""So many rows refused one by one, and none taken: it is the table."""


@dataclass(frozen=True)
class RefusedRow(Generic[T]):
    """A row that the store refuses, and why."""

    row: T
    reason: str
    certain: bool = True
    """The row itself is to blame; else it may be the table."""


@dataclass(frozen=True)
class _Block(Generic[T]):
    rows: Sequence[T]
    token: str

    def halves(self) -> "list[_Block[T]]":
        """Return two blocks, with tokens of their own that are the same in a retry; the first one last."""
        middle = len(self.rows) // 2
        return [
            _Block(self.rows[middle:], f"{self.token}/1"),
            _Block(self.rows[:middle], f"{self.token}/0"),
        ]


class Blocks(Generic[T]):
    """Puts rows into a table, for as many attempts as it takes.

    A block with a row that the store refuses is halved until the row stands alone. A block that is too large
    as a whole is halved as well. What went in is let go of at once and not sent again.
    """

    def __init__(self, rows: Sequence[T], token: str, size: Callable[[T], int]) -> None:
        """`token` names the block; `size` returns the bytes of a row."""
        self.refused: list[RefusedRow[T]] = []
        self.taken = 0
        """Rows that went in."""
        self._size = size
        self._token = token
        self._waiting = [_Block(rows, token)] if rows else []
        self._failures = 0

    @property
    def done(self) -> bool:
        """Whether every row went in or was refused for its own sake."""
        return not self._waiting

    def insert(self, insert: Callable[[Sequence[T], str], None]) -> None:
        """Insert what waits; `RetryableStoreError` when the rest has to wait: call it again then."""
        while self._waiting:
            block = self._waiting[-1]
            try:
                insert(block.rows, block.token)
            except RowError as error:
                self._halve_or_refuse(block, str(error), not isinstance(error, DoubtfulRowError))
            except RetryableStoreError as error:
                self._halve_or_wait(block, error)
            else:
                self._took(block)
        if not self.taken and any(not each.certain for each in self.refused):
            self._keep_all()

    def _took(self, block: _Block[T]) -> None:
        self._waiting.pop()
        if not self.taken and self.refused:
            # Until now it may have been the table: those are tried once more.
            rows = [each.row for each in self.refused]
            self._waiting.insert(0, _Block(rows, f"{self._token}/again"))
            self.refused = []
        self.taken += len(block.rows)
        self._failures = 0

    def _halve_or_wait(self, block: _Block[T], error: RetryableStoreError) -> None:
        if isinstance(error, BlockTooLargeError):
            if error.certain:
                self._halve_or_refuse(block, str(error), True)
            elif not self._halve(block):
                raise error
            return
        self._failures += 1
        if self._failures > PATIENCE:
            self._halve(block)
        raise error

    def _halve_or_refuse(self, block: _Block[T], reason: str, certain: bool) -> None:
        self._waiting.pop()
        if len(block.rows) > 1:
            self._waiting += block.halves()
            return
        self.refused.append(RefusedRow(block.rows[0], reason, certain))
        if not self.taken and len(self.refused) >= SUSPICIOUS:
            self._keep_all()

    def _halve(self, block: _Block[T]) -> bool:
        """Halve what waits first, unless it is small; return whether it was."""
        if len(block.rows) == 1 or sum(map(self._size, block.rows)) <= LEAST_BYTES:
            return False
        self._waiting.pop()
        self._waiting += block.halves()
        return True

    def _keep_all(self) -> None:
        """Put the rows together again and say that it is the table's fault."""
        reason = self.refused[-1].reason
        rows = [each.row for each in self.refused] + [
            row for block in reversed(self._waiting) for row in block.rows
        ]
        self.refused = []
        self._waiting = [_Block(rows, self._token)]
        raise RetryableStoreError(
            f"{reason}; so is every row: was the table changed, or does a column compute what it cannot?"
        )
