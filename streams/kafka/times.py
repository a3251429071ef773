"""Kafka's timestamps of what is sent: those of the clock here, or none where a broker does not believe it."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiokafka.errors import InvalidTimestampError

from streams.kafka.refusals import TimeRefusedError
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)

NO_TIME: Final = -1
"""Kafka's timestamp of a message without one, which a broker takes whatever its clock."""
UNTIMED_S: Final = 60.0
"""How long messages go without a time once a broker has refused that of the clock here."""


class Times:
    """Which timestamp messages get: a role whose clock is wrong must not keep what it has decided.

    Args:
        telemetry: of the role, whose health says so.
        clock: seconds.

    """

    def __init__(
        self, telemetry: Telemetry | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self._refused_at: float | None = None

    def stamp(self) -> int | None:
        """Return `NO_TIME`, or None for that of the clock."""
        untimed = self._refused_at is not None and self._clock() < self._refused_at + UNTIMED_S
        return NO_TIME if untimed else None

    async def send(self, topic: str, once: Callable[[], Awaitable[None]]) -> None:
        """Let `once` send with `stamp()`; again where a broker refuses the time of the clock."""
        timed = self.stamp() is None
        try:
            await once()
        except InvalidTimestampError:  # without a time at first, too: `UNTIMED_S` may be over meanwhile
            self._refused(topic)
            await once()
        else:
            if timed:
                self._taken()

    def _refused(self, topic: str) -> None:
        problem = str(TimeRefusedError())
        log.warning("messages go without a time", topic=topic, problem=problem)
        self._refused_at = self._clock()
        if self._telemetry is not None:
            self._telemetry.degrade("clock", problem=problem)

    def _taken(self) -> None:
        if self._refused_at is not None and self.stamp() is None:  # else it was refused meanwhile
            self._refused_at = None
            if self._telemetry is not None:
                self._telemetry.degrade("clock", False)
