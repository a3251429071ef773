"""Consumers that do nothing but acknowledge, each in a process of its own.

`python -m bench.workers KIND SKIP COUNT` reads `bench.passthrough` from the start, in the group of the
settings, and prints as JSON the events and seconds from the first poll that passes SKIP until COUNT events.
"""

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, Final

import faust
from aiokafka import AIOKafkaConsumer

from streams.kafka.clients import client_options
from streams.kafka.faust_worker import Worker
from streams.kafka.records import Record
from streams.settings import Settings, load
from streams.telemetry.logs import configure_logging
from streams.telemetry.metrics import Telemetry

KINDS: Final = ("weir", "aiokafka", "faust")
TOPIC: Final = "bench.passthrough"
"""Holds the events several times over: 20,000 are read faster than a client fills its buffers."""


class Meter:
    """Counts events and sets `done` when all are there."""

    def __init__(self, skip: int, count: int) -> None:
        self.done = asyncio.Event()
        self._skip = skip
        self._count = count
        self._seen = 0
        self._first: tuple[int, float] | None = None

    def add(self, events: int) -> None:
        """Count events that were acknowledged."""
        self._seen += events
        now = time.perf_counter()
        if self._first is None and self._seen >= self._skip:
            self._first = (self._seen, now)
        elif self._first is not None and self._seen >= self._count and not self.done.is_set():
            print(
                json.dumps({"events": self._seen - self._first[0], "seconds": now - self._first[1]}),
                flush=True,
            )
            self.done.set()


class PassThrough:
    """A role that finishes at once with whatever it gets."""

    name = "passthrough"
    topics: tuple[str, ...] = (TOPIC,)
    batch_records = 512
    linger_s = 0.0

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    async def start(self) -> None:
        """Nothing to connect."""

    async def assigned(self, partitions: frozenset[tuple[str, int]]) -> None:
        """Nothing to load."""

    async def stop(self) -> None:
        """Nothing to release."""

    async def handle(self, records: Sequence[Record]) -> bool:
        """Count."""
        self._meter.add(len(records))
        return True


async def run_weir(settings: Settings, meter: Meter) -> None:
    """Read with weir's own worker, as its roles do."""
    worker = Worker(settings, PassThrough(meter), Telemetry("passthrough", 60.0))
    running = asyncio.create_task(worker.run())
    await meter.done.wait()
    worker.request_stop()
    await running


async def run_aiokafka(settings: Settings, meter: Meter) -> None:
    """Read with aiokafka alone, which commits once a second."""
    async with AIOKafkaConsumer(
        TOPIC,
        **client_options(settings),
        group_id=f"{settings.group_prefix}-aiokafka",
        auto_offset_reset="earliest",
        auto_commit_interval_ms=1000,
        fetch_max_wait_ms=settings.kafka_fetch_wait_ms,
    ) as consumer:
        while not meter.done.is_set():
            polled = await consumer.getmany(timeout_ms=200, max_records=2_000)
            meter.add(sum(map(len, polled.values())))


async def run_faust(settings: Settings, meter: Meter) -> None:
    """Read with Faust as it is shipped: `noack_take`, then one ack per event."""
    with tempfile.TemporaryDirectory() as folder:
        app = faust.App(
            f"{settings.group_prefix}-faust",
            broker=f"aiokafka://{settings.kafka}",
            broker_session_timeout=6,
            broker_heartbeat_interval=2,
            datadir=folder,
            store="memory://",
            consumer_auto_offset_reset="earliest",
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            autodiscover=False,
        )
        topic = app.topic(TOPIC, value_serializer="raw", key_serializer="raw", value_type=bytes)

        async def agent(stream: Any) -> None:
            async for events in stream.noack_take(500, within=0.05):
                for event in events:
                    event.ack()
                meter.add(len(events))

        app.agent(topic, name="passthrough", concurrency=1)(agent)
        await app.start()
        await meter.done.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await app.stop()


async def main(kind: str, skip: int, count: int) -> None:
    """Run one worker until it has counted everything."""
    run = {"weir": run_weir, "aiokafka": run_aiokafka, "faust": run_faust}[kind]
    settings = load(log_level="warning")
    configure_logging(settings, kind)  # on stderr: what is measured is on stdout
    await run(settings, Meter(skip, count))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
