"""Probabilities whose thresholds mean something: fixed by how often ordinary text of a language exceeds them.

A fit to the labels (Platt) would follow the share of attacks in the training data, which no app has. So
the log-odds of texts whose families were left out are mapped, by a slope and a shift per head, such that in
no language of `LANGUAGES` more than `FLAGGED` of ordinary texts exceed 0.5, nor `BLOCKED` exceed 0.9.
"""

import numpy as np
import numpy.typing as npt

from detectors.training.rotations import LeftOut, languages, ordinary

LANGUAGES = frozenset(
    [*("ar", "de", "en", "es", "fr", "hi", "it", "ja"), *("ko", "nl", "pl", "pt", "ru", "th", "tr", "zh")]
)
"""Those of the sentence encoder, and Hindi."""
FEWEST = 300
"""Texts of a language that has a say: among fewer, one in a thousand cannot be told."""
FLAGGED, BLOCKED = 0.02, 0.003
LOG_ODDS_OF_BLOCKED = float(np.log(9.0))
"""Of a probability of 0.9."""
STEEPEST = 1.5
"""Slope at most: two quantiles that lie close together say little."""

Floats = npt.NDArray[np.float32]


def calibrate(found: LeftOut, log_odds: Floats) -> Floats:
    """Return slope and shift of each head, shape (2, heads), for log-odds of the shape (N, heads)."""
    mask = ordinary(found.examples)
    flagged, blocked = [], []
    for lang, rows in languages(found, mask):
        if lang in LANGUAGES and len(rows) >= FEWEST:
            kept = log_odds[rows]
            flagged.append(np.quantile(kept, 1 - FLAGGED, axis=0))
            blocked.append(np.quantile(kept, 1 - BLOCKED, axis=0))
    low, high = np.max(flagged, axis=0), np.max(blocked, axis=0)
    return np.array([line(*pair) for pair in zip(low, high, strict=True)], dtype=np.float32).T


def line(flagged: float, blocked: float) -> tuple[float, float]:
    """Return the slope and the shift that map two log-odds to the probabilities 0.5 and 0.9."""
    slope = min(LOG_ODDS_OF_BLOCKED / max(blocked - flagged, 1e-3), STEEPEST)
    # Where the slope is bounded, the stricter of both decides.
    return slope, min(-slope * flagged, LOG_ODDS_OF_BLOCKED - slope * blocked)
