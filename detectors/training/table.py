"""What the shipped detectors are worth: every labelled set, by tier and for the cascade."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from detectors.batch import Batch
from detectors.models.cascade import Cascade
from detectors.models.weights import Models
from detectors.models.windows import highest, windows
from detectors.registry import build
from detectors.runner import Runner
from detectors.training import evaluate
from detectors.training.datasets import HEADS
from detectors.training.pool import TRAFFIC, Mask, Pool
from detectors.training.written import CHALLENGE, WRITTEN

log = logging.getLogger(__name__)

TIERS = ("encoder", "cascade")
HELD_OUT_TEXTS = 12_000
"""Texts of the split `test` that are judged, drawn at random."""
SPEED_TEXTS = 2000
SPEED_BATCH = 200
ROUNDS = 3
CHALLENGES = tuple(
    f"{CHALLENGE}_{name}" for name in ("toxicity", "groups", "injection", "harmful", "everyday", "languages")
)
FEWEST = 15
"""Texts of a source that is reported by itself."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Judged:
    """Texts that every tier has judged: rows of the pool and probabilities by tier, (rows, heads)."""

    pool: Pool
    rows: npt.NDArray[np.int64]
    by_tier: Mapping[str, Floats]
    by_encoder: Mask
    by_transformer: Mask


def judge(pool: Pool, models: Models, seed: int) -> Judged:
    """Judge a sample of the split `test`, and all texts that never train, with each tier by itself."""
    challenge = pool.of(CHALLENGE)
    filled = pool.tokens.counts > 0
    held = np.flatnonzero((pool.split == "test") & ~challenge & filled)
    sample = np.random.default_rng(seed).permutation(held)[:HELD_OUT_TEXTS]
    rows = np.sort(np.concatenate([sample, np.flatnonzero(challenge & filled)]))
    tiers: dict[str, list[Floats]] = {tier: [] for tier in TIERS}
    by_encoder, by_transformer = [], []
    for part in np.array_split(rows, len(rows) // SPEED_BATCH + 1):
        batch = Batch.of_texts([pool.texts[row] for row in part], models)
        tiers["encoder"].append(special.expit(encoder_log_odds(models.cascade, batch.texts)))
        tiers["cascade"].append(batch.head_probabilities)
        by_encoder.append(batch.verdicts.by_encoder)
        by_transformer.append(batch.verdicts.by_transformer)
    joined = {tier: np.concatenate(parts) for tier, parts in tiers.items()}
    return Judged(pool, rows, joined, np.concatenate(by_encoder), np.concatenate(by_transformer))


def encoder_log_odds(cascade: Cascade, texts: Sequence[str]) -> Floats:
    """Return the log-odds of the heads on the encoder if it read all windows of each text, (texts, heads)."""
    tokens = cascade.pieces.encode(texts)
    spans = windows(tokens)
    features = cascade.encoder.features([spans.ids(tokens, row) for row in range(len(spans))])
    return highest(cascade.heads.logits(features), spans.texts, len(texts))


def sets(pool: Pool) -> Iterator[tuple[str, str, Mask]]:
    """Yield the sets of the table: a name, the head that is measured, and its examples."""
    own = pool.of(WRITTEN, "grammar_")
    held = (pool.split == "test") & ~pool.of(CHALLENGE)
    implicit = pool.of(CHALLENGE + "_groups_implicit")
    for head in HEADS:
        yield "held-out part of the training sources", head, held & ~own
        yield "held-out part of our own texts", head, held & own
    yield "Jigsaw, held-out part", "toxicity", held & pool.of("jigsaw_")
    yield "challenge: chat, forums, games, mail", "toxicity", pool.of(CHALLENGE + "_toxicity")
    for head in ("toxicity", "bias_identity_attack"):
        yield "challenge: functional tests of hate", head, pool.of(CHALLENGE + "_groups") & ~implicit
        yield "challenge: implicit statements on groups", head, implicit
    for head in ("threat", "toxicity"):
        yield "challenge: everyday lines and threats", head, pool.of(CHALLENGE + "_everyday")
    yield "challenge: attacks and benign prompts", "injection", pool.of(CHALLENGE + "_injection")
    yield "challenge: requests", "harmful_request", pool.of(CHALLENGE + "_harmful")
    for head in ("injection", "harmful_request", "toxicity"):
        yield "challenge: thirteen languages", head, pool.of(CHALLENGE + "_languages")


def measure(judged: Judged) -> list[dict[str, Any]]:
    """Return one row for each set, head and tier."""
    found = []
    for name, head, mask in sets(judged.pool):
        column = HEADS.index(head)
        labels = judged.pool.labels[judged.rows, column]
        kept = mask[judged.rows] & ~np.isnan(labels)
        if len(np.unique(labels[kept] > 0.5)) < 2:
            continue
        for tier in TIERS:
            report = evaluate.report(judged.by_tier[tier][kept, column], labels[kept])
            found.append({"set": name, "head": head, "tier": tier} | report)
    return found


def sections(judged: Judged) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the cascade's report for each head and each source of `FEWEST` texts or more."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    sources = judged.pool.source[judged.rows]
    for column, head in enumerate(HEADS):
        labels = judged.pool.labels[judged.rows, column]
        known = ~np.isnan(labels)
        real = known & judged.pool.real[judged.rows]
        scores = judged.by_tier["cascade"][:, column]
        found[head] = {"all": evaluate.report(scores[real], labels[real])} if real.any() else {}
        for name in CHALLENGES:
            kept = known & judged.pool.of(name)[judged.rows]
            if len(np.unique(labels[kept] > 0.5)) == 2:
                found[head][name] = evaluate.report(scores[kept], labels[kept])
        for source, count in zip(*np.unique(sources[known], return_counts=True), strict=True):
            if count >= FEWEST:
                kept = known & (sources == source)
                found[head][str(source)] = evaluate.report(scores[kept], labels[kept])
    return found


def over_defence(
    judged: Judged, heads: tuple[str, ...] = ("injection", "harmful_request", "toxicity")
) -> dict[str, float]:
    """Return the share of harmless prompts full of trigger words that a threshold of 0.5 flags."""
    kept = judged.pool.of(CHALLENGE + "_injection_over_defence")[judged.rows]
    scores = judged.by_tier["cascade"][kept]
    return {head: round(float((scores[:, HEADS.index(head)] >= 0.5).mean()), 4) for head in heads}


def passed(judged: Judged) -> dict[str, dict[str, float]]:
    """Return the share of ordinary and of other texts that the encoder and the transformer read."""
    positive = judged.pool.positive[judged.rows]
    kinds = {"ordinary": judged.pool.of(*TRAFFIC)[judged.rows] & ~positive, "positive": positive}
    tiers = {"encoder": judged.by_encoder, "transformer": judged.by_transformer}
    return {
        tier: {kind: round(float(read[mask].mean()), 4) for kind, mask in kinds.items()}
        for tier, read in tiers.items()
    }


def speed(pool: Pool, models: Models, seed: int) -> dict[str, float]:
    """Return texts per second of ordinary traffic on this machine, best of `ROUNDS`, one thread.

    The texts are harmless ones of the ordinary sources, in batches of `SPEED_BATCH`. `detectors` runs
    everything that the guard runs by default; all start from the text.
    """
    rows = np.flatnonzero(
        pool.of(*TRAFFIC) & ~pool.positive & (pool.split == "test") & (pool.tokens.counts > 0)
    )
    rows = np.random.default_rng(seed).permutation(rows)[:SPEED_TEXTS]
    parts = [rows[start : start + SPEED_BATCH] for start in range(0, len(rows), SPEED_BATCH)]
    texts = [[pool.texts[row] for row in part.tolist()] for part in parts]
    runner = Runner(build(models), models, budget_s=60.0)
    ways: dict[str, Callable[[int], object]] = {
        "encoder, every text": lambda i: encoder_log_odds(models.cascade, texts[i]),
        "cascade": lambda i: models.cascade.judge(texts[i]),
        "all detectors": lambda i: runner.score(Batch.of_texts(texts[i], models)),
    }
    found = {name: _rate(way, range(len(parts)), SPEED_BATCH) for name, way in ways.items()}
    runner.close()
    return found | {"mean tokens": round(float(pool.tokens.counts[rows].mean()), 1)}


def _rate(way: Callable[[int], object], parts: range, size: int) -> float:
    best = float("inf")
    way(0)
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for part in parts:
            way(part)
        best = min(best, time.perf_counter() - began)
    return round(len(parts) * size / best, 1)
