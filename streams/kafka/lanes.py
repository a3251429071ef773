"""Two queues before a role: live records go first, bulk ones get what is left and a bounded share."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, Literal, TypeVar

from schemas import topics

Lane = Literal["live", "bulk"]
LANES: Final[tuple[Lane, ...]] = ("live", "bulk")
BULK_SHARE: Final = 0.1
"""Of the time, while live records wait: bulk goes on under a constant load, and delays it by a tenth."""

T = TypeVar("T")


def lane_of(topic: str) -> Lane:
    """Return the lane in which a topic is read."""
    return "bulk" if topic == topics.EVENTS_BULK else "live"


class Lanes(Generic[T]):
    """What waits, by lane.

    Bulk goes when nothing live waits, and when live records had `1 - BULK_SHARE` of the time since it went.
    """

    def __init__(self) -> None:
        self._waiting: dict[Lane, deque[T]] = {lane: deque() for lane in LANES}
        self._arrived = asyncio.Event()
        self._finished = asyncio.Event()
        self._unfinished = 0
        self._owed_s = 0.0
        self._bulk_s = 0.0

    def put(self, lane: Lane, item: T) -> None:
        """Add something to a lane; whoever fills it keeps it small."""
        self._waiting[lane].append(item)
        self._unfinished += 1
        self._finished.clear()
        self._arrived.set()

    def pop(self, lane: Lane) -> T | None:
        """Return what waits longest in a lane, None if nothing does."""
        return self._waiting[lane].popleft() if self._waiting[lane] else None

    def waiting(self, lane: Lane) -> Sequence[T]:
        """Return what waits in a lane, in order."""
        return self._waiting[lane]

    async def next(self) -> tuple[Lane, T]:
        """Wait for something in any lane and return what goes first."""
        while True:
            lane = self._turn()
            item = self.pop(lane)
            if item is not None:
                return lane, item
            self._arrived.clear()
            await self._arrived.wait()

    async def next_live(self) -> T:
        """Wait for something live."""
        while (item := self.pop("live")) is None:
            self._arrived.clear()
            await self._arrived.wait()
        return item

    def _turn(self) -> Lane:
        live, bulk = self._waiting["live"], self._waiting["bulk"]
        if live and bulk:
            return "bulk" if self._owed_s > self._bulk_s else "live"
        return "bulk" if bulk else "live"

    def took(self, lane: Lane, seconds: float) -> None:
        """Note how long something of a lane took."""
        if lane == "bulk":
            self._bulk_s, self._owed_s = seconds, max(0.0, self._owed_s - seconds)
        elif self._waiting["bulk"]:
            self._owed_s += seconds * BULK_SHARE / (1 - BULK_SHARE)

    def done(self, items: int) -> None:
        """Note that so many are finished."""
        self._unfinished -= items
        if not self._unfinished:
            self._finished.set()

    async def join(self) -> None:
        """Wait until everything is finished."""
        if self._unfinished:
            await self._finished.wait()
