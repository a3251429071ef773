"""What a client of the gate waits: `python -m bench.gate`.

It asks at a steady rate, as fast as answers come, and at twice that; the same events go through Kafka in the
same run, from publish to decision seen. The client is a process of its own on this machine.
"""

import argparse
import asyncio
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from bench import report
from bench.floods import Memory
from bench.latency import latencies
from bench.report import percentile
from bench.texts import make_events
from schemas import codec
from schemas.events import Event
from streams.local.process import HOST, free_port
from tests.brokers import new_broker
from tests.harness import Role, Weir

CONNECTIONS: Final = 64
"""Of the run that finds out what the gate can do: so many requests wait at any time."""
DEADLINE_MS: Final = 500
"""Of the requests of the run that asks too much."""


@dataclass
class Answers:
    """What the client saw: milliseconds from when a request was due, by status of the answer."""

    waits_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


async def _ask(http: ClientSession, url: str, event: Event, due: float, answers: Answers) -> None:
    try:
        async with http.post(url, data=codec.encode(event)) as response:
            await response.read()
            status = response.status
    except (OSError, TimeoutError) as error:
        answers.statuses[type(error).__name__] += 1
        return
    answers.statuses[str(status)] += 1
    waits = answers.waits_ms if status == 200 else answers.refused_ms
    waits.append(1000 * (time.perf_counter() - due))


async def steadily(url: str, events: Sequence[Event], rate: float, deadline_ms: float | None) -> Answers:
    """Ask `rate` times a second, whether answers come or not."""
    headers = {"X-Weir-Deadline-Ms": str(deadline_ms)} if deadline_ms else {}
    answers, asked = Answers(), []
    connector = TCPConnector(limit=0)
    async with ClientSession(headers=headers, timeout=ClientTimeout(30), connector=connector) as http:
        began = time.perf_counter()
        for number, event in enumerate(events):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            asked.append(asyncio.create_task(_ask(http, url, event, due, answers)))
        await asyncio.gather(*asked)
        answers.seconds = time.perf_counter() - began
    return answers


async def at_once(url: str, events: Sequence[Event]) -> Answers:
    """Ask as fast as answers come."""
    answers, waiting = Answers(), iter(events)

    async def client(http: ClientSession) -> None:
        for event in waiting:
            await _ask(http, url, event, time.perf_counter(), answers)

    async with ClientSession(timeout=ClientTimeout(30), connector=TCPConnector(limit=0)) as http:
        began = time.perf_counter()
        await asyncio.gather(*(client(http) for _ in range(CONNECTIONS)))
        answers.seconds = time.perf_counter() - began
    return answers


def _run(url: str, events: Sequence[Event], rate: float, deadline_ms: float | None) -> Answers:
    return asyncio.run(steadily(url, events, rate, deadline_ms) if rate else at_once(url, events))


def asked(url: str, events: Sequence[Event], rate: float = 0.0, deadline_ms: float | None = None) -> Answers:
    """Ask from a process of its own; without a rate as fast as answers come."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_run, (url, events, rate, deadline_ms))


def measure(weir: Weir, role: Role, url: str, rate: float, seconds: float) -> list[str]:
    """Return the rows of the table."""
    assert role.process is not None
    first = asked(url, make_events(1, "first"), rate=1)
    rows = [_row("the first request", first)]
    events = make_events(int(rate * seconds), "steady")
    rows.append(_row(f"{rate:g}/s", asked(url, events, rate)))
    most = asked(url, make_events(int(rate * 20), "most"))
    capacity = most.statuses["200"] / most.seconds
    rows.append(_row(f"as fast as it goes, {CONNECTIONS} at once: {capacity:.0f}/s", most))
    held = []
    for part in range(3):
        with Memory({"gate": role.process.pid}) as memory:
            flood = make_events(int(2 * capacity * seconds / 6), f"flood-{part}")
            found = asked(url, flood, 2 * capacity, DEADLINE_MS)
        held.append(memory.most["gate"] >> 20)
        rows.append(_row(f"{2 * capacity:.0f}/s, deadline {DEADLINE_MS} ms, {held[-1]} MB", found))
    waits = asyncio.run(latencies(weir.settings, make_events(int(rate * seconds / 2), "kafka"), rate))
    rows.append(_row(f"{rate:g}/s through Kafka", Answers(waits)))
    return rows


def _row(name: str, answers: Answers) -> str:
    def three(waits: Sequence[float]) -> str:
        return " / ".join(f"{percentile(waits, share):,.1f}" for share in (0.5, 0.99, 1.0)) if waits else ""

    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(answers.statuses.items()))
    return report.row([name, three(answers.waits_ms), three(answers.refused_ms), statuses])


def main() -> None:
    """Measure on an embedded stack and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.gate", description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the steady run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-gate-") as folder:
        broker = new_broker("embedded", Path(folder) / "broker")
        broker.start()
        weir = Weir(broker.address, Path(folder), WEIR_KAFKA_SESSION_TIMEOUT_S="6")
        listen = f"{HOST}:{free_port()}"
        role = weir.role("gate", WEIR_GATE_LISTEN=listen, WEIR_GATE_OUTBOX=f"{folder}/outbox")
        try:
            weir.start()
            role.start()
            rows = measure(weir, role, f"http://{listen}/v1/check", options.rate, options.seconds)
        finally:
            role.stop()
            weir.stop()
            broker.stop()
    waits = "ms: p50 / p99 / longest"
    print("\n".join([*report.header(["asked", f"answered, {waits}", f"refused, {waits}", "answers"]), *rows]))
    print("load average before, now:", *(f"{load:.1f}" for load in os.getloadavg()))


if __name__ == "__main__":
    main()
