"""Kafka clients outside of Faust: one place for addresses, security and batched sending."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
)
from aiokafka.partitioner import murmur2
from aiokafka.structs import ConsumerRecord

from streams.errors import ServerError, WeirError
from streams.kafka import probe
from streams.kafka.fetcher import bound
from streams.kafka.records import Message
from streams.kafka.reduced import reduced
from streams.kafka.refusals import TimeRefusedError, TooLargeForTopicError
from streams.kafka.settings import KafkaSettings
from streams.kafka.times import Times
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)

Client = TypeVar("Client", AIOKafkaProducer, AIOKafkaConsumer, AIOKafkaAdminClient)
BATCH_BYTES = 512 * 1024
REQUEST_BYTES = 9 * 1024 * 1024
SILENCE_S = 30.0
"""How long a topic that is read to its end may give nothing before that."""
METADATA_S = 5.0
"""Between two looks for new partitions and topics."""
RETRY_S = 0.5
"""Between two attempts of a client to start, where the broker is not yet itself."""


class BrokerError(ServerError):
    """The broker cannot be used; the message says what to do."""


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Return what every aiokafka client needs to connect."""
    options: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in settings.kafka.split(",")],
        "security_protocol": settings.kafka_security,
        "ssl_context": settings.ssl_context,
    }
    if settings.kafka_security.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    return options


async def started(
    settings: KafkaSettings, make: Callable[..., Client], within_s: float | None = None
) -> Client:
    """Return a client, started within `within_s` (WEIR_KAFKA_START_TIMEOUT_S by default), a consumer bounded.

    Raises `BrokerError`, which says what is wrong: a client alone tries for 40 s, and does not say it.
    """
    within_s = within_s or settings.kafka_start_timeout_s
    options = client_options(settings)
    servers = options.pop("bootstrap_servers")
    began = time.monotonic()
    server, problem = await probe.first(servers, options, within_s)
    if problem:
        raise BrokerError(problem)
    # A client asks one after the other, and one that is silent would cost it all of its time. Later it asks
    # the brokers that this one names.
    while True:
        client = make(bootstrap_servers=server, metadata_max_age_ms=int(METADATA_S * 1000), **options)
        left = within_s - (time.monotonic() - began)
        try:
            async with asyncio.timeout(max(1.0, left)):
                await client.start()
            if isinstance(client, AIOKafkaConsumer):
                bound(client)
        except BaseException as error:
            await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())
            # aiokafka asserts that the metadata name a broker: a starved one does not yet.
            if isinstance(error, AssertionError) and left > RETRY_S:
                await asyncio.sleep(RETRY_S)
                continue
            if isinstance(error, (KafkaError, OSError, AssertionError)):  # TimeoutError is an OSError
                raise BrokerError(
                    f"the broker at {server} answers, but a client could not start "
                    f"({type(error).__name__}): see the broker's log"
                ) from error
            raise
        return client


class BatchProducer:
    """Sends many messages at once: one future per partition and batch, not one per message.

    A patient one keeps the messages while the broker is away and sends them again when it is back. Where the
    broker refuses the time of the clock here they go without one, and the health of the role says so.
    """

    def __init__(
        self, settings: KafkaSettings, telemetry: Telemetry | None = None, *, patient: bool = False
    ) -> None:
        self._settings = settings
        self._patient = patient
        self._producer: AIOKafkaProducer | None = None
        self.times = Times(telemetry)

    async def start(self) -> None:
        """Connect; raise `BrokerError` if no broker answers."""
        make = partial(
            AIOKafkaProducer,
            acks="all",
            # Not idempotent: consumers drop repeats by id, and a sequence that is broken off ends a producer.
            max_batch_size=BATCH_BYTES,
            max_request_size=REQUEST_BYTES,
        )
        self._producer = await started(self._settings, make)

    async def stop(self) -> None:
        """Flush and disconnect."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        assert self._producer is not None, "start() first"
        return len(await self._producer.partitions_for(topic))

    async def send(self, topic: str, messages: Sequence[Message]) -> None:
        """Send all and return when every one is acknowledged by all in-sync replicas; else `KafkaError`.

        What its topic does not take goes without its texts. The partition is Kafka's default: murmur2 of the
        key; the first one without a key.
        """
        if messages:
            await self._until_sent(topic, len(messages), lambda: self._send_fitting(topic, messages))

    async def send_to(self, topic: str, partition: int, message: Message) -> None:
        """Send one message to a partition, as `send` does."""

        async def once() -> None:
            try:
                await asyncio.gather(*await self._send_group(topic, partition, [message]))
            except MessageSizeTooLargeError:
                raise TooLargeForTopicError(topic, _size(message)) from None

        await self._until_sent(topic, 1, once)

    async def _until_sent(self, topic: str, messages: int, once: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await self.times.send(topic, once)
            except KafkaError as error:
                problem = TimeRefusedError() if isinstance(error, InvalidTimestampError) else error
                if not (self._patient and (problem.retriable or isinstance(error, KafkaTimeoutError))):
                    raise problem from None
                told = str(problem) if isinstance(problem, WeirError) else type(error).__name__
                log.warning("messages are kept", topic=topic, messages=messages, problem=told)
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _send_fitting(self, topic: str, messages: Sequence[Message]) -> None:
        """Send all at once, or in halves where that is too large at once: a topic limits its batches."""
        try:
            await self._send(topic, messages)
        except MessageSizeTooLargeError:
            if len(messages) == 1:
                await self._send_reduced(topic, messages[0])
                return
            half = len(messages) // 2
            # The first half again, too, of which some may have been taken: in order, and repeats have ids.
            for part in (messages[:half], messages[half:]):
                await self._send_fitting(topic, part)

    async def _send_reduced(self, topic: str, message: Message) -> None:
        """Send a message that is too large without its texts: one event must not stop all others."""
        less = reduced(topic, message)
        if less is None:
            raise TooLargeForTopicError(topic, _size(message))
        log.warning("too large for its topic, and sent without its texts", topic=topic, bytes=_size(message))
        try:
            await self._send(topic, [less])
        except MessageSizeTooLargeError:
            raise TooLargeForTopicError(topic, _size(less)) from None

    async def _send(self, topic: str, messages: Sequence[Message]) -> None:
        assert self._producer is not None, "start() first"
        partitions = sorted(await self._producer.partitions_for(topic))
        groups: dict[int, list[Message]] = {}
        for message in messages:
            key = message[0]
            index = (murmur2(key) & 0x7FFFFFFF) % len(partitions) if key is not None else 0
            groups.setdefault(partitions[index], []).append(message)
        futures = [
            future
            for partition, group in groups.items()
            for future in await self._send_group(topic, partition, group)
        ]
        await asyncio.gather(*futures)

    async def _send_group(
        self, topic: str, partition: int, group: list[Message]
    ) -> list[asyncio.Future[Any]]:
        assert self._producer is not None
        futures, stamp = [], self.times.stamp()
        batch = self._producer.create_batch()
        for key, value in group:
            if batch.append(key=key, value=value, timestamp=stamp) is None:
                futures.append(await self._producer.send_batch(batch, topic, partition=partition))
                batch = self._producer.create_batch()
                batch.append(key=key, value=value, timestamp=stamp)
        futures.append(await self._producer.send_batch(batch, topic, partition=partition))
        return futures


def _size(message: Message) -> int:
    return sum(len(each) for each in message if each is not None)


@contextlib.asynccontextmanager
async def producing(settings: KafkaSettings) -> AsyncIterator[BatchProducer]:
    """A started `BatchProducer`, stopped at the end."""
    producer = BatchProducer(settings)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@contextlib.asynccontextmanager
async def consuming(
    settings: KafkaSettings, *names: str, from_start: bool = True, group: str | None = None
) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer; without a group it reads all partitions and commits nothing."""
    make = partial(
        AIOKafkaConsumer,
        *names,
        group_id=group,
        auto_offset_reset="earliest" if from_start else "latest",
        enable_auto_commit=group is not None,
        fetch_max_wait_ms=settings.kafka_fetch_wait_ms,
        max_partition_fetch_bytes=REQUEST_BYTES,
        isolation_level="read_committed",
    )
    consumer = await started(settings, make)
    try:
        yield consumer
    finally:
        await consumer.stop()


async def read_to_end(settings: KafkaSettings, topic: str) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield everything that is in a topic now, in order within each partition, with a poll of it in memory.

    Raises `BrokerError` when nothing comes any more though the end is not reached.
    """
    async with consuming(settings, topic) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        for partition, end in ends.items():
            position, since = -1, time.monotonic()
            while (now_at := await consumer.position(partition)) < end:
                if now_at != position:  # also past what is no record, such as the marker of a transaction
                    position, since = now_at, time.monotonic()
                elif time.monotonic() > since + SILENCE_S:
                    raise BrokerError(
                        f"{topic}/{partition.partition} ends at {end}, and nothing comes after {position}: "
                        "see whether the broker is well, and the topic still there"
                    )
                for fetched in (await consumer.getmany(partition, timeout_ms=200)).values():
                    for record in fetched:
                        yield record
