"""What one tier of the cascade leaves to the next, and how the log-odds of the last two are joined."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from detectors.models.cascade import MAX_WINDOWS
from detectors.models.pieces import Pieces
from detectors.models.tokenizer import Encoder
from detectors.models.transformer import WINDOW, Transformer
from detectors.models.windows import highest, windows
from detectors.training.calibration import (
    BLOCKED,
    BLOCKED_ANSWERS,
    FLAGGED,
    FLAGGED_ANSWERS,
    LOG_ODDS_OF_BLOCKED,
    OF_ANSWERS,
    UNREAD,
    limits,
)
from detectors.training.datasets import HEADS
from detectors.training.families import NOTICES
from detectors.training.files import write_arrays
from detectors.training.fit import bounded
from detectors.training.rotations import SHORT, LeftOut, answers, notices, ordinary

log = logging.getLogger(__name__)

READ = 0.0125
"""Share of ordinary English texts that the encoder leaves to the transformer, at least."""
PRIOR = np.array([0.3, 0.7, 0.0])
STRENGTH = np.full(3, 3.0)
"""Gaussian prior on the weights of transformer, encoder and intercept: few labels change little."""
LOWEST = (0.0, 0.3, None)
"""Of each weight."""

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
_Kinds = tuple[tuple[npt.NDArray[np.bool_], tuple[float, float], bool], ...]
"""Ordinary texts, the shares of them that may exceed 0.5 and 0.9, and whether the encoder alone bounds it."""


def join(found: LeftOut, log_odds: Floats, screened: Floats, out: Path) -> Floats:
    """Write `cascade.npz` into `out`; returns the joined log-odds, shape (N, heads), NaN as `log_odds`.

    Args:
        found: all examples.
        log_odds: shape (N, heads): of the encoder's heads where their family was left out, calibrated.
        screened: shape (N, heads, gate and English), calibrated.
        out: where the weights go, and the vocabularies and the transformer lie.

    """
    plain, short = ordinary(found.examples), notices(found.examples)
    english = np.array(
        [e.lang == "en" and (e.second_pool or e.source.startswith(NOTICES)) for e in found.examples]
    )
    judged = english & (found.rotation >= 0) & np.isfinite(log_odds).all(axis=1)
    unsure = min(_exceeded(log_odds[plain & judged].max(axis=1), READ), 0.0)
    rows = np.flatnonzero(judged & (log_odds.max(axis=1) >= unsure))
    log.info("the transformer reads %d of %d left-out texts", len(rows), judged.sum())
    transformer = _read(found, rows, out)
    answered = answers(found.examples)
    of_prompts: _Kinds = ((short, limits(SHORT), False), (plain, (FLAGGED, BLOCKED), True))
    as_answers: _Kinds = ((answered, (FLAGGED_ANSWERS, BLOCKED_ANSWERS), True),)
    of_answers = as_answers if answered[rows].any() else of_prompts
    columns = [
        weights_of(
            transformer[:, head],
            log_odds[rows, head],
            found.labels[rows, head],
            [
                Plain(kind[rows], allowed(log_odds[kind & judged, head], most, no_oftener=no_oftener))
                for kind, most, no_oftener in (of_answers if answered_alone else of_prompts)
            ],
        )
        for head, answered_alone in enumerate(OF_ANSWERS)
    ]
    weights = np.stack(columns, axis=1).astype(np.float32)
    write_arrays(
        out / "cascade.npz",
        weights=weights,
        gate=np.array(0.0),
        doubt=np.array(UNREAD),
        unsure=np.full(len(HEADS), unsure, np.float32),
    )
    joined = log_odds.copy()
    joined[rows] = weights[0] * transformer + weights[1] * log_odds[rows] + weights[2]
    heads, gate = screened[:, : len(HEADS)].max(axis=1), screened[:, len(HEADS)]
    unread = (gate < 0) & (heads < UNREAD)
    joined[unread] = np.minimum(joined[unread], screened[unread, : len(HEADS)])
    return joined


def _exceeded(values: Floats, share: float) -> float:
    return float(np.quantile(values, 1 - share))


def _read(found: LeftOut, rows: Rows, folder: Path) -> Floats:
    """Return the transformer's log-odds of some texts, each of its highest window, shape (rows, heads)."""
    texts = [found.examples[row].text for row in rows.tolist()]
    pieces = Pieces.load(folder / "pieces.json")
    tokens = pieces.encode(texts)
    spans = windows(tokens)
    number = np.arange(len(spans)) - np.searchsorted(spans.texts, spans.texts)
    near = np.flatnonzero(number < MAX_WINDOWS)
    told = [
        texts[owner] if length == tokens.counts[owner] else pieces.text(spans.ids(tokens, row))
        for row, owner, length in zip(
            near.tolist(), spans.texts[near].tolist(), spans.lengths[near].tolist(), strict=True
        )
    ]
    encoded = Encoder.load(folder / "tokenizer.json").encode(told)
    transformer = Transformer.load(folder / "transformer.onnx")
    logits = transformer.logits([encoded.of(place).ids[:WINDOW] for place in range(len(told))])
    return highest(logits, spans.texts[near], len(texts))


class Plain(NamedTuple):
    """Ordinary texts of one kind."""

    rows: npt.NDArray[np.bool_]
    """Shape (n,): which of the texts in doubt."""
    most: tuple[int, int]
    """How many of this kind may exceed 0.5 and 0.9."""


def allowed(alone: Floats, most: tuple[float, float], *, no_oftener: bool) -> tuple[int, int]:
    """Return how many ordinary texts may exceed 0.5 and 0.9, of the encoder's log-odds of all of a kind.

    The shares `most` of them; with `no_oftener` no more than do where the encoder judges alone, either.
    """
    counts = int(most[0] * len(alone)), int(most[1] * len(alone))
    if not no_oftener:
        return counts
    found = int((alone >= 0.0).sum()), int((alone >= LOG_ODDS_OF_BLOCKED).sum())
    return min(counts[0], found[0]), min(counts[1], found[1])


def weights_of(transformer: Floats, encoder: Floats, labels: Floats, plain: Sequence[Plain]) -> Floats:
    """Return the weights of transformer, encoder and intercept of one head, shape (3,).

    They are fitted on texts that neither has seen, and then moved so that ordinary texts exceed 0.5 and 0.9
    no oftener than `plain` says: a better ranking finds more, and flags no more. Where the
    transformer makes it no better, it has no weight.

    Args:
        transformer: its log-odds of the texts in doubt, shape (n,).
        encoder: its own of these.
        labels: of these, NaN where unknown.
        plain: the ordinary ones, by kind.

    """
    known = ~np.isnan(labels)
    inputs = np.stack([transformer, encoder, np.ones(len(labels))], axis=1).astype(np.float64)
    fitted = bounded(inputs[known], labels[known], np.ones(int(known.sum())), PRIOR, STRENGTH, LOWEST)
    fitted[2] = 0.0
    if not _ranks_better(inputs[known] @ fitted, encoder[known], labels[known]):
        fitted = np.array([0.0, 1.0, 0.0])
    joined = inputs @ fitted
    shifts = [
        level - _tail(joined[kind.rows], count)
        for kind in plain
        for level, count in zip((0.0, LOG_ODDS_OF_BLOCKED), kind.most, strict=True)
        if kind.rows.any()
    ]
    return np.asarray([fitted[0], fitted[1], min(shifts) - 1e-3], dtype=np.float32)


def _ranks_better(joined: npt.NDArray[np.float64], alone: Floats, labels: Floats) -> bool:
    target = labels > 0.5
    if target.all() or not target.any():
        return True
    return bool(roc_auc_score(target, joined) > roc_auc_score(target, alone))


def _tail(values: npt.NDArray[np.float64], count: int) -> float:
    """Return the value that only the `count` highest exceed; the lowest if there are fewer."""
    order = np.sort(values)[::-1]
    return float(order[min(count, len(order) - 1)]) if len(order) else 0.0
