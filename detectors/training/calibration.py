"""Probabilities whose thresholds mean something: fixed by how often ordinary text of a language exceeds them.

A fit to the labels (Platt) would follow the share of attacks in the training data, which no app has. So
the log-odds of texts whose families were left out are mapped, by a slope and a shift per head, such that in
no language of `LANGUAGES` more than `FLAGGED` of ordinary texts exceed 0.5, nor `BLOCKED` exceed 0.9; and of
short notices, many of them written to sound like a threat, `FLAGGED_NOTICES` and `BLOCKED_NOTICES`. What
only completions are judged for has its limits among answers, `FLAGGED_ANSWERS` and `BLOCKED_ANSWERS`.
"""

import numpy as np
import numpy.typing as npt

from detectors.training.datasets import HEADS
from detectors.training.rotations import SHORT, LeftOut, answers, languages, notices, ordinary

LANGUAGES = frozenset(
    [*("ar", "de", "en", "es", "fr", "hi", "it", "ja"), *("ko", "nl", "pl", "pt", "ru", "th", "tr", "zh")]
)
"""Those of the sentence encoder, and Hindi."""
FEWEST = 300
"""Texts of a language, or answers, that have a say: among fewer, one in a thousand cannot be told."""
FLAGGED, BLOCKED = 0.011, 0.002
FLAGGED_NOTICES, BLOCKED_NOTICES = 0.1, 0.01
FLAGGED_ANSWERS, BLOCKED_ANSWERS = 0.015, 0.003
OF_ANSWERS = np.array([head == "refusal" for head in HEADS])
"""Shape (heads,): which only completions are judged for."""
LOG_ODDS_OF_BLOCKED = float(np.log(9.0))
"""Of a probability of 0.9."""
STEEPEST = 1.5
"""Slope at most: two quantiles that lie close together say little."""
PASSED = 0.42
"""Share of ordinary texts that the screen's gate sends to the encoder."""
SUSPECTED = 0.015
"""Share of them that each head of the screen sends there, too."""
UNREAD = -4.0
"""Log-odds, at most, of a text that the screen finds plainly ordinary."""
SURELY_ENGLISH = 1.5
"""Log-odds from which on a text counts as English: short texts of other languages look like it."""

Floats = npt.NDArray[np.float32]


def calibrate(found: LeftOut, log_odds: Floats) -> Floats:
    """Return slope and shift of each head, shape (2, heads), for log-odds of the shape (N, heads)."""
    low, high = _of_prompts(found, log_odds)
    answered = answers(found.examples) & (found.rotation >= 0)
    if answered.sum() >= FEWEST:
        of_answers = _exceeded(log_odds[answered], (FLAGGED_ANSWERS, BLOCKED_ANSWERS))
        low, high = np.where(OF_ANSWERS, of_answers, (low, high))
    return np.array([line(*pair) for pair in zip(low, high, strict=True)], dtype=np.float32).T


def _of_prompts(found: LeftOut, log_odds: Floats) -> Floats:
    """Return what is seldom exceeded in the worst of the languages, shape (2, heads)."""
    mask = ordinary(found.examples) | notices(found.examples)
    levels = [
        _exceeded(log_odds[rows], limits(lang))
        for lang, rows in languages(found, mask)
        if lang in {*LANGUAGES, SHORT} and len(rows) >= FEWEST
    ]
    return np.asarray(np.max(levels, axis=0))


def _exceeded(log_odds: Floats, shares: tuple[float, float]) -> Floats:
    return np.asarray(np.quantile(log_odds, 1 - np.array(shares), axis=0))


def limits(lang: str) -> tuple[float, float]:
    """Return the shares of ordinary texts of a language, or of notices, that may exceed 0.5 and 0.9."""
    return (FLAGGED_NOTICES, BLOCKED_NOTICES) if lang == SHORT else (FLAGGED, BLOCKED)


def screen(found: LeftOut) -> Floats:
    """Return slope and shift of each output of the screen, shape (2, outputs): heads, gate, English.

    From `UNREAD` on a head sends a text to the encoder, from 0 on the gate does.
    """
    plain = ordinary(found.examples) & (found.rotation >= 0)
    levels = np.full(found.screened.shape[1] - 1, UNREAD)
    shares = np.full(len(levels), 1 - SUSPECTED)
    levels[-1], shares[-1] = 0.0, 1 - PASSED
    usual = [
        np.quantile(column, share) for column, share in zip(found.screened[plain].T, shares, strict=False)
    ]
    shift = np.append(levels - usual, -SURELY_ENGLISH)
    return np.stack([np.ones(len(shift)), shift]).astype(np.float32)


def line(flagged: float, blocked: float) -> tuple[float, float]:
    """Return the slope and the shift that map two log-odds to the probabilities 0.5 and 0.9."""
    slope = min(LOG_ODDS_OF_BLOCKED / max(blocked - flagged, 1e-3), STEEPEST)
    # Where the slope is bounded, the stricter of both decides.
    return slope, min(-slope * flagged, LOG_ODDS_OF_BLOCKED - slope * blocked)
