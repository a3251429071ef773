"""What a head is worth: ranking, operating points and calibration."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics

BINS = 15

Floats = npt.NDArray[np.float32]


def expected_calibration_error(probabilities: Floats, labels: Floats, bins: int = BINS) -> float:
    """Return the mean gap between probability and observed rate over equal bins (Naeini et al. 2015)."""
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [abs(float(np.sum(probabilities[place == b] - labels[place == b]))) for b in range(bins)]
    return sum(gaps) / len(labels)


def ranking(scores: Floats, labels: Floats) -> dict[str, Any]:
    """Return sizes, AUROC, average precision and the recall at one percent of false positives."""
    truth = labels > 0.5
    summary: dict[str, Any] = {"n": len(truth), "positive": int(truth.sum())}
    if 0 < truth.sum() < len(truth):
        false_positive, recall, _ = metrics.roc_curve(truth, scores)
        summary["auroc"] = round(float(metrics.roc_auc_score(truth, scores)), 4)
        summary["average_precision"] = round(float(metrics.average_precision_score(truth, scores)), 4)
        summary["recall_at_1pct_fpr"] = round(float(recall[false_positive <= 0.01].max()), 4)
    return summary


def report(probabilities: Floats, labels: Floats) -> dict[str, Any]:
    """Return `ranking` with what a threshold of 0.5 gives and the expected calibration error."""
    truth, said = labels > 0.5, probabilities >= 0.5
    return ranking(probabilities, labels) | {
        "precision_at_0.5": round(float(metrics.precision_score(truth, said, zero_division=0)), 4),
        "recall_at_0.5": round(float(metrics.recall_score(truth, said, zero_division=0)), 4),
        "false_positive_rate_at_0.5": round(float(said[~truth].mean()), 4) if (~truth).any() else None,
        "ece": round(expected_calibration_error(probabilities, labels), 4),
    }
