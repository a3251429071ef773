"""What one app can do to another: `python -m bench.floods` floods weir and watches a quiet app.

While one app publishes what is costly, malformed, huge or a bomb, another one publishes an event a second.
Printed are the seconds until the quiet app's decisions came and the most memory that each role held.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaProducer

from bench.latency import latencies
from bench.report import percentile
from schemas import codec, topics
from schemas.events import Event
from streams.kafka.clients import client_options
from streams.roles import ROLES
from tests.brokers import apache_missing, new_broker
from tests.harness import Weir

QUIET_S: Final = 40.0
"""Seconds that the quiet app publishes, beginning two seconds before the flood."""
WORDS: Final = (
    "ignore", "the", "previous", "report", "and", "print", "a", "summary", "of", "all", "secret", "rules",
    "that", "people", "hate", "when", "prices", "rise", "again", "instructions", "please", "now", "tell",
)  # fmt: skip
Message = tuple[bytes, bytes]


def _text(size: int, seed: int) -> str:
    """Return words in an order of their own for each seed: `size` characters of them."""
    words = random.Random(seed).choices(WORDS, k=size // 4)
    return " ".join(words)[:size]


def _events(app: str, count: int, size: int) -> list[Message]:
    events = (
        Event(
            event_id=f"{app}-{i}", app=app, kind="prompt", text=_text(size, i), conversation_id=f"{app}-{i}"
        )
        for i in range(count)
    )
    return [(codec.partition_key(event), codec.encode(event)) for event in events]


def _bulk() -> list[Message]:
    return _events("bulk", 20_000, 200)


def _costly() -> list[Message]:
    return _events("costly", 400, 16_000)


def _malformed() -> list[Message]:
    return [(b"bad", json.dumps({"event_id": i, "app": "buggy"}).encode()) for i in range(6_000)]


def _huge() -> list[Message]:
    return _events("huge", 1_000, 800_000)


FLOODS: Final[dict[str, tuple[str, Callable[[], list[Message]]]]] = {
    "bulk": (topics.EVENTS_BULK, _bulk),
    "costly": (topics.EVENTS, _costly),
    "malformed": (topics.EVENTS, _malformed),
    "huge": (topics.EVENTS, _huge),
}


async def _send(weir: Weir, topic: str, sent: list[Message]) -> None:
    producer = AIOKafkaProducer(**client_options(weir.settings), max_request_size=9 << 20)
    async with producer:
        futures = [await producer.send(topic, value, key) for key, value in sent]
        await asyncio.gather(*futures)


async def _bomb(weir: Weir) -> None:
    """Send three gzip batches of half a megabyte each that unpack to 500 MB of zeros."""
    producer = AIOKafkaProducer(
        **client_options(weir.settings), max_request_size=9 << 20, compression_type="gzip",
        max_batch_size=512 << 20, linger_ms=5_000,
    )  # fmt: skip
    async with producer:
        for _ in range(3):
            value = bytes(8 << 20)
            futures = [await producer.send(topics.EVENTS, value, partition=0) for _ in range(60)]
            await asyncio.gather(*futures)


class Memory:
    """The most resident memory of each process, sampled ten times a second."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self.most = dict.fromkeys(pids, 0)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._done.wait(0.1):
            for name, pid in self._pids.items():
                with contextlib.suppress(OSError):
                    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                    self.most[name] = max(self.most[name], pages * page)


async def measure(weir: Weir, name: str) -> list[float]:
    """Return the milliseconds of the quiet app's decisions while one flood goes on."""
    quiet = [
        Event(event_id=f"quiet-{name}-{i}", app="quiet", kind="prompt", text=f"What is on page {i}?")
        for i in range(int(QUIET_S))
    ]

    def flood() -> None:
        # In a loop of its own: what the flood costs its client must not delay the quiet one.
        time.sleep(2.0)
        if name == "bomb":
            asyncio.run(_bomb(weir))
        else:
            topic, make = FLOODS[name]
            asyncio.run(_send(weir, topic, make()))

    flooding = asyncio.create_task(asyncio.to_thread(flood))
    found = await latencies(weir.settings, quiet, 1.0)
    await flooding
    return found


def run(kind: str, names: list[str]) -> bool:
    """Measure on one kind of broker and print a line per flood; return whether all is within the limits."""
    fine = True
    for name in names:
        with tempfile.TemporaryDirectory(prefix="weir-floods-") as folder:
            broker = new_broker(kind, Path(folder) / "broker")
            broker.start()
            weir = Weir(broker.address, Path(folder), WEIR_KAFKA_SESSION_TIMEOUT_S="6")
            try:
                weir.start()
                pids = {role: process.process.pid for role, process in weir.roles.items() if process.process}
                with Memory(pids) as memory:
                    try:
                        found = asyncio.run(measure(weir, name))
                    except TimeoutError:
                        found = [float("inf")]
                alive = [role for role in ROLES if weir.roles[role].running]
            finally:
                weir.stop()
                broker.stop()
        p99 = percentile(found, 0.99)
        held = {role: round(most / 2**20) for role, most in memory.most.items()}
        good = p99 <= 2_000 and max(held.values()) <= 1_000 and len(alive) == len(ROLES)
        fine &= good
        print(
            f"{kind:9} {name:10} p50 {percentile(found, 0.5):8.0f} ms  p99 {p99:8.0f} ms  most MB {held}  "
            f"alive {len(alive)}/3  {'ok' if good else 'NOT OK'}",
            flush=True,
        )
    return fine


def main() -> int:
    """Run the floods that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.floods", description=__doc__.partition("\n")[0])
    every = [*FLOODS, "bomb"]
    parser.add_argument("--flood", action="append", choices=every, help="only this one; may be repeated")
    parser.add_argument("--broker", choices=("embedded", "apache"), help="only on this kind of broker")
    options = parser.parse_args()
    kinds = [options.broker] if options.broker else ["embedded", "apache"]
    if "apache" in kinds and (reason := apache_missing()):
        print(f"Apache Kafka is left out: {reason}", file=sys.stderr)
        kinds.remove("apache")
    fine = [run(kind, options.flood or every) for kind in kinds]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
