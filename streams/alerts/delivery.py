"""A route at work: reads the changes of alerts and delivers what it wants, at its own pace.

Each route has a position of its own in `llm.alert-states`, committed after a delivery. So a receiver that
fails keeps nobody else waiting, and gets what it missed once it is back.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from schemas import codec, topics
from schemas.alerts import AlertChange
from streams.alerts.routes import Route
from streams.alerts.senders import Failed, Refused, Sender, make_sender
from streams.kafka.clients import started
from streams.kafka.losses import tell
from streams.kafka.settings import KafkaSettings
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)

FIRST_DELAY_S, LAST_DELAY_S = 0.5, 60.0
"""Between attempts, doubled from one to the other; with jitter."""
COMMIT_S: Final = 3600.0
"""A position that is not committed anew for long is forgotten by the broker."""
POLL_MS: Final = 1_000


class Problems:
    """What is wrong with which route, in the health of the role."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._found: dict[str, str] = {}

    def note(self, route: str, problem: str) -> None:
        """Note what is wrong with a route; nothing: it is well."""
        if problem:
            self._found[route] = problem
        else:
            self._found.pop(route, None)
        told = "; ".join(f"{name}: {text}" for name, text in sorted(self._found.items()))
        self._telemetry.degrade("route", bool(self._found), told)
        self._telemetry.gauge(catalogue.ROUTE_FAILING, float(bool(problem)), route)


class Delivery:
    """One route."""

    def __init__(
        self,
        route: Route,
        settings: KafkaSettings,
        telemetry: Telemetry,
        problems: Problems,
        partitions: Callable[[], Awaitable[int]],
    ) -> None:
        self._route = route
        self._settings = settings
        self._telemetry = telemetry
        self._problems = problems
        self._sender: Sender = make_sender(route)
        self._count = partitions
        self._consumer: AIOKafkaConsumer | None = None
        self._partitions: list[TopicPartition] = []

    async def start(self) -> None:
        """Take up the position; a route that is new begins with what comes from now on."""
        make = partial(
            AIOKafkaConsumer,
            group_id=f"{self._settings.group_prefix}-notify-{self._route.name}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self._settings.kafka_fetch_wait_ms,
        )
        consumer = await started(self._settings, make)
        try:
            await self._assign(consumer)
            new = [each for each in self._partitions if await consumer.committed(each) is None]
            if new:
                ends = await consumer.end_offsets(new)
                await consumer.commit(ends)
                for each, end in ends.items():  # it may have found nothing committed, and begun at the start
                    consumer.seek(each, end)
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer
        self._problems.note(self._route.name, "")

    async def _assign(self, consumer: AIOKafkaConsumer) -> None:
        # Not subscribed: whoever owns the life cycle runs all routes, and positions are that worker's.
        self._partitions = [TopicPartition(topics.ALERT_STATES, each) for each in range(await self._count())]
        consumer.assign(self._partitions)

    async def run(self) -> None:
        """Deliver until cancelled; the broker may be away and come back."""
        committed = time.monotonic()
        while True:
            try:
                if await self._step() or time.monotonic() - committed > COMMIT_S:
                    await self._commit()
                    committed = time.monotonic()
            except KafkaError as error:
                log.warning(
                    "a route waits for the broker", route=self._route.name, problem=type(error).__name__
                )
                await asyncio.sleep(1.0)

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()
        await self._sender.close()

    async def _step(self) -> bool:
        """Deliver what one poll brings; return whether it brought anything."""
        assert self._consumer is not None, "start() first"
        fetched = await self._consumer.getmany(timeout_ms=POLL_MS)
        for lost in fetched.lost:
            tell(self._telemetry, lost)
        for records in fetched.values():
            await self._handle(records)
        self._telemetry.gauge(catalogue.ROUTE_WAITING, await self._waiting(), self._route.name)
        if not fetched and await self._count() != len(self._partitions):
            await self._assign(self._consumer)
        return bool(fetched)

    async def _handle(self, records: Sequence[ConsumerRecord]) -> None:
        assert self._consumer is not None
        for record in records:
            change = _decoded(record)
            if change is not None and self._route.wants(change):
                await self._deliver(change)
                partition = TopicPartition(record.topic, record.partition)
                await self._consumer.commit({partition: record.offset + 1})

    async def _deliver(self, change: AlertChange) -> None:
        """Send until it is delivered or refused."""
        name, delay, attempts, began = self._route.name, FIRST_DELAY_S, 0, time.monotonic()
        while True:
            attempts += 1
            try:
                await self._sender.send(change)
            except Failed as failed:
                problem, wait = str(failed), max(failed.wait_s, delay * random.uniform(0.5, 1.0))  # noqa: S311
                self._telemetry.count(catalogue.NOTIFICATIONS, 1, name, "failed")
                since = f"{attempts} attempts in {time.monotonic() - began:.0f} s"
                self._problems.note(name, f"{problem} ({since})")
                log.warning("not delivered", route=name, problem=problem, retry_in_s=round(wait, 1))
                await asyncio.sleep(wait)
                delay = min(2 * delay, LAST_DELAY_S)
                continue
            except Exception as error:  # one message that nobody can send must not end the route
                problem = str(error) if isinstance(error, Refused) else type(error).__name__
                self._telemetry.count(catalogue.NOTIFICATIONS, 1, name, "refused")
                log.warning("refused for good", route=name, change=change.change_id, problem=problem)
            else:
                self._telemetry.count(catalogue.NOTIFICATIONS, 1, name, "delivered")
            self._problems.note(name, "")
            return

    async def _commit(self) -> None:
        assert self._consumer is not None
        await self._consumer.commit()

    async def _waiting(self) -> int:
        assert self._consumer is not None
        ahead = [
            (self._consumer.highwater(each) or 0) - await self._consumer.position(each)
            for each in self._partitions
        ]
        return sum(max(0, each) for each in ahead)


def _decoded(record: ConsumerRecord) -> AlertChange | None:
    try:
        return codec.decode(AlertChange, record.value)
    except codec.Rejected as rejected:
        # The archive keeps a dead letter of it.
        log.warning("not a change of an alert", offset=record.offset, problem=rejected.detail)
        return None
