"""How fast `weir backtest` is: `python -m bench.backtest`."""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from detectors.registry import fingerprint
from streams.decisions.backtest import Asked, backtest
from streams.decisions.scoring import make_runner
from streams.local.clickhouse import start_clickhouse
from streams.local.process import free_port
from streams.policy import DEFAULT_POLICY
from streams.settings import Settings, load
from streams.store.client import Store, make_store

LIVE = "      - injection >= 0.9"
DRAFT = """      - injection >= 0.8
    thresholds:
      game: {injection: 0.95}
      tutor: {injection: 0.5}"""
PART = 250_000
"""Rows of one insert."""


def main(argv: Sequence[str]) -> int:
    """Fill an embedded store, replay a draft of the shipped policy, print how long it took."""
    parser = argparse.ArgumentParser(prog="python -m bench.backtest", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="default 1000000")
    events = parser.parse_args(argv).events
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.yaml"
        draft.write_text(DEFAULT_POLICY.read_text("utf-8").replace(f"{LIVE}\n", f"{DRAFT}\n"))
        port = free_port()
        child = start_clickhouse(Path(folder) / "store", port)
        try:
            settings = load(clickhouse=f"http://127.0.0.1:{port}", clickhouse_timeout_s=300)
            store = make_store(settings)
            fill(store, settings, events)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            started, began = time.monotonic(), time.process_time()
            report = backtest(Asked(draft, DEFAULT_POLICY, 0), settings, store, lambda done, total: None)
            seconds, own = time.monotonic() - started, time.process_time() - began
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            store.close()
        finally:
            child.stop()
    print(
        f"{report.events:,} events in {seconds:.1f} s with the loading of the detectors: "
        f"{report.events / seconds:,.0f}/s, {own:.1f} s of CPU beside the store's, "
        f"{grown / 1024:,.0f} MiB more memory; {report.changed:,} changes"
    )
    return 0


def fill(store: Store, settings: Settings, events: int) -> None:
    """Make rows in the store itself: scores are pseudo-random, most of them low, a tenth absent."""
    runner = make_runner(settings)
    metrics, detectors = runner.metrics, fingerprint(runner.detectors, runner.models)
    runner.close()
    store.migrate(metrics)
    columns = {
        "event_id": "concat('e', toString(number))",
        "app": "['shop', 'bank', 'game', 'tutor'][1 + number % 4]",
        "kind": "if(intDiv(number, 4) % 2 = 0, 'prompt', 'completion')",
        "timestamp": "now64(3) - toIntervalMillisecond(number % 600000000)",
        "storage": "'redacted'",
        "action": "'allow'",
        "detectors_hash": f"'{detectors}'",
        "decided_at": "now64(3)",
    }
    for salt, metric in enumerate(metrics):
        unit = f"(cityHash64(number, {salt}) % 100003) / 100003"
        columns[metric] = f"CAST(if({unit} < 0.1, NULL, pow({unit}, 8)) AS Nullable(Float32))"
    for begin in range(0, events, PART):
        rows = f"numbers({begin}, {min(PART, events - begin)})"
        store.client.command(
            f"INSERT INTO events_log ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM {rows}"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
