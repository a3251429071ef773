"""A topic whose whole content a process keeps in mind: read from its start, and then as it comes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from streams.kafka.clients import RETRY_S, BrokerError, consuming
from streams.kafka.settings import KafkaSettings

log = structlog.get_logger(__name__)
POLL_MS: Final = 200
Take = Callable[[list[ConsumerRecord], bool], Awaitable[None]]


async def follow(
    settings: KafkaSettings, topic: str, take: Take, failed: Callable[[], None] = lambda: None
) -> None:
    """Read all partitions for ever; while the broker is away it is tried again, from the start.

    Args:
        settings: where the broker is.
        topic: that is followed.
        take: gets what each poll brought, which may be nothing, in order within each partition, and whether
            all has come that was there when the reading began.
        failed: is called when the reading has failed: all comes again.

    """
    # What was said last of a broker that is away: it is tried twice a second.
    told = ""

    async def taken(records: list[ConsumerRecord], is_all: bool) -> None:
        nonlocal told
        told = ""
        await take(records, is_all)

    while True:
        try:
            await _read(settings, topic, taken)
        except (BrokerError, KafkaError, OSError) as error:
            problem = str(error) or type(error).__name__
            if problem != told:
                log.warning("a topic is not read; it is tried again", topic=topic, problem=problem)
            told = problem
            failed()
        await asyncio.sleep(RETRY_S)


async def _read(settings: KafkaSettings, topic: str, take: Take) -> None:
    async with consuming(settings, topic) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        if not ends:
            raise BrokerError(f"there is no topic {topic}: create it with `weir topics`")
        while True:
            fetched = await consumer.getmany(timeout_ms=POLL_MS)
            if any(lost.records is None for lost in fetched.lost):
                raise BrokerError(f"{topic} was made anew")
            if ends and all([await consumer.position(partition) >= end for partition, end in ends.items()]):
                ends = {}
            await take([record for records in fetched.values() for record in records], not ends)
