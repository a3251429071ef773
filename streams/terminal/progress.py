"""How far a long command is: one line that changes on a terminal, now and then a line elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

TERMINAL_S = 0.2
ELSEWHERE_S = 5.0
"""In a log lines stay, so they come seldom."""


class Progress:
    """Shows a count, its rate and the share done on stderr."""

    def __init__(
        self,
        what: str,
        count: Callable[[], int],
        share: Callable[[], float | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._count = count
        self._share = share
        self._clock = clock
        self._terminal = sys.stderr.isatty()
        self._started = self._shown = clock()
        self._width = 0

    def __call__(self) -> None:
        """Show a line if it is time for one."""
        now = self._clock()
        if now - self._shown < (TERMINAL_S if self._terminal else ELSEWHERE_S):
            return
        self._shown = now
        line = self.line(now)
        if self._terminal:
            # Padded, since the line before may have been longer.
            sys.stderr.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def line(self, now: float) -> str:
        """Return what is shown at `now`."""
        count, share = self._count(), self._share()
        rate = count / max(now - self._started, 1e-9)
        percent = "" if share is None else f"  {min(share, 1.0):4.0%}"
        return f"{count:,} {self._what}  {rate:,.0f}/s{percent}"

    def clear(self) -> None:
        """Remove the line from the terminal."""
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0


@contextlib.contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show on stderr how many of how many are done: call what is yielded with both numbers."""
    read, total = 0, 1
    progress = Progress(what, lambda: read, lambda: read / max(total, 1))

    def note(count: int, of: int) -> None:
        nonlocal read, total
        read, total = count, of
        progress()

    try:
        yield note
    finally:
        progress.clear()
