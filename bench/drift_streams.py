"""Seeded streams for drift detectors: quiet ones of five kinds, and ones that change at a known event.

Scores are drawn from what the shipped detectors say of labelled texts, where such data is at hand; else from
beta distributions of a similar shape.
"""

import csv
import gzip
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SCORES = (
    "toxicity", "injection", "harmful_request", "bias_identity_attack", "pii", "refusal", "ungrounded",
    "text_tokens", "distance_assistant",
)  # fmt: skip
METRICS = (*SCORES, "latency_ms", "completion_tokens", "cost", "action_rate", "block_rate")
PER_DAY = 5_000
DAY_MS = 86_400_000
BEFORE = 20_000
AFTER = 10_000
KINDS = ("independent", "heavy tails", "weekly rhythm", "neighbours alike", "few values")
SIGMA = 0.8
"""Standard deviation of the logarithm of latencies."""
POOLS = {
    "harmless": ("toxicity", "toxicity", 0.0, 1_200),
    "toxic": ("toxicity", "toxicity", 1.0, 500),
    "refusals": ("refusal", "refusal", 1.0, 300),
    "answers": ("refusal", "refusal", 0.0, 300),
}
"""File, column, label and number of the texts that are scored."""


@dataclass(frozen=True)
class Stream:
    """One value per event, changing at `BEFORE`; `metric` is what it measures."""

    name: str
    metric: str
    make: Callable[[np.random.Generator], Floats]


class Pools:
    """Rows of `SCORES` by kind of text."""

    def __init__(self, rows: dict[str, Floats], real: bool) -> None:
        toxicity = SCORES.index("toxicity")
        self._rows = rows | {
            "scored harmless": rows["harmless"][rows["harmless"][:, toxicity] < 0.5],
            "scored toxic": rows["toxic"][rows["toxic"][:, toxicity] >= 0.5],
        }
        self.real = real
        """They are of real texts."""

    def draw(self, name: str, count: int, rng: np.random.Generator) -> Floats:
        """Return rows of a pool, with replacement."""
        pool = self._rows[name]
        return pool[rng.integers(len(pool), size=count)]

    def mixed(self, common: str, rare: str, shares: Floats, rng: np.random.Generator) -> Floats:
        """Return a row per share, of the rare pool with that probability."""
        rare_rows, rows = (self.draw(name, len(shares), rng) for name in (rare, common))
        return np.where((rng.random(len(shares)) < shares)[:, None], rare_rows, rows)


def synthetic_pools() -> Pools:
    """Return scores without any data."""
    rng = np.random.default_rng(0)

    def scores(count: int, high: str = "") -> Floats:
        rows = rng.beta(1, 40, (count, len(SCORES)))
        rows[:, SCORES.index("pii")] = rng.random(count) < 0.05
        rows[:, SCORES.index("ungrounded")] = rng.beta(2, 3, count)
        rows[:, SCORES.index("text_tokens")] = np.round(rng.lognormal(3.5, 1.0, count))
        rows[:, SCORES.index("distance_assistant")] = rng.beta(20, 10, count)
        if high:
            rows[:, SCORES.index(high)] = rng.beta(4, 1.5, count)
        return rows

    highs = {"harmless": "", "answers": "", "toxic": "toxicity", "refusals": "refusal"}
    return Pools({name: scores(2_000, high) for name, high in highs.items()}, real=False)


def scored_pools(data: Path, cache: Path) -> Pools:
    """Return scores of labelled texts; they are scored once and kept, without the texts, in `cache`."""
    if not cache.exists():
        rows = {name: _score(list(_texts(data, name, *wanted))) for name, wanted in POOLS.items()}
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, **rows)  # type: ignore[arg-type]
    with np.load(cache) as kept:
        return Pools({name: kept[name] for name in POOLS}, real=True)


def _texts(data: Path, pool: str, file: str, column: str, label: float, count: int) -> Iterator[str]:
    csv.field_size_limit(sys.maxsize)
    with gzip.open(data / f"{file}.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        found = [row["text"] for row in csv.DictReader(lines) if row[column] and float(row[column]) == label]
    random.Random(pool).shuffle(found)
    yield from islice(found, count)


def _score(texts: list[str]) -> Floats:
    from detectors import registry
    from detectors.batch import Batch
    from detectors.models import SHIPPED
    from detectors.models.weights import Models
    from detectors.runner import Runner

    models = Models(SHIPPED, 1)
    runner = Runner(registry.build(models, registry.DEFAULT), models, budget_s=600.0)
    parts = []
    for at in range(0, len(texts), 64):
        scored = runner.score(Batch.of_texts(texts[at : at + 64], models, "completion"))
        columns = [scored.metrics.index(name) for name in SCORES]
        parts.append(scored.matrix[:, columns])
    runner.close()
    return np.concatenate(parts).astype(float)


def quiet(kind: str, count: int, pools: Pools, rng: np.random.Generator) -> Floats:
    """Return a row of `METRICS` per event; nothing changes but what changes every day, or every week."""
    rows = pools.mixed("harmless", "toxic", np.full(count, 0.02), rng)
    noise = rng.standard_t(2.5, (count, 3)) if kind == "heavy tails" else rng.standard_normal((count, 3))
    if kind == "neighbours alike":
        # A conversation stays with its subject and its model's mood: every second row is that before it.
        for at in np.flatnonzero(rng.random(count) < 0.5):
            if at:
                rows[at] = rows[at - 1]
                noise[at] = 0.6 * noise[at - 1] + 0.8 * noise[at]
    logs = np.log((800.0, 150.0, 0.002)) + SIGMA * noise
    if kind == "weekly rhythm":
        days = np.arange(count) / PER_DAY
        logs += (0.2 * np.sin(2 * np.pi * days) + 0.1 * (days.astype(int) % 7 >= 5))[:, None]
    numbers = np.exp(logs)
    if kind == "few values":
        numbers[:, 0] = np.round(numbers[:, 0], -2)
        numbers[:, 1], numbers[:, 2] = np.round(numbers[:, 1] / 50) * 50, 0.001
        rows = np.round(rows, 1)
    acted = rng.random((count, 2)) < (0.03, 0.005)
    return np.column_stack([rows, numbers, acted])


def shifts(pools: Pools) -> list[Stream]:
    """Return the streams that change; what is labelled toxic needs real texts."""
    late = np.arange(BEFORE + AFTER) >= BEFORE

    def share(before: float, after: float) -> Floats:
        return np.where(late, after, before)

    def score(metric: str, common: str, rare: str, before: float, after: float) -> Stream:
        def make(rng: np.random.Generator) -> Floats:
            return pools.mixed(common, rare, share(before, after), rng)[:, SCORES.index(metric)]

        return Stream(f"{rare}: {before:.0%} of the texts, then {after:.0%}", metric, make)

    def rate(before: float, after: float) -> Stream:
        def make(rng: np.random.Generator) -> Floats:
            return (rng.random(len(late)) < share(before, after)).astype(float)

        return Stream(f"a rate of {before:.0%}, then {after:.0%}", "action_rate", make)

    def logs(name: str, metric: str, change: Floats, noise: str = "normal") -> Stream:
        def make(rng: np.random.Generator) -> Floats:
            size = len(change)
            drawn = rng.standard_t(2.5, size) if noise == "heavy" else rng.standard_normal(size)
            days = np.arange(size) / PER_DAY
            rhythm = 0.2 * np.sin(2 * np.pi * days) if noise == "rhythm" else 0.0
            return np.asarray(np.exp(6 + SIGMA * drawn + rhythm) * change)

        return Stream(name, metric, make)

    creep = 1 + 0.2 * np.clip((np.arange(BEFORE + AFTER) - BEFORE) / 5_000, 0, 1)
    return [
        score("toxicity", "scored harmless", "scored toxic", 0.02, 0.04),
        *([score("toxicity", "harmless", "toxic", 0.02, 0.04)] if pools.real else []),
        score("refusal", "answers", "refusals", 0.03, 0.09),
        rate(0.02, 0.04),
        rate(0.05, 0.02),
        logs("latency +20 %", "latency_ms", share(1, 1.2)),
        logs("latency +20 %, heavy tails", "latency_ms", share(1, 1.2), "heavy"),
        logs("latency +20 %, daily rhythm of ±20 %", "latency_ms", share(1, 1.2), "rhythm"),
        logs("latency creeps up by 20 % in 5,000 events", "latency_ms", creep),
        logs("lengths x 1.5", "completion_tokens", share(1, 1.5)),
        logs("cost x 3", "cost", share(1, 3)),
        Stream(
            "normal, one standard deviation up", "distance_assistant",
            lambda rng: 0.5 + 0.1 * (rng.standard_normal(len(late)) + late),
        ),
    ]  # fmt: skip
