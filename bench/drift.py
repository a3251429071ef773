"""Measure drift detectors on seeded streams: `python -m bench.drift --data FOLDER --write`.

Every detector sees the same values. Without labelled data the scores are synthetic, and the table says so.
"""

import argparse
import datetime as dt
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from bench import drift_subject_detectors, drift_subjects, report
from bench.drift_detectors import DETECTORS, SLOW, Detector, Weir, rows
from bench.drift_streams import (
    AFTER,
    BEFORE,
    DAY_MS,
    KINDS,
    METRICS,
    PER_DAY,
    Pools,
    Stream,
    quiet,
    scored_pools,
    shifts,
    synthetic_pools,
)
from detectors.training.machine import machine

PAGE = Path(__file__).parents[1] / "docs" / "drift.md"
CACHES = Path(".weir") / "bench"
SLOW_QUIET = 2_000
SLOW_BEFORE = 1_000
SLOW_SEEDS = 2


@dataclass
class Found:
    """What a detector made of a stream, over its seeds."""

    delays: list[int] = field(default_factory=list)
    runs: int = 0

    @property
    def cell(self) -> str:
        """Detections, and the median and ninth decile of the delay."""
        if not self.delays:
            return f"0/{self.runs}"
        median, late = statistics.median(self.delays), report.percentile(self.delays, 0.9)
        return f"{len(self.delays)}/{self.runs}: {median:,.0f} ({late:,.0f})"


@dataclass
class Outcome:
    """What was measured of one detector."""

    alarms: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By kind of quiet stream: false alarms, and in how many events."""
    microseconds: float = 0.0
    size: int = 0
    found: dict[str, Found] = field(default_factory=dict)
    covered: tuple[int, int] = (0, 0)
    """Of weir's intervals: how many hold the true level, of how many."""


def measure_quiet(name: str, pools: Pools, events: int, seed: int) -> Outcome:
    """Run one detector over the quiet streams."""
    outcome = Outcome()
    count = SLOW_QUIET if name == SLOW else events
    for number, kind in enumerate(KINDS):
        values = rows(quiet(kind, count, pools, np.random.default_rng((seed, number))))
        detector = DETECTORS[name]()
        begun = time.process_time()
        alarms = sum(len(detector.update(row, _at(at))) for at, row in enumerate(values))
        if not number:
            outcome.microseconds = (time.process_time() - begun) / count * 1e6
            outcome.size = detector.size()
        outcome.alarms[kind] = alarms, count
    return outcome


def _at(event: int) -> int:
    return event * (DAY_MS // PER_DAY)


def measure_shift(name: str, stream: Stream, seeds: int) -> tuple[Found, list[Any]]:
    """Run one detector over a stream that changes; also return what weir says of the change."""
    found, changes = Found(), []
    column = METRICS.index(stream.metric)
    first = BEFORE - SLOW_BEFORE if name == SLOW else 0
    for seed in range(min(seeds, SLOW_SEEDS) if name == SLOW else seeds):
        values = stream.make(np.random.default_rng((seed, 99))).astype(float).tolist()
        detector = DETECTORS[name]()
        found.runs += 1
        at = _first_alarm(detector, values, column, first)
        if at is not None:
            found.delays.append(at - BEFORE)
            if isinstance(detector, Weir):
                changes.append(detector.changes[-1])
    return found, changes


def _first_alarm(detector: Detector, values: Sequence[float], column: int, first: int) -> int | None:
    row: list[float | None] = [None] * len(METRICS)
    for at in range(first, len(values)):
        row[column] = values[at]
        if detector.update(row, _at(at)) and at >= BEFORE:
            return at
    return None


def _work(task: tuple[str, Pools, argparse.Namespace]) -> tuple[str, Outcome]:
    name, pools, options = task
    outcome = measure_quiet(name, pools, options.quiet // len(KINDS), options.seed)
    held = total = 0
    for stream in shifts(pools):
        outcome.found[stream.name], changes = measure_shift(name, stream, options.seeds)
        truth = _level(stream)
        if truth is not None:
            held += sum(change.low <= truth <= change.high for change in changes)
            total += len(changes)
    outcome.covered = held, total
    print(f"  {name}: done", file=sys.stderr, flush=True)
    return name, outcome


def _level(stream: Stream) -> float | None:
    """Return the level after the change, by many draws; None where it has no fixed one."""
    if "creeps" in stream.name or "rhythm" in stream.name:
        return None
    drawn = np.concatenate([stream.make(np.random.default_rng((n, 7)))[BEFORE:] for n in range(40)])
    logs = stream.metric in ("latency_ms", "completion_tokens", "cost")
    return float(np.exp(np.log(drawn).mean()) if logs else np.clip(drawn, 0, 1).mean())


def markdown(outcomes: dict[str, Outcome], pools: Pools, options: argparse.Namespace) -> str:
    """Return the tables."""
    names = list(outcomes)
    date = dt.datetime.now(dt.UTC).date()
    source = "scores of the shipped detectors on labelled texts" if pools.real else (
        "synthetic scores (no labelled data at hand: texts labelled toxic are left out)"
    )  # fmt: skip
    lines = [
        f"{date}, {machine()}; {source}; {len(METRICS)} metrics, {options.seeds} seeds.",
        "",
        "False alarms per 100,000 events of a segment, all metrics together:",
        "",
        f"| | {' | '.join(KINDS)} | all | µs per event | bytes per segment |",
        "|---|" + "---:|" * (len(KINDS) + 3),
    ]
    for name in names:
        lines.append(_quiet_row(name, outcomes[name]))
    lines += [
        "",
        f"Changes after {BEFORE:,} events, {PER_DAY:,} a day: how many were found within {AFTER:,} events, "
        "and after how many, in the median (nine in ten, of those found):",
        "",
        f"| | {' | '.join(names)} |",
        "|---|" + "---:|" * len(names),
    ]
    for stream in shifts(pools):
        cells = " | ".join(outcomes[name].found[stream.name].cell for name in names)
        lines.append(f"| {stream.name} | {cells} |")
    held, total = next(iter(outcomes.values())).covered
    lines += ["", f"Of weir's intervals of the new level {held} of {total} hold it."]
    lines += ["", f"{SLOW}: {SLOW_QUIET:,} events of each quiet kind, {SLOW_SEEDS} seeds, for its slowness."]
    return "\n".join(lines)


def _quiet_row(name: str, outcome: Outcome) -> str:
    rates = [f"{alarms / events * 1e5:,.1f}" for alarms, events in outcome.alarms.values()]
    alarms, events = (sum(column) for column in zip(*outcome.alarms.values(), strict=True))
    rates.append(f"{alarms / events * 1e5:,.1f}")
    return f"| {name} | {' | '.join(rates)} | {outcome.microseconds:.0f} | {outcome.size:,} |"


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.drift", description="Compare drift detectors.")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder with toxicity.csv.gz, refusal.csv.gz"
    )
    parser.add_argument("--seeds", type=int, default=8, help="runs of each stream that changes (default 8)")
    parser.add_argument("--quiet", type=int, default=200_000, help="quiet events (default 200000)")
    parser.add_argument("--seed", type=int, default=0, help="of the quiet streams (default 0)")
    parser.add_argument("--only", default="", help="detectors whose name contains this")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/drift.md")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Measure, print the tables, return the exit status."""
    options = arguments(argv)
    pools = scored_pools(options.data, _cache("scores")) if options.data else synthetic_pools()
    if not pools.real:
        print("no --data: scores are synthetic, texts labelled toxic are left out", file=sys.stderr)
    names = [name for name in DETECTORS if options.only in name]
    with get_context("spawn").Pool(2) as pool:
        outcomes = dict(pool.imap(_work, [(name, pools, options) for name in names], chunksize=1))
        print("subjects", file=sys.stderr)
        subjects = _subjects(options, pool)
    texts = {"measured": markdown(outcomes, pools, options), "subjects": "\n".join(subjects)}
    print(*texts.values(), sep="\n\n")
    page = PAGE.read_text(encoding="utf-8")
    for name, text in texts.items():
        page = report.insert(page, text, name) if text else page
    if options.write:
        PAGE.write_text(page, encoding="utf-8")
    return 0


def _subjects(options: argparse.Namespace, pool: Any) -> list[str]:
    found = options.data and drift_subjects.subjects(options.data, _cache("subjects"))
    if not found:
        return []
    names = [name for name in drift_subject_detectors.DETECTORS if options.only in name]
    tasks = [(name, found, options.seeds, options.quiet // 5) for name in names]
    return drift_subjects.markdown(dict(zip(names, pool.starmap(drift_subjects.measure, tasks), strict=True)))


def _cache(name: str) -> Path:
    """Return where what the shipped weights make of texts is kept: other weights, another file."""
    from detectors.models.weights import Models

    return CACHES / f"{name}-{Models().digest.hex()[:8]}.npz"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
