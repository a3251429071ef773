"""The archive: scores, alerts, drift, feedback and dead letters into ClickHouse, each row once."""

import asyncio
import hashlib
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from schemas import codec, topics
from schemas.events import Alert, DeadLetter, DriftRecord, ScoredEvent
from streams.dead_letters import DeadLetterLimit, dead_letter
from streams.kafka import BatchProducer, Message
from streams.records import Record
from streams.settings import Settings
from streams.store import Store
from streams.store_errors import Rejected, RetryableStoreError, insert_bisecting
from streams.telemetry import Telemetry

log = structlog.get_logger(__name__)

MESSAGES: dict[str, type[msgspec.Struct]] = {
    topics.SCORES: ScoredEvent,
    topics.ALERTS: Alert,
    topics.DRIFT: DriftRecord,
    topics.DEAD_LETTERS: DeadLetter,
}
TABLES = {
    topics.SCORES: "events",
    topics.ALERTS: "alerts",
    topics.DRIFT: "drift",
    topics.FEEDBACK: "feedback",
    topics.DEAD_LETTERS: "dead_letters",
}
FIRST_DELAY_S, LAST_DELAY_S = 0.2, 10.0
Row = tuple[Record, Any]


class Archive:
    """Writes large blocks; holds its rows for as long as the store is away."""

    name = "archive"
    topics: tuple[str, ...] = (
        topics.SCORES,
        topics.ALERTS,
        topics.DRIFT,
        topics.FEEDBACK,
        topics.DEAD_LETTERS,
    )

    def __init__(self, settings: Settings, telemetry: Telemetry, store: Store) -> None:
        self.batch_records = settings.archive_rows
        self.linger_s = settings.archive_linger_s
        self._settings = settings
        self._telemetry = telemetry
        self._store = store
        self._producer = BatchProducer(settings, patient=True)
        self._limit = DeadLetterLimit(settings.dlq_max_run, settings.dlq_max_ratio)
        self._decoder = codec.Decoder(
            max_bytes=settings.max_event_bytes,
            max_past_ms=int(settings.max_event_age_days * codec.DAY_MS),
            max_future_ms=int(settings.max_event_future_s * 1000),
        )
        self._insert: dict[str, Callable[[Sequence[Any], str], None]] = {
            topics.SCORES: store.insert_scored,
            topics.ALERTS: store.insert_alerts,
            topics.DRIFT: store.insert_drift,
            topics.FEEDBACK: store.insert_feedback,
            topics.DEAD_LETTERS: store.insert_dead_letters,
        }

    async def start(self) -> None:
        """Connect the producer; the store may be away and come later."""
        await self._producer.start()

    async def assigned(self, partitions: frozenset[tuple[str, int]]) -> None:
        """Nothing to load: the archive keeps no state."""

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()
        self._store.close()

    async def handle(self, records: Sequence[Record]) -> bool:
        """Write every record to its table; what is refused for its own sake becomes a dead letter."""
        dead: list[Message] = []
        groups, accepted = await asyncio.to_thread(self._decode, records, dead)
        self._limit.check(accepted)
        for topic, rows in groups.items():
            for refused in await self._write(topic, rows):
                dead.append(self._dead(refused.row[0], codec.Reason.STORE_REJECTED, refused.reason))
        await self._producer.send(topics.DEAD_LETTERS, dead)
        return True

    def _decode(
        self, records: Sequence[Record], dead: list[Message]
    ) -> tuple[dict[str, list[Row]], list[bool]]:
        groups: dict[str, list[Row]] = defaultdict(list)
        accepted = []
        with self._telemetry.stage("decode"):
            now = time.time_ns() // 1_000_000
            for record in records:
                try:
                    if record.topic == topics.FEEDBACK:
                        feedback, timestamp = self._decoder.decode_feedback(
                            record.value, record.timestamp, now
                        )
                        message: Any = msgspec.structs.replace(feedback, timestamp=timestamp)
                    else:
                        message = codec.decode(MESSAGES[record.topic], record.value)
                except codec.Rejected as rejected:
                    accepted.append(False)
                    if record.topic != topics.DEAD_LETTERS:  # or it would come round again for ever
                        dead.append(self._dead(record, rejected.reason, rejected.detail))
                    continue
                accepted.append(True)
                groups[record.topic].append((record, message))
        return groups, accepted

    def _dead(self, record: Record, reason: str, detail: str) -> Message:
        self._telemetry.count("weir_dead_letters_total", 1, reason)
        return dead_letter(record, reason, detail, self._settings.dlq_payload_bytes)

    async def _write(self, topic: str, rows: list[Row]) -> list[Rejected[Row]]:
        """Insert until it succeeds: only the store's word on a row itself ever drops one."""
        token = _token([record for record, _ in rows])
        delay = FIRST_DELAY_S
        while True:
            try:
                with self._telemetry.stage("insert"):
                    refused = await asyncio.to_thread(insert_bisecting, self._inserting(topic), rows, token)
                break
            except RetryableStoreError as error:
                self._telemetry.count("weir_store_retries_total")
                wait = delay * random.uniform(0.5, 1.0)  # noqa: S311 (jitter)
                log.warning("rows are kept", rows=len(rows), problem=str(error), retry_in_s=round(wait, 1))
                await asyncio.sleep(wait)
                delay = min(delay * 2, LAST_DELAY_S)
        self._telemetry.count("weir_rows_total", len(rows) - len(refused), TABLES[topic])
        return refused

    def _inserting(self, topic: str) -> Callable[[Sequence[Row], str], None]:
        insert = self._insert[topic]
        return lambda rows, token: insert([message for _, message in rows], token)


def _token(records: Sequence[Record]) -> str:
    """Name a block by what is in it, so that ClickHouse knows a repeated attempt."""
    digest = hashlib.blake2b(digest_size=16)
    for record in records:
        digest.update(
            b"%b/%d/%d/%d;" % (record.topic.encode(), record.partition, record.offset, record.timestamp)
        )
    return digest.hexdigest()
