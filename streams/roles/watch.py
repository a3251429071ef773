"""Watch: scores in; drift records and alerts out, with state that survives a restart."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import msgspec
import structlog

from schemas import codec, topics
from streams.kafka.clients import BatchProducer
from streams.kafka.dead_letters import DeadLetters, Refused
from streams.kafka.records import Message, Record
from streams.monitors.drift import DriftMonitor, drift_alert
from streams.monitors.state_topic import Snapshot, StateTopic
from streams.monitors.usage import UsageMonitor
from streams.monitors.volume import VolumeMonitor
from streams.monitors.watched import Counted, WatchedScores
from streams.settings import Settings
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)

STATE_BYTES_PER_S = 256 * 1024
"""In the long run: snapshots become rarer rather than more. 0.9 GB an hour, until it is compacted."""
SNAPSHOT_MAX_S = 60.0
"""But not rarer than this: what came since the last one is read again after a rebalance."""


async def _always() -> bool:
    return True


@contextmanager
def _no_collector() -> Iterator[None]:
    """Let nobody look for garbage: that takes half the time of making what is all kept."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Watch:
    """Follows every segment; commits an offset only with the snapshot that includes it."""

    name = "watch"
    topics: tuple[str, ...] = (topics.SCORES,)
    batch_records = 2_000
    linger_s = 0.05

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._producer = BatchProducer(settings, telemetry, patient=True)
        self._decoder = msgspec.json.Decoder(WatchedScores)
        # The archive keeps the payload of what it cannot read of the same topic.
        without_payload = settings.model_copy(update={"dlq_payload_bytes": 0})
        self._dead = DeadLetters(self.name, without_payload, telemetry)
        self._monitor = DriftMonitor(
            settings.watch_metrics,
            settings.watch_quiet_events,
            settings.watch_learn_values,
            settings.watch_segments,
            settings.watch_bias_gap,
        )
        self._usage = UsageMonitor(settings.usage_entities, settings.watch_injection_score)
        self._volumes = VolumeMonitor()
        self._prefix = f"{settings.group_prefix}\0".encode()
        self._state = StateTopic(settings, self._producer.times)
        self._partitions = settings.partitions
        self._clock: Callable[[], float] = time.monotonic
        self._snapshot_at = float("-inf")
        self._size = 0
        self.holds: Callable[[], Awaitable[bool]] = _always
        self.draining = False

    async def start(self) -> None:
        """Connect the producers."""
        await self._producer.start()
        await self._state.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._state.stop()
        await self._producer.stop()

    async def assigned(self, partitions: frozenset[tuple[str, int]]) -> None:
        """Read the snapshots of these partitions: a segment goes on where another worker left it."""
        own = frozenset(partition for _, partition in partitions)
        # What the producer knows of the topic may be older than what the group was given.
        self._partitions = max([await self._state.partitions(topics.SCORES), *(p + 1 for p in own)])
        self._monitor.clear()
        self._usage.clear()
        self._volumes.clear()
        with self._telemetry.stage("restore"):
            newest = await self._state.read(own, self._partitions)
            with _no_collector():
                await asyncio.to_thread(self._usage.restore, newest)
                await asyncio.to_thread(self._volumes.restore, newest)
                await asyncio.to_thread(self._monitor.restore, newest)
        if newest.unreadable:
            self._telemetry.count(catalogue.STATES_UNREADABLE, newest.unreadable)
            log.warning(
                "snapshots cannot be read; drift of their segments starts from nothing",
                snapshots=newest.unreadable,
                problem=newest.problem,
            )
        log.info("assigned", partitions=len(partitions), segments=len(self._monitor))

    async def handle(self, records: Sequence[Record]) -> bool:
        """Update the detectors and publish what they find; commit with a snapshot, from time to time."""
        drifts, alerts, reports, usage, refused = await asyncio.to_thread(self._update, records)
        with self._telemetry.stage("deliver"):
            await asyncio.gather(
                self._producer.send(topics.DRIFT, drifts),
                self._producer.send(topics.ALERTS, alerts),
                self._producer.send(topics.USAGE, usage),
                self._producer.send(topics.BIAS, reports),
                self._dead.deliver(self._producer, refused),
            )
        self._telemetry.gauge(catalogue.SEGMENTS, len(self._monitor))
        self._telemetry.gauge(catalogue.SEGMENTS_LEARNING, self._monitor.learning)
        self._telemetry.gauge(catalogue.USAGE_ENTITIES, len(self._usage))
        return self._is_time(idle=not records) and await self._snapshot()

    def _is_time(self, *, idle: bool) -> bool:
        """Whether to write snapshots; sooner when there is nothing else to do, but not above the rate."""
        pause = min(SNAPSHOT_MAX_S, self._size / STATE_BYTES_PER_S)
        if not idle:
            pause = max(pause, self._settings.watch_snapshot_s)
        return self.draining or self._clock() >= self._snapshot_at + pause

    async def _snapshot(self) -> bool:
        """Write what changed; return whether all of it is durable."""
        with self._telemetry.stage("snapshot"):
            self._size = 0
            written = await self._state.write(self._changes(), self.holds)
        if written:
            self._monitor.written()
            self._usage.written()
            self._volumes.written()
        else:
            log.warning("snapshots are not written: the partitions may be another worker's by now")
        self._snapshot_at = self._clock()
        return written

    def _changes(self) -> Iterator[Snapshot]:
        # The ids of the monitor come last of all.
        parts = (self._usage, self._volumes, self._monitor)
        for snapshot in chain.from_iterable(each.changes(self._partitions) for each in parts):
            self._size += len(snapshot[1]) + len(snapshot[2] or b"")
            yield snapshot

    def _update(
        self, records: Sequence[Record]
    ) -> tuple[list[Message], list[Message], list[Message], list[Message], list[Refused]]:
        counted: list[Counted] = []
        drifts: list[Message] = []
        alerts: list[Message] = []
        reports: list[Message] = []
        refused: list[Refused] = []
        accepted = []
        with self._telemetry.stage("update"):
            for record in records:
                try:
                    item = self._decoder.decode(record.value or b"")
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    accepted.append(False)
                    refused.append(Refused(record, codec.Reason.INVALID_VALUE, "not a scored event"))
                    continue
                accepted.append(True)
                if not self._monitor.repeats(item, record):
                    counted.append((item, record))
                for found in self._monitor.update(item, record):
                    drifts.append((record.key, codec.encode(found)))
                    self._telemetry.count(catalogue.DRIFTS, 1, found.metric)
                    if found.cause or found.returns:
                        continue
                    alert = drift_alert(found)
                    alerts.append((record.key, codec.encode(alert)))
                    self._telemetry.count(catalogue.ALERTS, 1, alert.severity)
                reports += [(record.key, codec.encode(report)) for report in self._monitor.reports()]
            used = self._usage.update(counted, self._partitions)
            for alert in self._volumes.update(counted):
                alerts.append((alert.app.encode(), codec.encode(alert)))
                self._telemetry.count(catalogue.ALERTS, 1, alert.severity)
        self._dead.limit.check(accepted)
        return drifts, alerts, reports, [(self._prefix + key, value) for key, value in used], refused
