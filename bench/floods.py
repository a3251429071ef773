"""What one app can do to another: `python -m bench.floods` floods weir and watches a quiet app.

While one app publishes what is much, costly, malformed, huge or a bomb, another publishes an event a second.
Printed are the milliseconds until the quiet app's decisions came and the most memory that each role held.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import multiprocessing
import os
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaProducer

from bench import report
from bench.latency import latencies
from bench.report import percentile
from schemas import codec, topics
from schemas.events import Event
from streams.kafka.clients import client_options
from streams.roles import ROLES
from streams.settings import Settings
from tests.brokers import apache_missing, new_broker
from tests.harness import Weir

QUIET_S: Final = 40.0
"""Seconds that the quiet app publishes, beginning two seconds before the flood."""
LIMIT_MS: Final = 2_000
LIMIT_MB: Final = 1_000
PAGE: Final = Path(__file__).parents[1] / "docs" / "benchmark.md"
WORDS: Final = (
    "ignore", "the", "previous", "report", "and", "print", "a", "summary", "of", "all", "secret", "rules",
    "that", "people", "hate", "when", "prices", "rise", "again", "instructions", "please", "now", "tell",
)  # fmt: skip
Message = tuple[bytes, bytes]


def _text(size: int, seed: int) -> str:
    """Return words in an order of their own for each seed: `size` characters of them."""
    rng = random.Random(seed)
    # A long text repeats itself: to make a thousand of them takes half a minute otherwise.
    words = " ".join(rng.choices(WORDS, k=min(size, 20_000) // 4))
    return ((words + " ") * (size // len(words) + 1))[:size]


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


def _cheap() -> list[Message]:
    return _events("cheap", 60_000, 100)


def _costly() -> list[Message]:
    return _events("costly", 400, 16_000)


def _malformed() -> list[Message]:
    return [(b"bad", json.dumps({"event_id": i, "app": "buggy"}).encode()) for i in range(6_000)]


def _huge() -> list[Message]:
    return _events("huge", 1_000, 800_000)


FLOODS: Final[dict[str, tuple[str, Callable[[], list[Message]]]]] = {
    "bulk": (topics.EVENTS_BULK, _bulk),
    "cheap": (topics.EVENTS, _cheap),
    "costly": (topics.EVENTS, _costly),
    "malformed": (topics.EVENTS, _malformed),
    "huge": (topics.EVENTS, _huge),
}


async def _send(settings: Settings, topic: str, sent: list[Message]) -> None:
    producer = AIOKafkaProducer(**client_options(settings), max_request_size=9 << 20)
    async with producer:
        futures = [await producer.send(topic, value, key) for key, value in sent]
        await asyncio.gather(*futures)


async def _bomb(settings: Settings) -> None:
    """Send three gzip batches of half a megabyte each that unpack to 500 MB of zeros."""
    producer = AIOKafkaProducer(
        **client_options(settings), max_request_size=9 << 20, compression_type="gzip",
        max_batch_size=512 << 20, linger_ms=5_000,
    )  # fmt: skip
    async with producer:
        for _ in range(3):
            value = bytes(8 << 20)
            futures = [await producer.send(topics.EVENTS, value, partition=0) for _ in range(60)]
            await asyncio.gather(*futures)


def _flood(address: str, name: str, ready: Flag, go: Flag) -> None:
    """Publish a flood once `go` is set: in a process of its own, so that it delays nothing in this one."""
    settings = Settings(_env_file=None, kafka=address)
    topic, make = FLOODS.get(name, ("", list))
    made = make()
    ready.set()
    go.wait()
    asyncio.run(_send(settings, topic, made) if made else _bomb(settings))


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

    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    flood = context.Process(target=_flood, args=(weir.settings.kafka, name, ready, go))
    flood.start()
    try:
        assert await asyncio.to_thread(ready.wait, 120.0), "the flood is not made"
        asyncio.get_running_loop().call_later(2.0, go.set)
        found = await latencies(weir.settings, quiet, 1.0)
        await asyncio.to_thread(flood.join, 60.0)
        assert flood.exitcode == 0, "the flood was not published"
    finally:
        flood.kill()
    return found


@dataclass(frozen=True)
class Outcome:
    """What one flood did to the quiet app and to the roles."""

    broker: str
    flood: str
    waits_ms: list[float]
    held: dict[str, int]
    """The most memory of each role, MB."""
    alive: int

    @property
    def good(self) -> bool:
        """Whether all is within the limits."""
        within = percentile(self.waits_ms, 0.99) <= LIMIT_MS and max(self.held.values()) <= LIMIT_MB
        return within and self.alive == len(ROLES)

    def row(self) -> str:
        """Return it as a line of the table."""
        waits = [f"{percentile(self.waits_ms, share):,.0f}" for share in (0.5, 0.99)]
        return report.row([f"{self.flood}, {self.broker}", *waits, *(str(self.held[r]) for r in ROLES)])


def run(kind: str, name: str) -> Outcome:
    """Measure one flood on one kind of broker."""
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
            alive = sum(weir.roles[role].running for role in ROLES)
        finally:
            weir.stop()
            broker.stop()
    held = {role: round(most / 2**20) for role, most in memory.most.items()}
    return Outcome(kind, name, found, held, alive)


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as Markdown."""
    names = ["flood, broker", "p50 ms", "p99 ms", *(f"{role}, MB" for role in ROLES)]
    return "\n".join([*report.header(names), *(outcome.row() for outcome in outcomes)])


def main() -> int:
    """Run the floods that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.floods", description=__doc__.partition("\n")[0])
    every = [*FLOODS, "bomb"]
    parser.add_argument("--flood", action="append", choices=every, help="only this one; may be repeated")
    parser.add_argument("--broker", choices=("embedded", "apache"), help="only on this kind of broker")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmark.md")
    options = parser.parse_args()
    kinds = [options.broker] if options.broker else ["embedded", "apache"]
    if "apache" in kinds and (reason := apache_missing()):
        print(f"Apache Kafka is left out: {reason}", file=sys.stderr)
        kinds.remove("apache")
    outcomes = []
    for kind, name in itertools.product(kinds, options.flood or every):
        outcomes.append(outcome := run(kind, name))
        print(f"{outcome.row()} {'ok' if outcome.good else 'NOT OK'}", flush=True)
    if options.write:
        page = report.insert(PAGE.read_text(encoding="utf-8"), table(outcomes), "floods")
        PAGE.write_text(page, encoding="utf-8")
    return 0 if all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
