"""Requests that wait for a person: the answers of reviewers, as they come on `llm.decisions`."""

import asyncio
import time
from collections import OrderedDict, defaultdict
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from schemas import codec, topics
from schemas.events import Decision
from streams.kafka.clients import RETRY_S, BrokerError, consuming
from streams.kafka.settings import KafkaSettings

log = structlog.get_logger(__name__)
MOST_WAITING: Final = 1_000
"""Requests that wait at once; one more is answered without waiting."""
MOST_KNOWN: Final = 10_000
MOST_CHARS: Final = 16 << 20
"""Of redacted texts in what is known: only those can be long."""
QUIET_S: Final = 60.0
"""So long after the last request that waited the topic is still read."""
POLL_MS: Final = 200
_BY_REVIEWER: Final = b'"decided_by":"reviewer"'


class Reviews:
    """Reads `llm.decisions` while requests wait, from when the first of their decisions was made."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._waiting: dict[str, set[asyncio.Future[Decision]]] = defaultdict(set)
        self._known: OrderedDict[str, Decision] = OrderedDict()
        self._chars = 0
        self._wanted = asyncio.Event()
        self._from_ms = 0
        """From when on the topic is read, or has to be."""
        self._quiet_since = time.monotonic()
        self._closed = False

    async def answer(self, decision: Decision, within_s: float) -> Decision:
        """Return the reviewer's decision on an escalated event, or the one given where none comes in time."""
        if known := self._known.get(decision.decision_id):
            return known
        if self._closed or sum(map(len, self._waiting.values())) >= MOST_WAITING:
            return decision
        future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._waiting[decision.decision_id].add(future)
        if not self._from_ms or decision.decided_at < self._from_ms:
            self._from_ms = decision.decided_at
        self._wanted.set()
        try:
            async with asyncio.timeout(within_s):
                return await future
        except TimeoutError:
            return decision
        finally:
            self._quiet_since = time.monotonic()
            self._forget(decision.decision_id, future)

    def _forget(self, decision_id: str, future: asyncio.Future[Decision]) -> None:
        others = self._waiting.get(decision_id, set())
        others.discard(future)
        if not others:
            self._waiting.pop(decision_id, None)

    def take(self, decision: Decision) -> None:
        """Give a reviewer's decision to who waits for it; the one with the highest revision is remembered."""
        known = self._known.get(decision.decision_id)
        if known and known.revision > decision.revision:
            return
        self._known[decision.decision_id] = decision
        self._chars += _chars(decision) - (_chars(known) if known else 0)
        while len(self._known) > MOST_KNOWN or self._chars > MOST_CHARS:
            self._chars -= _chars(self._known.popitem(last=False)[1])
        for future in self._waiting.pop(decision.decision_id, ()):
            if not future.done():
                future.set_result(decision)

    def close(self) -> None:
        """Let nobody wait any longer: each is answered with the decision that it has."""
        self._closed = True
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(TimeoutError())

    async def follow(self) -> None:
        """Read while somebody waits, for ever."""
        while True:
            await self._wanted.wait()
            try:
                async with consuming(self._settings, topics.DECISIONS) as consumer:
                    await self._read(consumer)
            except (BrokerError, KafkaError) as error:
                log.warning("answers of reviewers are not read", problem=str(error) or type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        began = self._from_ms
        # The end first: what is appended in between is later than it.
        ends = await consumer.end_offsets(consumer.assignment())
        places = await consumer.offsets_for_times(dict.fromkeys(consumer.assignment(), began))
        for partition, place in places.items():
            consumer.seek(partition, place.offset if place else ends[partition])
        while began <= self._from_ms:  # or somebody waits for what lies before
            fetched = await consumer.getmany(timeout_ms=POLL_MS)
            for records in fetched.values():
                for record in records:
                    self._offer(record.value)
            if not self._waiting and time.monotonic() > self._quiet_since + QUIET_S:
                self._wanted.clear()
                self._from_ms = 0
                return

    def _offer(self, payload: bytes | None) -> None:
        if payload is None or _BY_REVIEWER not in payload:
            return
        try:
            self.take(codec.decode(Decision, payload))
        except codec.Rejected as rejected:
            log.warning("not a decision", problem=rejected.detail)


def _chars(decision: Decision) -> int:
    return len(decision.text or "")
