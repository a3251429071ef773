"""The command line of the benchmark."""

import argparse
import datetime as dt
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import report
from bench.texts import make_events, read_texts
from detectors.training.machine import machine

PAGE = Path(__file__).parents[1] / "docs" / "benchmark.md"
SKIP = 1_000


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure weir on this machine.")
    parser.add_argument("--events", type=int, default=20_000, help="events per run (default 20000)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, the median counts (default 3)")
    parser.add_argument("--rate", type=float, default=200.0, help="events/s of the latency run (default 200)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the latency run (default 20)")
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help='JSONL file with "text": measure with these'
    )
    parser.add_argument(
        "--kafka", type=Path, metavar="DIR", help="Apache Kafka: a folder with a script `run`"
    )
    parser.add_argument("--embedded", action="store_true", help="leave Apache Kafka out")
    parser.add_argument("--quick", action="store_true", help="only see that it works, in about a minute")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmark.md")
    options = parser.parse_args(argv)
    if options.quick:
        options.events, options.repeats, options.seconds, options.embedded = 1_500, 1, 3.0, True
    if options.quick and options.write:
        parser.error("--quick is too short to be written down: leave out one of --quick and --write")
    if min(options.events, options.repeats, options.rate, options.seconds) <= 0:
        parser.error("--events, --repeats, --rate and --seconds must be more than 0")
    return options


def main(argv: Sequence[str]) -> int:
    """Measure, print the tables, return the exit status."""
    options = arguments(argv)
    if options.kafka is not None:
        os.environ["WEIR_TEST_KAFKA"] = str(options.kafka.resolve())
    from bench.measure import BenchError
    from streams.local.process import LocalServiceError

    try:
        text = _measure(options)
        print(text)
        if options.write:
            PAGE.write_text(report.insert(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
            _say(f"written to {PAGE}")
    except (BenchError, LocalServiceError, AssertionError, OSError, ValueError) as error:
        print(f"the benchmark failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _measure(options: argparse.Namespace) -> str:
    from bench.measure import Bench
    from tests.brokers import apache_missing, new_broker

    source = read_texts(options.data) if options.data else None
    events = make_events(options.events + SKIP, "bench", source)
    brokers = {"embedded": "embedded broker", "apache": "Apache Kafka"}
    reason = "--embedded" if options.embedded else apache_missing()
    if reason:
        _say(f"Apache Kafka is left out: {reason}")
        del brokers["apache"]
    results = []
    for kind, name in brokers.items():
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
            broker = new_broker(kind, Path(folder) / "broker")
            broker.start()
            try:
                bench = Bench(broker, Path(folder), events, SKIP, _say)
                results.append(bench.run(name, options.repeats, options.rate, options.seconds))
            finally:
                broker.stop()
    words = sum(len(event.text.split()) for event in events) / len(events)
    setup = report.Setup(
        options.events, words, options.repeats, options.rate, options.seconds,
        machine(), dt.datetime.now(dt.UTC).date(),
    )  # fmt: skip
    return report.markdown(setup, results)


_STARTED = time.monotonic()


def _say(text: str) -> None:
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{time.monotonic() - _STARTED:6.1f} s  {load}  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
