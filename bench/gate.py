"""What a client of the gate waits: `python -m bench.gate`.

It asks at a steady rate, as fast as answers come, and at twice that; the same events go through Kafka in the
same run, from publish to decision seen. The client is a process of its own on this machine.
"""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import http_load, report
from bench.floods import Memory
from bench.http_load import Answers
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


def asked(url: str, events: Sequence[Event], rate: float = 0.0, deadline_ms: float | None = None) -> Answers:
    """Ask from a process of its own; without a rate as fast as answers come."""
    headers = f"X-Weir-Deadline-Ms: {deadline_ms}\r\n" if deadline_ms else ""
    bodies = [codec.encode(event) for event in events]
    return http_load.asked(url, bodies, rate=rate, connections=CONNECTIONS, headers=headers)


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
    for part in range(3):
        with Memory({"gate": role.process.pid}) as memory:
            flood = make_events(int(2 * capacity * seconds / 6), f"flood-{part}")
            found = asked(url, flood, 2 * capacity, DEADLINE_MS)
        name = f"{2 * capacity:.0f}/s, deadline {DEADLINE_MS} ms, {memory.most['gate'] >> 20} MB"
        late = sum(wait > DEADLINE_MS for wait in found.from_sent_ms)
        rows.append(_row(f"{name}, {late} over it", found))
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
