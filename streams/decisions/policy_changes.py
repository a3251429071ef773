"""Reads `llm.policy`, from its start and for as long as a process judges."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog
from aiokafka.structs import ConsumerRecord

from schemas import codec, topics
from schemas.policy import PolicyChange
from streams.kafka.clients import read_to_end
from streams.kafka.following import follow
from streams.kafka.settings import KafkaSettings
from streams.policy.changes import Demotions

log = structlog.get_logger(__name__)


class PolicyChanges:
    """Hands every change to `take`, those there are and those that come."""

    def __init__(self, settings: KafkaSettings, take: Callable[[PolicyChange], None]) -> None:
        self._settings = settings
        self._take = take
        self._caught_up = asyncio.Event()

    async def follow(self) -> None:
        """Read for ever; while the broker is away it is tried again, from the start."""
        await follow(self._settings, topics.POLICY, self._read)

    async def _read(self, records: Sequence[ConsumerRecord], is_all: bool) -> None:
        for record in records:
            try:
                change = codec.decode(PolicyChange, record.value)
            except codec.Rejected as rejected:
                log.warning("not a change of the policy", problem=rejected.detail)
            else:
                self._take(change)
        if is_all:
            self._caught_up.set()

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
    async for record in read_to_end(settings, topics.POLICY):
        with contextlib.suppress(codec.Rejected):  # who judges says so
            standing.take(codec.decode(PolicyChange, record.value))
    return standing
