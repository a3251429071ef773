"""Reads `llm.policy`, from its start and for as long as a process judges."""

import asyncio
from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from schemas import codec, topics
from schemas.policy import PolicyChange
from streams.kafka.clients import RETRY_S, BrokerError, consuming, read_to_end
from streams.kafka.settings import KafkaSettings
from streams.policy.changes import Demotions

log = structlog.get_logger(__name__)
POLL_MS = 500


class PolicyChanges:
    """Hands every change to `take`, those there are and those that come."""

    def __init__(self, settings: KafkaSettings, take: Callable[[PolicyChange], None]) -> None:
        self._settings = settings
        self._take = take
        self._caught_up = asyncio.Event()
        self._told = ""
        """What was said last of a broker that is away: it is tried twice a second."""

    async def follow(self) -> None:
        """Read for ever; while the broker is away it is tried again, from the start."""
        while True:
            try:
                async with consuming(self._settings, topics.POLICY) as consumer:
                    await self._read(consumer)
            except (BrokerError, KafkaError) as error:
                problem = str(error) or type(error).__name__
                if problem != self._told:
                    log.warning("changes of the policy are not known", problem=problem)
                self._told = problem
            await asyncio.sleep(RETRY_S)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        ends = await consumer.end_offsets(consumer.assignment())
        if not ends:
            raise BrokerError(f"there is no topic {topics.POLICY}: create it with `weir topics`")
        while True:
            fetched = await consumer.getmany(timeout_ms=POLL_MS)
            self._told = ""
            for records in fetched.values():
                for record in records:
                    self._offer(record.value)
            if not self._caught_up.is_set():
                at = [await consumer.position(partition) >= end for partition, end in ends.items()]
                if all(at):
                    self._caught_up.set()

    def _offer(self, payload: bytes | None) -> None:
        try:
            change = codec.decode(PolicyChange, payload)
        except codec.Rejected as rejected:
            log.warning("not a change of the policy", problem=rejected.detail)
        else:
            self._take(change)

    async def caught_up(self, within_s: float) -> bool:
        """Wait until all is read that was there; return whether it is."""
        try:
            async with asyncio.timeout(within_s):
                await self._caught_up.wait()
        except TimeoutError:
            return False
        return True


async def demotions(settings: KafkaSettings) -> Demotions:
    """Return the demotions that stand now. Raises `BrokerError`."""
    standing = Demotions()
    for record in await read_to_end(settings, topics.POLICY):
        standing.take(codec.decode(PolicyChange, record.value))
    return standing
