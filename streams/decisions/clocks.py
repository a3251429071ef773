"""Whether clocks agree: that of this machine, and those whose time is in what it reads."""

import time
from collections.abc import Callable
from typing import Final

from streams.telemetry.metrics import Telemetry

SHOWN_S: Final = 60.0
"""How long it shows in the health of the role after the last record that was ahead."""


class Clocks:
    """Says where records come from the future: a clock is wrong, and it may be ours.

    Args:
        telemetry: of the role.
        limit_ms: how far ahead is still well.
        clock: seconds.

    """

    def __init__(
        self, telemetry: Telemetry, limit_ms: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._telemetry = telemetry
        self._limit_ms = limit_ms
        self._clock = clock
        self._shown_until = float("-inf")
        self._problem = ""
        self._shown = False

    def note(self, ahead_ms: int) -> None:
        """Note how far the record of a batch that is furthest ahead is so, milliseconds; 0 for none."""
        now = self._clock()
        if ahead_ms > self._limit_ms:
            self._shown_until = now + SHOWN_S
            self._problem = (
                f"records are {ahead_ms / 1000:,.0f} s ahead of this machine: "
                "set its clock, or that of who publishes"
            )
        shows = now < self._shown_until
        if shows or self._shown:  # else another reason to say it may be there
            self._telemetry.degrade("clock", shows, self._problem)
        self._shown = shows
