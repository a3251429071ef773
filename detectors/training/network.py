"""The heads on the sentence encoder: one hidden layer, one output per head.

A text has the score of its highest window.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from detectors.models.network import Network
from detectors.models.windows import highest
from detectors.training.vectors import Halves, Ints, Vectors

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to learn."""

    hidden: int = 256
    epochs: int = 4
    batch: int = 512
    """Texts."""
    rate: float = 1e-3
    decay: float = 1e-4
    dropout: float = 0.3
    mixing: float = 0.3
    """Parameter of the beta distribution that says how much of another text is mixed in; 0 for never."""
    seed: int = 7


def fit(
    features: Halves, vectors: Vectors, labels: Floats, weights: Floats, plan: Plan, names: tuple[str, ...]
) -> Network:
    """Return the network for raw features, fitted on the texts that have a weight.

    Args:
        features: shape (windows, features).
        vectors: says which windows are whose.
        labels: shape (texts, heads), NaN where unknown.
        weights: shape (texts, heads), 0 where unknown or not to be seen.
        plan: of the descent.
        names: of the heads.

    """
    torch.manual_seed(plan.seed)
    torch.set_num_threads(1)
    chance = np.random.default_rng(plan.seed)
    sample = features[:: max(1, len(features) // 20_000)].astype(np.float32)
    centre, spread = sample.mean(axis=0), sample.std(axis=0) + 1e-6
    net = nn.Sequential(
        nn.Linear(features.shape[1], plan.hidden),
        nn.ReLU(),
        nn.Dropout(plan.dropout),
        nn.Linear(plan.hidden, labels.shape[1]),
    )
    rows = np.flatnonzero(weights.any(axis=1) & (vectors.counts > 0))
    steps = plan.epochs * -(-len(rows) // plan.batch)
    optimiser = torch.optim.AdamW(net.parameters(), lr=plan.rate, weight_decay=plan.decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / 100) * max(0.02, 1 - step / steps)
    )
    targets = np.nan_to_num(labels)
    for _ in range(plan.epochs):
        order = chance.permutation(rows)
        for batch in np.array_split(order, -(-len(order) // plan.batch)):
            inputs = (features[vectors.rows(batch)].astype(np.float32) - centre) / spread
            known = _Known(torch.from_numpy(targets[batch]), torch.from_numpy(weights[batch]))
            loss = _loss(net, torch.from_numpy(inputs), vectors.counts[batch], known, plan, chance)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return _folded(net, centre, spread, names)


@dataclass(frozen=True, slots=True)
class _Known:
    """Labels and their weights, each of the shape (texts, heads)."""

    labels: torch.Tensor
    weights: torch.Tensor

    def loss(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of log-odds."""
        each = nn.functional.binary_cross_entropy_with_logits(scores, self.labels, reduction="none")
        return (each * self.weights).sum() / len(scores)


def _loss(
    net: nn.Sequential,
    inputs: torch.Tensor,
    counts: Ints,
    known: _Known,
    plan: Plan,
    chance: np.random.Generator,
) -> torch.Tensor:
    """Return the loss of a batch; texts of one window are mixed with each other.

    (Mixup: Zhang et al. 2018, "mixup: Beyond empirical risk minimization".)
    """
    single = np.flatnonzero(counts == 1)
    if not plan.mixing or len(single) == 0:
        return known.loss(_highest(net, inputs, counts))
    share = float(chance.beta(plan.mixing, plan.mixing))
    others = torch.from_numpy(chance.permutation(single))
    texts = torch.from_numpy(single)
    place = torch.from_numpy(np.cumsum(counts) - counts)
    mixed = inputs.clone()
    mixed[place[texts]] = share * inputs[place[texts]] + (1 - share) * inputs[place[others]]
    scores = _highest(net, mixed, counts)
    labels, weights = known.labels.clone(), known.weights.clone()
    labels[texts], weights[texts] = known.labels[others], known.weights[others]
    return share * known.loss(scores) + (1 - share) * _Known(labels, weights).loss(scores)


def scores(network: Network, features: Halves, vectors: Vectors, texts: Ints) -> Floats:
    """Return the log-odds of the highest window of some texts, (texts, outputs); -inf without a window."""
    found = np.full((len(texts), len(network.names)), -np.inf, np.float32)
    for start in range(0, len(texts), 4096):
        part = texts[start : start + 4096]
        inner = features[vectors.rows(part)].astype(np.float32) @ network.inner
        owners = np.repeat(np.arange(len(part)), vectors.counts[part])
        found[start : start + len(part)] = highest(network.outputs(inner), owners, len(part))
    return found


def by_window(network: Network, features: Halves, places: Ints) -> Floats:
    """Return the log-odds of some windows, shape (places, outputs)."""
    parts = np.array_split(places, len(places) // 8192 + 1)
    return np.concatenate(
        [network.outputs(features[part].astype(np.float32) @ network.inner) for part in parts]
    )


def _highest(net: nn.Sequential, inputs: torch.Tensor, counts: Ints) -> torch.Tensor:
    """Return the log-odds of the highest window of each text."""
    owners = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
    logits = net(inputs)
    lowest = torch.full((len(counts), logits.shape[1]), -1e9)
    return lowest.scatter_reduce(0, owners[:, None].expand(-1, logits.shape[1]), logits, "amax")


def _folded(net: nn.Sequential, centre: Floats, spread: Floats, names: tuple[str, ...]) -> Network:
    """Return the network with the standardisation of its features inside."""
    first, last = net[0], net[-1]
    inner = first.weight.detach().numpy().T / spread[:, None]
    return Network(
        names,
        inner.astype(np.float32),
        (first.bias.detach().numpy() - centre @ inner).astype(np.float32),
        last.weight.detach().numpy().T.copy(),
        last.bias.detach().numpy().copy(),
    )
