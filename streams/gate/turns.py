"""How long the event loop took for its last turn: what it reads now may have waited as long, unseen."""

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Final

WAKING_S: Final = 0.005
"""Of a wait, what may have been spent after that came which ended it."""


class Turns(selectors.DefaultSelector):
    """A selector that notes when it looked for what has come.

    What is there when it looks came since it looked the last time; what it waits for comes in that moment.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._returned = clock()
        self.age_s = 0.0
        """How long ago, at most, that came which is handled in this turn."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, as every selector does."""
        looked = self._clock()
        found = super().select(timeout)
        now = self._clock()
        # Who may wait here is woken by what comes then; who may not has waited for the interpreter.
        waited_s = now - looked if timeout == 0 else min(now - looked, WAKING_S)
        self.age_s = looked - self._returned + waited_s
        self._returned = now
        return found


class Loop(asyncio.SelectorEventLoop):
    """An event loop that knows its turns."""

    def __init__(self) -> None:
        self.turns = Turns()
        super().__init__(self.turns)


def came_at() -> float:
    """Return the earliest time at which what is read in this turn can have come, by `time.monotonic`."""
    loop = asyncio.get_running_loop()
    age_s = loop.turns.age_s if isinstance(loop, Loop) else 0.0
    return time.monotonic() - age_s
