"""The archive: scores, alerts, drift, feedback and dead letters into ClickHouse, each row once."""

import asyncio
import hashlib
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import structlog

from schemas import codec, topics
from schemas.events import ScoredEvent
from streams.decisions.reviews_followed import ReviewsFollowed
from streams.kafka.clients import BatchProducer
from streams.kafka.dead_letters import DeadLetters, Refused
from streams.kafka.records import Record, require_readable
from streams.settings import Settings
from streams.store.blocks import Blocks, RefusedRow
from streams.store.client import Store
from streams.store.ddl import check_metrics
from streams.store.errors import RetryableStoreError
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)

FIRST_DELAY_S, LAST_DELAY_S = 0.2, 10.0
"""Between attempts, doubled from one to the other; with jitter, so that archives do not come all at once."""
Decoded = tuple[Record, Any]


class Archive:
    """Writes large blocks; holds its rows for as long as the store is away."""

    name = "archive"
    topics: tuple[str, ...] = topics.ARCHIVED

    def __init__(self, settings: Settings, telemetry: Telemetry, store: Store) -> None:
        self.batch_records = settings.archive_rows
        self.linger_s = settings.archive_linger_s
        self._bytes = settings.archive_bytes
        self._telemetry = telemetry
        self._store = store
        self._producer = BatchProducer(settings, telemetry, patient=True)
        self._dead = DeadLetters(self.name, settings, telemetry)
        self._metrics: set[str] = set()
        self._decoder = settings.decoder
        self._reviews = ReviewsFollowed(store, self._producer.send)
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect the producer; the store may be away and come later."""
        await self._producer.start()
        self._following = asyncio.create_task(self._reviews.follow(), name="archive-reviews")

    async def assigned(self, partitions: frozenset[tuple[str, int]]) -> None:
        """Look what reviews ask for: whoever had these partitions may have died before he did it."""
        self._reviews.look()

    async def stop(self) -> None:
        """Disconnect."""
        if self._following is not None:
            self._following.cancel()
        await self._producer.stop()
        self._store.close()

    async def handle(self, records: Sequence[Record]) -> bool:
        """Write every record to its table; what is refused for its own sake becomes a dead letter."""
        if self._following is not None and self._following.done():
            self._following.result()  # or reviews would change nothing, and nobody knew
        for piece in _pieces(records, self.batch_records, self._bytes):
            refused = await self._write_all(piece)
            # One that cannot be kept must not become another one, which would come round for ever.
            letters = [each for each in refused if each.record.topic != topics.DEAD_LETTERS]
            self._drop([each for each in refused if each.record.topic == topics.DEAD_LETTERS])
            # Delivered before the offsets are committed: a crash in between repeats letters and loses none.
            await self._dead.deliver(self._producer, letters)
            bad = {(each.record.topic, each.record.partition, each.record.offset) for each in refused}
            self._dead.limit.check((r.topic, r.partition, r.offset) not in bad for r in piece)
            self._telemetry.progress()
            if any(record.topic in (topics.FEEDBACK, topics.POLICY) for record in piece):
                self._reviews.look()
        return True

    async def _write_all(self, piece: Sequence[Record]) -> list[Refused]:
        """Decode and write a piece; its messages are let go of as soon as they are rows."""
        groups, refused = await asyncio.to_thread(self._decode, piece)
        while groups:
            topic, rows = groups.popitem()
            for rejected in await self._write(topic, rows):
                refused.append(Refused(rejected.row[0], codec.Reason.STORE_REJECTED, rejected.reason))
        return refused

    def _decode(self, records: Sequence[Record]) -> tuple[dict[str, list[Decoded]], list[Refused]]:
        groups: dict[str, list[Decoded]] = defaultdict(list)
        refused = []
        with self._telemetry.stage("decode"):
            now = time.time_ns() // 1_000_000
            for record in records:
                try:
                    groups[record.topic].append((record, self._message(record, now)))
                except codec.Rejected as rejected:
                    refused.append(Refused(record, rejected.reason, rejected.detail))
        return {topic: rows for topic, rows in groups.items() if rows}, refused

    def _message(self, record: Record, now_ms: int) -> Any:
        require_readable(record)
        channel = topics.BY_TOPIC[record.topic]
        if channel.from_outside:
            given, timestamp = self._decoder.decode(channel.message, record.value, record.timestamp, now_ms)
            return msgspec.structs.replace(given, timestamp=timestamp)
        message = codec.decode(channel.message, record.value)
        if isinstance(message, ScoredEvent) and (new := message.scores.keys() - self._metrics):
            try:
                check_metrics(list(new))
            except ValueError:
                raise codec.Rejected(
                    codec.Reason.INVALID_VALUE, "`$.scores`: not the name of a metric"
                ) from None
            self._metrics |= new
        return message

    def _drop(self, refused: Sequence[Refused]) -> None:
        for each in refused:
            self._telemetry.count(catalogue.DEAD_LETTERS, 1, each.reason)
            log.warning(
                "dead letter not kept", partition=each.record.partition, offset=each.record.offset,
                reason=each.reason, problem=each.detail,
            )  # fmt: skip

    async def _write(self, topic: str, rows: list[Decoded]) -> list[RefusedRow[Decoded]]:
        """Insert until it succeeds: only the store's word on a row itself ever drops one."""
        blocks = Blocks(rows, _token([record for record, _ in rows]), _size)
        delay = FIRST_DELAY_S
        while not blocks.done:
            try:
                with self._telemetry.stage("insert"):
                    await asyncio.to_thread(blocks.insert, self._insert)
            except RetryableStoreError as error:
                self._telemetry.count(catalogue.STORE_RETRIES)
                # Its text names tables and columns, never a value.
                self._telemetry.degrade("store", problem=str(error))
                wait = delay * random.uniform(0.5, 1.0)  # noqa: S311 (jitter)
                log.warning(
                    "rows are kept",
                    rows=len(rows) - blocks.taken,
                    problem=str(error),
                    retry_in_s=round(wait, 1),
                )
                await asyncio.sleep(wait)
                delay = min(delay * 2, LAST_DELAY_S)
        # Only rows that went in show that the store is well: all may have been refused.
        if blocks.taken:
            self._telemetry.degrade("store", False)
        self._telemetry.count(catalogue.ROWS, blocks.taken, topics.BY_TOPIC[topic].table)
        return blocks.refused

    def _insert(self, rows: Sequence[Decoded], token: str) -> None:
        self._store.insert([message for _, message in rows], token)


def _pieces(records: Sequence[Record], most: int, most_bytes: int) -> Iterator[Sequence[Record]]:
    """Split records, in order, into pieces of at most so many and so many bytes; one at least in each."""
    start, size = 0, 0
    for end, record in enumerate(records):
        size += len(record.value or b"")
        if end > start and (end - start == most or size > most_bytes):
            yield records[start:end]
            start, size = end, len(record.value or b"")
    if records[start:]:
        yield records[start:]


def _size(row: Decoded) -> int:
    return len(row[0].value or b"")


def _token(records: Sequence[Record]) -> str:
    """Name a block by what is in it, so that ClickHouse knows a repeated attempt."""
    digest = hashlib.blake2b(digest_size=16)
    for record in records:
        digest.update(
            b"%b/%d/%d/%d;" % (record.topic.encode(), record.partition, record.offset, record.timestamp)
        )
    return digest.hexdigest()
