"""Does what reviews ask for, a moment after their rows are written."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from schemas import codec, topics
from schemas.events import Decision
from streams.decisions.after_reviews import Found, due
from streams.kafka.records import Message
from streams.store.client import Store
from streams.store.errors import StoreError

log = structlog.get_logger(__name__)
AGAIN_S: Final = (1.0, 5.0, 20.0)
"""After a look, the next ones: the row of an event may come later than what is said of it."""
RETRY_S: Final = 5.0
Send = Callable[[str, Sequence[Message]], Awaitable[None]]


class ReviewsFollowed:
    """Looks into the store after reviews came, publishes what is due, and writes it down.

    Published first: who dies in between publishes it again under the same ids.
    """

    def __init__(self, store: Store, send: Send) -> None:
        self._store = store
        self._send = send
        self._wanted = asyncio.Event()

    def look(self) -> None:
        """Have it looked soon."""
        self._wanted.set()

    async def follow(self) -> None:
        """Look whenever it is asked for, for ever."""
        while True:
            await self._wanted.wait()
            for pause_s in (*AGAIN_S, 0.0):
                self._wanted.clear()
                try:
                    await self.do()
                except (StoreError, KafkaError) as error:
                    log.warning("what reviews ask for waits", problem=str(error) or type(error).__name__)
                    self._wanted.set()
                    await asyncio.sleep(RETRY_S)
                    break
                if pause_s and await self._asked_within(pause_s):
                    break

    async def _asked_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        except TimeoutError:
            return False
        return True

    async def do(self) -> Found:
        """Do what is due now, and return it. Raises `StoreError`, `KafkaError`."""
        found = await asyncio.to_thread(due, self._store)
        if found.decisions:
            await self._send(topics.DECISIONS, [(_key(each), codec.encode(each)) for each in found.decisions])
            named = [f"{each.decision_id}/{each.revision}" for each in found.decisions]
            await asyncio.to_thread(self._store.insert, found.decisions, _token(named))
            log.info("escalations are answered", decisions=len(found.decisions))
        if found.changes:
            await self._send(topics.ALERTS, [(None, codec.encode(each)) for each in found.alerts])
            await self._send(topics.POLICY, [(each.key, codec.encode(each)) for each in found.changes])
            # The archive will read them, but maybe not before the next look.
            named = [each.change_id for each in found.changes]
            await asyncio.to_thread(self._store.insert, found.changes, _token(named))
            for change in found.changes:
                log.warning(
                    "reviews find a rule wrong", what=change.what, rule=change.rule, why=change.reason
                )
        if found.ended:
            await self._send(topics.ALERTS, [(None, codec.encode(each)) for each in found.ended])
            named = [f"{each.alert_id}/{each.resolved_at}" for each in found.ended]
            await asyncio.to_thread(self._store.insert, found.ended, _token(named))
            log.info("alerts of demotions are over", alerts=len(found.ended))
        return found


def _key(decision: Decision) -> bytes:
    """Return the Kafka key of the decision that it takes the place of."""
    return (decision.conversation_id or decision.event_id).encode()


def _token(names: Sequence[str]) -> str:
    return hashlib.blake2b(",".join(names).encode(), digest_size=16).hexdigest()
