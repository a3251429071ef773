"""From publish to decision, measured by a client that publishes and listens."""

import asyncio
import time
from collections.abc import Sequence

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.texts import messages
from schemas import topics
from schemas.events import Decision, Event
from streams.kafka.clients import client_options, consuming
from streams.settings import Settings

PATIENCE_S = 30.0


async def latencies(settings: Settings, events: Sequence[Event], rate: float) -> list[float]:
    """Publish `events`, `rate` per second, and return the milliseconds until each decision was seen.

    The time of an event runs from when it was due, so that a client that falls behind does not hide
    a delay (coordinated omission). Raises `TimeoutError` when decisions stay away.
    """
    due: dict[str, float] = {}
    found: dict[str, float] = {}
    async with consuming(settings, topics.DECISIONS, from_start=False) as consumer:
        await asyncio.gather(*(consumer.position(partition) for partition in consumer.assignment()))
        following = asyncio.create_task(_follow(consumer, due, found))
        async with AIOKafkaProducer(**client_options(settings), acks="all") as producer:
            await _publish(producer, events, rate, due)
            async with asyncio.timeout(PATIENCE_S):
                while len(found) < len(events):  # noqa: ASYNC110 (a dictionary, for a moment)
                    await asyncio.sleep(0.02)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    return [1000 * found[event.event_id] for event in events]


async def _publish(
    producer: AIOKafkaProducer, events: Sequence[Event], rate: float, due: dict[str, float]
) -> None:
    await producer.partitions_for(topics.EVENTS)
    started = time.perf_counter()
    sent = []
    for number, (event, (key, value)) in enumerate(zip(events, messages(events), strict=True)):
        moment = started + number / rate
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        due[event.event_id] = moment
        sent.append(await producer.send(topics.EVENTS, value, key))
    await asyncio.gather(*sent)


async def _follow(consumer: AIOKafkaConsumer, due: dict[str, float], found: dict[str, float]) -> None:
    decoder = msgspec.json.Decoder(Decision)
    async for record in consumer:
        event_id = decoder.decode(record.value).event_id
        if event_id in due:
            found.setdefault(event_id, time.perf_counter() - due[event_id])
