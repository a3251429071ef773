"""Notify: alerts, drifts and what people do about them in; the life cycle of alerts out, and to receivers."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from schemas import codec, topics
from schemas.alerts import AlertAction, AlertChange
from schemas.drift import DriftRecord
from schemas.events import Alert
from streams.alerts import memory
from streams.alerts.delivery import Delivery, Problems
from streams.alerts.life_cycle import LifeCycle, Memory, Timing
from streams.alerts.routes import Route
from streams.alerts.routes import load as load_routes
from streams.alerts.signals import Signal, of_alert, of_drift
from streams.alerts.sole_owner import SoleOwner
from streams.kafka.clients import BatchProducer, started
from streams.kafka.losses import Losses
from streams.kafka.records import Message
from streams.roles.run import end_at_the_latest, wait_for_topics
from streams.settings import Settings
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry
from streams.telemetry.server import TelemetryServer

log = structlog.get_logger(__name__)

READ = (topics.ALERTS, topics.DRIFT, topics.ALERT_ACTIONS)
TICK_MS = 250
AT_ONCE = 200
"""Records between two snapshots at most: each may be a change with all the parts of an alert."""
SNAPSHOT_S = 1.0
"""Between two snapshots; what came since the last one is read again after a crash."""
FIRST_LOOK_MS = 3600 * 1000
"""Where notify was never before it begins with what is so old."""
RETRY_S = 1.0
STOP_S = 15.0


class Notify(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One worker has all partitions and runs the routes; others stand by."""

    def __init__(self, settings: Settings, telemetry: Telemetry, routes: list[Route]) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._routes = routes
        self._producer = BatchProducer(settings, telemetry, patient=True)
        self._cycle = LifeCycle(Timing.of(settings))
        self._consumer: AIOKafkaConsumer | None = None
        self._positions: memory.Positions = {}
        self._delivering: list[asyncio.Task[None]] = []
        self._losses = Losses(telemetry)
        self._dirty = False
        self._outbox: list[AlertChange] = []
        """Changes that are not published yet."""
        self._owner = False
        self._snapshot_at = 0.0
        self._assigned: list[TopicPartition] = []
        """What came with the last assignment, where it has not begun with that."""
        self._work = asyncio.Lock()
        """Held from the first record of a poll until what it gave is published: no snapshot is of between."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until told to stop; `KafkaError` or `BrokerError` where it cannot go on."""
        await self._producer.start()
        try:
            self._consumer = await started(self._settings, self._make_consumer())
            self._consumer.subscribe(list(READ), listener=self)
            while not stopping.is_set():
                await self._step()
            async with self._work:
                await self._write()
        finally:
            await self._stop_delivering()
            if self._consumer is not None:
                await self._consumer.stop()
            await self._producer.stop()

    def _make_consumer(self) -> Callable[..., AIOKafkaConsumer]:
        session_ms = int(1000 * self._settings.kafka_session_timeout_s)
        return partial(
            AIOKafkaConsumer,
            group_id=f"{self._settings.group_prefix}-notify",
            partition_assignment_strategy=(SoleOwner,),
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 3,
            # The broker may be away for long while a change is to be published; that is no reason to leave.
            max_poll_interval_ms=24 * 3600 * 1000,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self._settings.kafka_fetch_wait_ms,
        )

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let another worker go on."""
        async with self._work:
            await self._write()
            self._owner, self._assigned = False, []
        await self._stop_delivering()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Go on where the last snapshot was, but not here: no heartbeat is sent until this returns."""
        self._assigned = list(assigned)
        if not self._assigned:
            self._telemetry.ready = True
            log.info("standing by: another worker has the alerts")

    async def _begin(self) -> None:
        partitions, self._assigned = self._assigned, []
        snapshot = await _until_answered(partial(memory.read, self._settings))
        self._cycle = LifeCycle(Timing.of(self._settings))
        self._cycle.restore(snapshot.memory if snapshot else Memory())
        self._positions = dict(snapshot.positions) if snapshot else {}
        await _until_answered(partial(self._seek, partitions))
        await self._start_delivering()
        self._outbox = list(snapshot.outbox) if snapshot else []
        await self._publish()
        self._owner, self._dirty = True, snapshot is None
        self._telemetry.ready = True
        log.info("assigned", alerts=self._cycle.open, routes=[route.name for route in self._routes])

    async def _seek(self, partitions: list[TopicPartition]) -> None:
        assert self._consumer is not None
        now = time.time_ns() // 1_000_000
        committed = {each: await self._consumer.committed(each) for each in partitions}
        # What was committed goes with its topic: one without is not the one that the snapshot is of. Where
        # nothing is committed at all, the broker has forgotten who was away for long.
        gone = [_name(each) for each, offset in committed.items() if offset is None]
        if len(gone) < len(committed):
            self._positions = {name: each for name, each in self._positions.items() if name not in gone}
        new = [each for each in partitions if _name(each) not in self._positions]
        # Of a partition that came later everything counts.
        since = 0 if self._positions else now - FIRST_LOOK_MS
        ends = await self._consumer.end_offsets(partitions)  # first: what comes meanwhile is read
        starts = await self._consumer.offsets_for_times(dict.fromkeys(new, since)) if new else {}
        for each in partitions:
            start = starts.get(each)
            position = self._positions.get(_name(each), start.offset if start else ends[each])
            self._positions[_name(each)] = min(position, ends[each])
            self._consumer.seek(each, self._positions[_name(each)])

    async def _start_delivering(self) -> None:
        problems = Problems(self._telemetry)
        count = partial(self._producer.partitions, topics.ALERT_STATES)
        for route in self._routes:
            delivery = Delivery(route, self._settings, self._telemetry, problems, count)
            # Before anything is published: a route that is new begins with what comes from now on.
            await _until_answered(delivery.start)
            self._delivering.append(asyncio.create_task(_delivering(delivery), name=route.name))

    async def _stop_delivering(self) -> None:
        tasks, self._delivering = self._delivering, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _step(self) -> None:
        assert self._consumer is not None
        async with self._work:
            if self._assigned:
                await self._begin()
        fetched = await self._consumer.getmany(timeout_ms=TICK_MS, max_records=AT_ONCE)
        self._losses.note(fetched.lost)
        for task in self._delivering:
            if task.done():
                task.result()
        async with self._work:
            if self._owner:
                await self._handle([record for each in fetched.values() for record in each])
            else:  # what was read is read again by the next owner, from the snapshot on
                self._telemetry.lag(0)

    async def _handle(self, records: list[ConsumerRecord]) -> None:
        with self._telemetry.batch(len(records)) if records else contextlib.nullcontext():
            now = time.time_ns() // 1_000_000
            for record in records:
                self._take(record, now)
            lag = await self._lag()
            self._outbox += self._cycle.tick(now, caught_up=lag == 0)
            self._dirty |= bool(records or self._outbox)
            if self._outbox or time.monotonic() > self._snapshot_at + SNAPSHOT_S:
                await self._write()
        self._telemetry.lag(lag)
        self._telemetry.gauge(catalogue.ALERTS_OPEN, self._cycle.open)

    async def _lag(self) -> int:
        """Return how many messages are not read; one at least of a partition that was not asked for yet."""
        assert self._consumer is not None
        lag = 0
        for each in self._consumer.assignment():
            end = self._consumer.highwater(each)
            lag += 1 if end is None else max(0, end - await self._consumer.position(each))
        return lag

    def _take(self, record: ConsumerRecord, now: int) -> None:
        self._positions[f"{record.topic}/{record.partition}"] = record.offset + 1
        try:
            if record.topic == topics.ALERT_ACTIONS:
                self._act(codec.decode(AlertAction, record.value), now)
            elif (signal := _signal(record)) is not None:
                self._cycle.add(signal, now)
        except codec.Rejected as rejected:
            # The archive keeps a dead letter of it.
            log.warning("not understood", topic=record.topic, offset=record.offset, problem=rejected.detail)

    def _act(self, action: AlertAction, now: int) -> None:
        known = self._cycle.act(action, now)
        log.info("somebody acted", action=action.action, alert=action.alert_id, who=action.who, known=known)

    async def _write(self) -> None:
        """Write down alerts and positions, then publish what is new; not if they are another's now."""
        if not (self._owner and self._dirty) or self._consumer is None:
            return
        offsets = {each: self._positions[_name(each)] for each in self._consumer.assignment()}
        try:
            # Where we go on is in the snapshot; the broker refuses this of who is no longer the owner.
            await self._consumer.commit(offsets)
        except KafkaError as error:
            log.warning("alerts are not written yet", problem=type(error).__name__)
            return
        value = memory.encode(self._positions, self._cycle.export(), self._outbox)
        await self._producer.send_to(topics.STATE, memory.PARTITION, (memory.key(self._settings), value))
        await self._publish()
        self._dirty, self._snapshot_at = False, time.monotonic()

    async def _publish(self) -> None:
        messages: list[Message] = [(each.alert_id.encode(), codec.encode(each)) for each in self._outbox]
        await self._producer.send(topics.ALERT_STATES, messages)
        self._outbox = []


def _signal(record: ConsumerRecord) -> Signal | None:
    if record.topic == topics.DRIFT:
        return of_drift(codec.decode(DriftRecord, record.value))
    return of_alert(codec.decode(Alert, record.value))


def _name(partition: TopicPartition) -> str:
    return f"{partition.topic}/{partition.partition}"


async def _until_answered(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Return what a broker answers, which may be away."""
    while True:
        try:
            return await ask()
        except (KafkaError, TimeoutError) as error:
            log.warning("the broker is asked again", problem=type(error).__name__)
            await asyncio.sleep(RETRY_S)


async def _delivering(delivery: Delivery) -> None:
    try:
        await delivery.run()
    finally:
        await delivery.stop()


def run(settings: Settings, telemetry: Telemetry) -> None:
    """Run until SIGTERM or SIGINT; raise what ended it otherwise."""
    routes = load_routes(settings.routes) if settings.routes else []
    asyncio.run(_run(settings, telemetry, routes))


async def _run(settings: Settings, telemetry: Telemetry, routes: list[Route]) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = TelemetryServer(telemetry, settings.http_host, settings.notify_port, "WEIR_NOTIFY_PORT")
    await server.start()
    try:
        ending = asyncio.create_task(end_at_the_latest(telemetry, stopping, STOP_S))
        await wait_for_topics(settings)
        await Notify(settings, telemetry, routes).run(stopping)
        await ending
    finally:
        await server.stop()
