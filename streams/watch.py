"""Watch: scores in; drift records and alerts out, with state that survives a restart."""

import asyncio
import time
from collections.abc import Sequence

import msgspec
import structlog

from schemas import codec, topics
from streams.dead_letters import DeadLetters, Refused
from streams.drift import DriftMonitor, SnapshotError, WatchedScores, drift_alert
from streams.kafka import BatchProducer, Message, read_to_end
from streams.records import Record
from streams.settings import Settings
from streams.telemetry import Telemetry

log = structlog.get_logger(__name__)


class Watch:
    """Follows every segment; commits an offset only with the snapshot that includes it."""

    name = "watch"
    topics: tuple[str, ...] = (topics.SCORES,)
    batch_records = 2_000
    linger_s = 0.05

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._producer = BatchProducer(settings, patient=True)
        self._decoder = msgspec.json.Decoder(WatchedScores)
        # The archive keeps the payload of what it cannot read of the same topic.
        without_payload = settings.model_copy(update={"dlq_payload_bytes": 0})
        self._dead = DeadLetters(self.name, without_payload, telemetry)
        self._monitor = DriftMonitor(settings.watch_metrics, settings.watch_delta, settings.watch_segments)
        self._snapshot_at = 0.0
        self._prefix = f"{settings.group_prefix}\0".encode()

    async def start(self) -> None:
        """Connect the producer."""
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def assigned(self, partitions: frozenset[tuple[str, int]]) -> None:
        """Read the snapshots: a segment that moved here goes on where the other worker left it."""
        self._monitor.clear()
        snapshots = await self._read_snapshots()
        try:
            self._monitor.restore(snapshots.items())
        except SnapshotError as error:
            log.warning("snapshots cannot be read; drift starts from nothing", problem=str(error))
            self._monitor.clear()
        log.info("assigned", partitions=len(partitions), segments=len(self._monitor))

    async def handle(self, records: Sequence[Record]) -> bool:
        """Update the detectors and publish what they find; commit with a snapshot, from time to time."""
        drifts, alerts, refused = await asyncio.to_thread(self._update, records)
        with self._telemetry.stage("deliver"):
            await asyncio.gather(
                self._producer.send(topics.DRIFT, drifts),
                self._producer.send(topics.ALERTS, alerts),
                self._dead.deliver(self._producer, refused),
            )
        self._telemetry.gauge("weir_segments", len(self._monitor))
        if records and time.monotonic() < self._snapshot_at:
            return False
        with self._telemetry.stage("snapshot"):
            states = self._monitor.snapshot()
            await self._producer.send(topics.STATE, [(self._prefix + key, value) for key, value in states])
        self._snapshot_at = time.monotonic() + self._settings.watch_snapshot_s
        return True

    def _update(self, records: Sequence[Record]) -> tuple[list[Message], list[Message], list[Refused]]:
        drifts: list[Message] = []
        alerts: list[Message] = []
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
                for found in self._monitor.update(item, record.offset, record.timestamp):
                    alert = drift_alert(found)
                    drifts.append((record.key, codec.encode(found)))
                    alerts.append((record.key, codec.encode(alert)))
                    self._telemetry.count("weir_drifts_total", 1, found.metric)
                    self._telemetry.count("weir_alerts_total", 1, alert.severity)
        self._dead.limit.check(accepted)
        return drifts, alerts, refused

    async def _read_snapshots(self) -> dict[bytes, bytes]:
        """Return the last state of every segment of this group."""
        snapshots: dict[bytes, bytes] = {}
        for record in await read_to_end(self._settings, topics.STATE):
            if record.key is None or not record.key.startswith(self._prefix):
                continue
            key = record.key.removeprefix(self._prefix)
            if record.value:
                snapshots[key] = record.value
            else:
                snapshots.pop(key, None)
        return snapshots
