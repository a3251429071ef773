"""Logistic regression over windows with known and unknown labels, and its calibration."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from detectors.models.linear import highest
from detectors.training.matrix import Matrix

log = logging.getLogger(__name__)

L2_NGRAMS = 0.5
L2_DENSE = 0.5
ITERATIONS = 40
"""Steps of L-BFGS from zero."""
MORE_ITERATIONS = 20
"""Steps from there with the highest windows."""

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Linear:
    """Weights of one head, in the units of a `Matrix`."""

    ngrams: Floats
    dense: Floats
    bias: float

    def logits(self, matrix: Matrix) -> Floats:
        """Return the log-odds of each window."""
        return np.asarray(
            matrix.ngrams @ self.ngrams + matrix.dense @ self.dense + self.bias, dtype=np.float32
        )


@dataclass(frozen=True, slots=True)
class Task:
    """What one head learns: a label in [0, 1] for some examples."""

    examples: npt.NDArray[np.int64]
    labels: Floats


def fit(matrix: Matrix, task: Task, size: int) -> Linear:
    """Fit on all windows, then again on the highest window of each example (MI-SVM's alternation).

    Windows of a negative example are all negative, and stay; of a positive example only the highest one
    is known to be positive.
    """
    label = np.zeros(size, dtype=np.float32)
    weight = np.zeros(size, dtype=np.float32)
    label[task.examples], weight[task.examples] = task.labels, 1.0
    count = np.bincount(matrix.example, minlength=size)
    share = np.asarray(weight / np.maximum(count, 1), dtype=np.float32)[matrix.example]
    model = _solve(matrix, label[matrix.example], share)
    logits = model.logits(matrix)
    top = logits >= highest(logits, matrix.example, size)[matrix.example]
    rest = np.where(label[matrix.example] > 0, 0.0, share)
    second = np.asarray(np.where(top, weight[matrix.example], rest), dtype=np.float32)
    return _solve(matrix, label[matrix.example], second, model)


def _solve(matrix: Matrix, labels: Floats, weights: Floats, start: Linear | None = None) -> Linear:
    """Minimise the weighted logistic loss with L2 penalties by L-BFGS."""
    used = np.flatnonzero(weights)
    ngrams, dense, target, weight = matrix.ngrams[used], matrix.dense[used], labels[used], weights[used]
    transposed = ngrams.T.tocsr()
    width = ngrams.shape[1]
    penalty = np.concatenate([np.full(width, L2_NGRAMS), np.full(dense.shape[1], L2_DENSE), [0.0]])

    def objective(point: Doubles) -> tuple[float, Doubles]:
        first, second = point[:width].astype(np.float32), point[width:-1].astype(np.float32)
        logits = ngrams @ first + dense @ second + np.float32(point[-1])
        loss = float(weight @ (np.logaddexp(0, logits) - target * logits)) + 0.5 * float(penalty @ point**2)
        residual = weight * (special.expit(logits) - target)
        slope = np.concatenate([transposed @ residual, dense.T @ residual, [residual.sum()]])
        return loss, slope + penalty * point

    begin = np.zeros(width + dense.shape[1] + 1)
    if start is not None:
        begin[:] = np.concatenate([start.ngrams, start.dense, [start.bias]])
    options = {"maxiter": ITERATIONS if start is None else MORE_ITERATIONS, "maxcor": 8}
    found = optimize.minimize(objective, begin, jac=True, method="L-BFGS-B", options=options)
    log.debug("%d windows, %d steps, loss %.1f", len(used), found.nit, found.fun)
    point = found.x.astype(np.float32)
    return Linear(point[:width], point[width:-1], float(point[-1]))


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
