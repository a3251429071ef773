"""What a client of the gate waits: `python -m bench.gate`.

It asks at a steady rate, as fast as answers come, and at twice that; the same events go through Kafka in the
same run, from publish to decision seen, and completions are streamed. The client is a process of its own on
this machine. `--peer PYTHON` asks another guard, too: `pip install gorget` into an environment of its own.
"""

import argparse
import asyncio
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench import gate_streams, http_load, report
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
STREAMS: Final = 40
OF_PEERS: Final = 200
"""Requests, to weir and to a peer."""
DEADLINE_MS: Final = 500
"""Of the requests of the run that asks too much."""


def asked(url: str, events: Sequence[Event], rate: float = 0.0, deadline_ms: float | None = None) -> Answers:
    """Ask from a process of its own; without a rate as fast as answers come."""
    headers = f"X-Weir-Deadline-Ms: {deadline_ms}\r\n" if deadline_ms else ""
    bodies = [codec.encode(event) for event in events]
    return http_load.asked(url, bodies, rate=rate, connections=CONNECTIONS, headers=headers)


def measure(weir: Weir, role: Role, url: str, rate: float, seconds: float) -> Iterator[str]:
    """Yield the rows of the table."""
    assert role.process is not None
    yield _row("the first request", asked(url, make_events(1, "first"), rate=1))
    yield _row(f"{rate:g}/s", asked(url, make_events(int(rate * seconds), "steady"), rate))
    most = asked(url, make_events(int(rate * 20), "most"))
    capacity = most.statuses["200"] / most.seconds
    yield _row(f"as fast as it goes, {CONNECTIONS} at once: {capacity:.0f}/s", most)
    for part in range(3):
        with Memory({"gate": role.process.pid}) as memory:
            flood = make_events(int(2 * capacity * seconds / 6), f"flood-{part}")
            found = asked(url, flood, 2 * capacity, DEADLINE_MS)
        name = f"{2 * capacity:.0f}/s, deadline {DEADLINE_MS} ms, {memory.most['gate'] >> 20} MB"
        late = sum(wait > DEADLINE_MS for wait in found.from_sent_ms)
        yield _row(f"{name}, {late} over it", found)
    waits = asyncio.run(latencies(weir.settings, make_events(int(rate * seconds / 2), "kafka"), rate))
    yield _row(f"{rate:g}/s through Kafka", Answers(waits))
    yield from _streams(url.replace("check", "stream"))
    yield from _one_by_one("weir, all detectors", url, codec.encode)


def _streams(url: str) -> Iterator[str]:
    found = asyncio.run(gate_streams.measure(url, STREAMS))
    held = f"{STREAMS} streams, {found.held:.0f} bytes held in the median"
    yield report.row(["first text of a stream", _three(found.first_ms), "", held])
    yield report.row(["all text of streams", _three(found.every_ms), "", ""])


def peer(python: Path) -> Iterator[str]:
    """Yield the rows of another guard, with one scanner of its own."""
    port = free_port()
    command = [str(python), str(Path(__file__).with_name("peer.py")), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline():
                url = f"http://{HOST}:{port}/analyze/prompt"
                yield from _one_by_one("peer, secrets alone", url, _for_peer)
        finally:
            process.terminate()


def _for_peer(event: Event) -> bytes:
    return msgspec.json.encode({"prompt": event.text})


def _one_by_one(name: str, url: str, body: Callable[[Event], bytes]) -> Iterator[str]:
    """Yield what one caller waits for, and eight at once."""
    for connections in (1, 8):
        # Texts are the same each time; ids are not, or weir would know its answers.
        bodies = [body(event) for event in make_events(OF_PEERS, f"{connections}")]
        found = http_load.asked(url, bodies, connections=connections)
        pace = found.statuses["200"] / found.seconds
        yield _row(f"{name}, {connections} at once: {pace:.0f}/s", found)


def _row(name: str, answers: Answers) -> str:
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(answers.statuses.items()))
    return report.row([name, _three(answers.waits_ms), _three(answers.refused_ms), statuses])


def _three(waits: Sequence[float]) -> str:
    return " / ".join(f"{percentile(waits, share):,.1f}" for share in (0.5, 0.99, 1.0)) if waits else ""


def main() -> None:
    """Measure on an embedded stack and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.gate", description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the steady run")
    parser.add_argument(
        "--peer", type=Path, metavar="PYTHON", help="an interpreter that has Gorget or LLM Guard"
    )
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
            waits = "ms: p50 / p99 / longest"
            head = report.header(["asked", f"answered, {waits}", f"refused, {waits}", "answers"])
            print("\n".join(head), flush=True)
            for row in measure(weir, role, f"http://{listen}/v1/check", options.rate, options.seconds):
                print(row, flush=True)
            for row in peer(options.peer) if options.peer else ():
                print(row, flush=True)
        finally:
            role.stop()
            weir.stop()
            broker.stop()
    print("load average before, now:", *(f"{load:.1f}" for load in os.getloadavg()))


if __name__ == "__main__":
    main()
