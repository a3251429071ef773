"""Who has which event for review, in every desk of a broker: a claim is a record, and the first one holds."""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import structlog
from aiokafka.structs import ConsumerRecord

from schemas import codec, topics
from schemas.reviews import Claim
from streams.kafka.clients import BrokerError
from streams.kafka.following import follow
from streams.kafka.records import Producer
from streams.kafka.settings import KafkaSettings

log = structlog.get_logger(__name__)
CLAIM_S: Final = 300.0
"""An event that somebody is shown for review is shown to nobody else for so long."""
DONE_S: Final = 900.0
"""After a review: by then its row is in the store, and the event waits no longer."""
ANSWER_S: Final = 10.0
MOST: Final = 10_000
"""Events that are held at once; one more takes the place of the oldest."""
_KEY: Final = b"claims"
"""One for all: the records of one partition have an order that every desk sees."""


def wall_clock_ms() -> int:
    """Return the time, in milliseconds since 1970 (UTC)."""
    return time.time_ns() // 1_000_000


class Held:
    """Who holds what, after the claims so far: a function of the log alone, the same in every desk."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, Claim] = OrderedDict()

    def take(self, claim: Claim) -> bool:
        """Note a claim; return whether it holds."""
        holder = self.of(claim.decision_id, claim.timestamp)
        if holder and not claim.done and (holder.done or holder.reviewer != claim.reviewer):
            return False
        self._of[claim.decision_id] = claim
        self._of.move_to_end(claim.decision_id)
        while len(self._of) > MOST:
            self._of.popitem(last=False)
        return True

    def of(self, decision_id: str, now_ms: int) -> Claim | None:
        """Return the claim that holds an event."""
        claim = self._of.get(decision_id)
        return claim if claim and _end(claim) > now_ms else None

    def forget(self, now_ms: int) -> None:
        """Drop the claims that have ended."""
        self._of = OrderedDict((name, claim) for name, claim in self._of.items() if _end(claim) > now_ms)


def _end(claim: Claim) -> int:
    """Return when a claim ends: whoever writes the topic holds an event no longer than a desk does."""
    return min(claim.until, claim.timestamp + round(1000 * DONE_S))


class Claims:
    """Claims events over `llm.claims`."""

    def __init__(
        self, settings: KafkaSettings, producer: Producer, now_ms: Callable[[], int] = wall_clock_ms
    ) -> None:
        self._settings = settings
        self._producer = producer
        self._now_ms = now_ms
        self._held = Held()
        self._sent: dict[str, asyncio.Future[bool]] = {}
        """By claim id: whether it holds, as soon as it is read."""
        self._caught_up = asyncio.Event()

    async def claim(self, waiting: Sequence[str], reviewer: str, *, skip: bool = False) -> str | None:
        """Return the decision id that a reviewer is shown: one that he has, or the first that nobody has.

        `skip`: not what he has. Raises `BrokerError` where the broker does not answer.
        """
        await self._within(self._caught_up.wait())
        for decision_id in () if skip else waiting:
            holder = self._held.of(decision_id, self._now_ms())
            if holder and holder.reviewer == reviewer and not holder.done:
                return decision_id
        for decision_id in waiting:
            if not self._held.of(decision_id, self._now_ms()) and await self._send(decision_id, reviewer):
                return decision_id
        return None

    async def done(self, decision_id: str, reviewer: str) -> None:
        """Have nobody shown an event that is judged."""
        await self._send(decision_id, reviewer, done=True)

    async def _send(self, decision_id: str, reviewer: str, *, done: bool = False) -> bool:
        now, claim_id = self._now_ms(), secrets.token_hex(16)
        until = now + round(1000 * (DONE_S if done else CLAIM_S))
        claim = Claim(
            claim_id=claim_id,
            decision_id=decision_id,
            reviewer=reviewer,
            timestamp=now,
            until=until,
            done=done,
        )
        answer = self._sent[claim_id] = asyncio.get_running_loop().create_future()
        try:
            await self._producer.send(topics.CLAIMS, [(_KEY, codec.encode(claim))])
            return await self._within(answer)
        finally:
            self._sent.pop(claim_id, None)

    async def _within(self, answer: asyncio.Future[bool] | Coroutine[Any, Any, bool]) -> bool:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            raise BrokerError(f"{topics.CLAIMS} cannot be read: see `weir doctor`") from None

    async def follow(self) -> None:
        """Read the claims of all desks, for ever."""
        await follow(self._settings, topics.CLAIMS, self._read, self._begin_anew)

    async def _read(self, records: Sequence[ConsumerRecord], is_all: bool) -> None:
        for record in records:
            self._offer(record.value)
        if is_all:
            self._caught_up.set()
        self._held.forget(self._now_ms())

    def _begin_anew(self) -> None:
        self._caught_up.clear()
        self._held = Held()

    def _offer(self, payload: bytes | None) -> None:
        try:
            claim = codec.decode(Claim, payload)
        except codec.Rejected as rejected:
            log.warning("not a claim", problem=rejected.detail)
            return
        holds = self._held.take(claim)
        answer = self._sent.get(claim.claim_id)
        if answer is not None and not answer.done():
            answer.set_result(holds)
