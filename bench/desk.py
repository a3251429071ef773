"""How fast the pages of the desk are: `python -m bench.desk`."""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from aiohttp import ClientSession, web

from bench.backtest import PART
from streams.decisions.scoring import make_runner
from streams.desk.server import Desk
from streams.kafka.records import Message
from streams.local.clickhouse import start_clickhouse
from streams.local.process import HOST, free_port
from streams.settings import Settings, load
from streams.store.client import Store, make_store

PAGES = (
    ("overview, a day", "/?since=24h"),
    ("overview, a week", "/?since=7d"),
    ("events", "/events?since=7d"),
    ("events of a rule", "/events?since=7d&rule=injection-block"),
    ("events by a metric", "/events?since=7d&metric=refusal&least=0.9"),
    ("events with one text", "/events?since=all&text_hash={text}"),
    ("an event", "/event?app=shop&id=e{half}"),
    ("review", "/review"),
    ("compare", "/compare?since=7d"),
    ("usage by user", "/usage?since=7d&by=user"),
    ("drift and alerts", "/drift"),
    ("policy", "/policy"),
)
REPEATS = 5
DAYS_MS = 7 * 86_400_000


class Nowhere:
    """Takes no message: pages are only read here."""

    async def send(self, topic: str, messages: Sequence[Message]) -> None:
        raise AssertionError(topic)

    async def claim(self, waiting: Sequence[str], reviewer: str, *, skip: bool = False) -> str | None:
        """Give the first."""
        return waiting[0]

    async def done(self, decision_id: str, reviewer: str) -> None:
        raise AssertionError(decision_id)


def main(argv: Sequence[str]) -> int:
    """Fill an embedded store, ask for each page, print how long it took."""
    parser = argparse.ArgumentParser(prog="python -m bench.desk", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="default 1000000")
    events = parser.parse_args(argv).events
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        child = start_clickhouse(Path(folder) / "store", port)
        try:
            settings = load(clickhouse=f"http://{HOST}:{port}", clickhouse_timeout_s=300)
            store = make_store(settings)
            fill(store, settings, events)
            asyncio.run(measure(settings, store, events))
            store.close()
        finally:
            child.stop()
    return 0


async def measure(settings: Settings, store: Store, events: int) -> None:
    """Ask for every page some times; the first time, without caches, counts apart."""
    runner = web.AppRunner(Desk(settings, settings, store, Nowhere(), Nowhere()).application())
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, HOST, port).start()
    given = {"half": events // 8 * 4, "text": store.query("SELECT any(text_hash) FROM events_log").rows[0][0]}
    print("| page | first | median of five |\n|---|---:|---:|")
    counted = statistics.median([count_seconds(store) for _ in range(REPEATS)])
    print(f"| (the events of a week, counted by `weir sql`) | | {counted:.2f} s |", flush=True)
    async with ClientSession(f"http://{HOST}:{port}") as http:
        for name, path in PAGES:
            took = [await seconds(http, path.format_map(given)) for _ in range(1 + REPEATS)]
            print(f"| {name} | {took[0]:.2f} s | {statistics.median(took[1:]):.2f} s |", flush=True)
    await runner.cleanup()


def count_seconds(store: Store) -> float:
    """Return how long the store takes to count its events: what a slow machine is known by."""
    started = time.monotonic()
    store.query("SELECT count() FROM events WHERE timestamp > now() - INTERVAL 8 DAY")
    return time.monotonic() - started


async def seconds(http: ClientSession, path: str) -> float:
    """Return how long a page takes, all of it."""
    started = time.monotonic()
    async with http.get(path) as response:
        await response.read()
        assert response.status == 200, path
    return time.monotonic() - started


def fill(store: Store, settings: Settings, events: int) -> None:
    """Make rows in the store itself: a week of four apps, most scores low, a tenth absent."""
    runner = make_runner(settings)
    metrics = runner.metrics
    runner.close()
    store.migrate(metrics)
    hit = "cityHash64(number, 'hit') % 100"
    rule = f"multiIf({hit} < 2, 'injection-block', {hit} < 8, 'pii-redact', {hit} < 12, 'refusal-flag', '')"
    action = f"multiIf({hit} < 2, 'block', {hit} < 8, 'redact', {hit} < 12, 'flag', 'allow')"
    columns = {
        "event_id": "concat('e', toString(number))",
        "app": "['shop', 'bank', 'game', 'tutor'][1 + number % 4]",
        "kind": "if(intDiv(number, 4) % 2 = 0, 'prompt', 'completion')",
        "timestamp": f"now64(3) - toIntervalMillisecond(intDiv(number * {DAYS_MS}, {events}))",
        "model": "['small-1', 'large-2'][1 + cityHash64(number, 'm') % 2]",
        "prompt_version": "['v7', 'v8'][1 + cityHash64(number, 'v') % 2]",
        "user": "concat('u', toString(cityHash64(number, 'u') % 10000))",
        "tenant": "concat('t', toString(number % 20))",
        "conversation_id": "concat('c', toString(intDiv(number, 6)))",
        "text": "repeat(concat('Where is my parcel ', hex(cityHash64(number)), '? '), 1 + number % 12)",
        "latency_ms": "100 + cityHash64(number, 'l') % 900",
        "cost": "(cityHash64(number, 'c') % 1000) / 1e5",
        "prompt_tokens": "20 + number % 100",
        "completion_tokens": "30 + number % 100",
        "decision_latency_ms": "5 + number % 20",
        "storage": "'redacted'",
        "text_hash": "hex(cityHash64(number % 100000))",
        "decision_id": "hex(cityHash64(number, 'd'))",
        "action": action,
        **{
            name: f"if({rule} = '', [], [{value}])"
            for name, value in (
                ("rules", rule),
                ("rule_actions", action),
                ("rule_severities", "'high'"),
                ("rule_modes", "'enforce'"),
                ("rule_metrics", "'injection'"),
                ("rule_scores", "toNullable(0.9)"),
                ("rule_failed", "false"),
            )
        },
        "policy_version": "'2026-11-21'",
        "policy_hash": "'c0ffee123456'",
        "decided_at": "now64(3)",
    }
    for salt, metric in enumerate(metrics):
        columns[metric] = (
            f"if(cityHash64(number, {salt}) % 10 = 0, NULL,"
            f" toFloat32(pow(cityHash64(number, {salt}, 1) % 10000 / 1e4, 6)))"
        )
    names = ", ".join(columns)
    values = ", ".join(columns.values())
    for first in range(0, events, PART):
        store.client.command(
            f"INSERT INTO events_log ({names}) SELECT {values} "
            f"FROM numbers({first}, {min(PART, events - first)})"
        )
    print(f"{events:,} events, {len(metrics)} metrics", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
