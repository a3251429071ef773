"""How the two tiers are joined: the gate between them, and the weights of their log-odds."""

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detectors.models.cascade import GATE, Cascade
from detectors.models.linear import LinearHeads, highest, windows
from detectors.models.tokenizer import Tokens
from detectors.models.transformer import Transformer, window, window_starts
from detectors.training.datasets import HEADS
from detectors.training.files import write_arrays
from detectors.training.fit import bounded
from detectors.training.matrix import subset
from detectors.training.pool import TRAFFIC, Pool

log = logging.getLogger(__name__)

PASSED = 0.07
"""Share of harmless traffic that the gate sends to the transformer."""
DOUBT = -1.4
"""Log-odds (a probability of 0.2) of a linear head that sends a text to the transformer."""
WINDOWS_READ = 3
"""Windows of a text, its first, that the transformer reads where sources are left out."""
JOINED = 16_000
"""Texts that the stacking weights are fitted on, at most."""
PRIOR = np.array([1.0, 0.0, 0.0])
STRENGTH = np.full(3, 3.0)
"""Gaussian prior on the weights, that of a head which needs no correction: few labels change little."""
LOWEST = (0.05, 0.0, None)
"""Of each weight."""

Floats = npt.NDArray[np.float32]


def join(pool: Pool, linear: LinearHeads, transformer: Transformer, out: Path, seed: int) -> None:
    """Fit the gate and the stacking weights on the split `calibrate` and write `cascade.npz`.

    The weights are fitted on the texts that the gate leaves in doubt, since they judge no others.
    """
    kept = np.flatnonzero((pool.split == "calibrate") & ~pool.held_out & (pool.tokens.counts > 0))
    first = linear_logits(linear, pool.tokens, kept)
    positive = pool.positive[kept]
    gates = first[:, linear.names.index(GATE)]
    threshold = gate(gates, pool.of(*TRAFFIC)[kept] & ~positive, positive)
    cascade = Cascade(linear, transformer, np.zeros((3, len(HEADS)), np.float32), threshold, DOUBT)
    doubtful = np.flatnonzero(cascade.suspicion(first) >= 0)
    rows = kept[np.sort(np.random.default_rng(seed).permutation(doubtful)[:JOINED])]
    log.info("the tiers are joined on %d texts of the %d in doubt", len(rows), len(doubtful))
    tiers = cascade.read(subset(pool.tokens, rows))
    write(out, weights(tiers.transformer, tiers.linear, pool.labels[rows, : len(HEADS)]), threshold)


def read(transformer: Transformer, tokens: Tokens, rows: npt.NDArray[np.int64], limit: int) -> Floats:
    """Return the highest log-odds over the first `limit` windows of each row, shape (rows, heads)."""
    found = np.zeros((len(rows), len(transformer.names)), dtype=np.float32)
    for number, row in enumerate(rows.tolist()):
        starts = window_starts(int(tokens.counts[row]))[:limit].tolist()
        found[number] = transformer.logits([window(tokens, row, start) for start in starts]).max(axis=0)
        if number % 5000 == 4999:
            log.info("read %d of %d texts", number + 1, len(rows))
    return found


def linear_logits(linear: LinearHeads, tokens: Tokens, rows: npt.NDArray[np.int64]) -> Floats:
    """Return the highest log-odds of each linear head for some texts, shape (rows, heads)."""
    chosen = subset(tokens, rows)
    spans = windows(chosen)
    return highest(linear.window_logits(chosen, spans), spans.texts, len(rows))


def weights(transformer: Floats, linear: Floats, labels: Floats) -> Floats:
    """Return the stacking weights of each head, shape (3, heads): transformer, linear, intercept.

    All arguments have the shape (texts, heads): the tiers' log-odds, and labels that are NaN where unknown.
    Neither tier's weight is negative.
    """
    columns = []
    for head in range(labels.shape[1]):
        known = ~np.isnan(labels[:, head])
        inputs = np.stack([transformer[known, head], linear[known, head], np.ones(known.sum())], axis=1)
        columns.append(
            bounded(
                inputs.astype(np.float64), labels[known, head], np.ones(known.sum()), PRIOR, STRENGTH, LOWEST
            )
        )
    return np.stack(columns, axis=1).astype(np.float32)


def gate(scores: Floats, ordinary: npt.NDArray[np.bool_], positive: npt.NDArray[np.bool_]) -> float:
    """Return the gate's log-odds that `PASSED` of the ordinary texts exceed; says what of the others does."""
    threshold = float(np.quantile(scores[ordinary], 1 - PASSED))
    share = float((scores[positive] >= threshold).mean())
    log.info("the gate passes %.1f %% of ordinary and %.1f %% of positive texts", 100 * PASSED, 100 * share)
    return threshold


def write(out: Path, stacked: Floats, threshold: float) -> None:
    """Write `cascade.npz`."""
    write_arrays(out / "cascade.npz", weights=stacked, gate=np.array(threshold), doubt=np.array(DOUBT))
