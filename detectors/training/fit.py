"""Small logistic regressions: of what joins scores, and of what calibrates them; heads put side by side."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from detectors.models.network import Network

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def bounded(
    inputs: Doubles,
    target: npt.NDArray[Any],
    share: npt.NDArray[Any],
    prior: Doubles,
    strength: Doubles,
    lowest: Sequence[float | None],
) -> Doubles:
    """Return the weights of a small logistic regression, shape (features,).

    `share` weighs the examples, of shape (N,); each weight has a Gaussian prior of its own mean and
    strength, and a lower bound or none.
    """

    def objective(point: Doubles) -> tuple[float, Doubles]:
        values = inputs @ point
        residual = share * (special.expit(values) - target)
        away = point - prior
        loss = share @ (np.logaddexp(0, values) - target * values) + 0.5 * (strength * away) @ away
        return float(loss), inputs.T @ residual + strength * away

    bounds = [(low, None) for low in lowest]
    found = optimize.minimize(objective, prior, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x)


def platt(logits: Floats, labels: Floats) -> tuple[float, float]:
    """Return slope and intercept that calibrate log-odds (Platt 1999, with his smoothed targets)."""
    positive = labels > 0.5
    high, low = (positive.sum() + 1) / (positive.sum() + 2), 1 / ((~positive).sum() + 2)
    target = np.where(positive, high, low)

    def objective(point: Doubles) -> tuple[float, Doubles]:
        values = point[0] * logits + point[1]
        residual = special.expit(values) - target
        loss = float(np.sum(np.logaddexp(0, values) - target * values))
        return loss, np.array([residual @ logits, residual.sum()])

    found = optimize.minimize(objective, np.array([1.0, 0.0]), jac=True, method="BFGS")
    return float(found.x[0]), float(found.x[1])


def beside(judge: Network, head: Network) -> Network:
    """Return a judge whose output of the name of `head` is that of `head`, by hidden units of its own."""
    column = judge.names.index(head.names[0])
    outer = np.vstack([judge.outer, np.zeros((len(head.outer), len(judge.names)), np.float32)])
    outer[: len(judge.outer), column] = 0.0
    outer[len(judge.outer) :, column] = head.outer[:, 0]
    bias = judge.outer_bias.copy()
    bias[column] = head.outer_bias[0]
    return replace(
        judge,
        inner=np.hstack([judge.inner, head.inner]),
        inner_bias=np.concatenate([judge.inner_bias, head.inner_bias]),
        outer=outer,
        outer_bias=bias,
    )
