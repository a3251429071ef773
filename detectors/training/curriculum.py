"""Which examples the transformer reads, how often, and which part of a long one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.training.corpus import NATURAL
from detectors.training.pool import Pool
from detectors.training.written import WRITTEN

SHARES = {
    "wiki_cat": 0.25,
    "ubuntu_irc": 0.15,
    "clinc150": 0.3,
    "stereoset": 0.5,
    NATURAL: 0.6,
    "jigsaw_train_enriched": 0.7,
    "gsm8k": 0.5,
    "documents_": 0.6,
    "dolly_": 0.6,
    "edos": 0.6,
}
"""Share of the harmless texts of plentiful sources that an epoch takes, by prefix; of all others, all."""
THINNED = {
    "davidson": 0.6,
    "gptfuzz_responses": 0.35,
    "civil": 0.7,
    "grammar_buried": 0.6,
    "seegull": 0.3,
    "grammar_states": 0.3,
}
"""Share of all texts of sources that are large for what they teach, by prefix."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the training with a learning rate that rises and falls."""

    budget: int
    """Tokens that are read, special ones included."""
    rate: float
    repeats: int
    """How often an epoch takes each of our own texts."""
    share: float = 1.0
    """Share of all other texts that an epoch takes, after their sources' own shares."""


PHASES = (
    Phase(budget=3_600_000, rate=1.5e-4, repeats=3),
    Phase(budget=1_200_000, rate=7e-5, repeats=2, share=0.2),
)
"""How the shipped transformer learns: everything, then mostly our own texts, with some of the rest against
forgetting."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One epoch: rows of the examples and the token where each is begun, both of shape (n,)."""

    rows: Ints
    starts: Ints


def epochs(pool: Pool, fit: Ints, phase: Phase, window: int, seed: int) -> list[Reading]:
    """Return readings that sum to the phase's budget of tokens, drawn from the rows `fit`.

    A harmless text longer than a window is begun anywhere, the others at their first token: what makes
    them positive may not be in another part. Nor need it be in the first: a document whose first window
    also begins one without the attack is left out.
    """
    fit = fit[~_begun_alike(pool, fit, window)]
    chance = np.random.default_rng(seed)
    sources, counts, positive = pool.source.tolist(), pool.tokens.counts, pool.positive
    shares = np.where(positive, 1.0, _by_prefix(SHARES, sources)) * _by_prefix(THINNED, sources)
    own = pool.of(WRITTEN)
    shares = np.where(own, 1.0, shares * phase.share)
    repeats = np.where(own, phase.repeats, 1)
    lengths = np.minimum(counts, window) + 2
    if not len(fit):
        raise SystemExit("no text has a label to train on: does --data name the right folder?")
    found, left = [], phase.budget
    while left > 0:
        kept = fit[chance.random(len(fit)) < shares[fit]]
        rows = chance.permutation(np.repeat(kept, repeats[kept]))
        sizes = np.cumsum(lengths[rows])
        rows = rows[: int(np.searchsorted(sizes, left)) + 1]
        room = np.where(positive[rows], 0, np.maximum(counts[rows] - window, 0))
        found.append(Reading(rows, chance.integers(0, room + 1)))
        left -= int(lengths[rows].sum())
    return found


def _begun_alike(pool: Pool, rows: Ints, window: int) -> npt.NDArray[np.bool_]:
    """Return which long texts have a positive label that another of the same first window has not."""
    starts, counts = pool.tokens.offsets[rows], pool.tokens.counts[rows]
    alike: dict[bytes, list[int]] = {}
    for place in np.flatnonzero(counts >= window).tolist():
        first = pool.tokens.ids[starts[place] : starts[place] + window].tobytes()
        alike.setdefault(first, []).append(place)
    found = np.zeros(len(rows), dtype=bool)
    for places in alike.values():
        labels = pool.labels[rows[places]]
        contradicted = (labels == 1) & (labels == 0).any(axis=0)
        found[places] = contradicted.any(axis=1) & (counts[places] > window)
    return found


def _by_prefix(values: Mapping[str, float], sources: list[str]) -> npt.NDArray[np.float64]:
    return np.array([next((v for p, v in values.items() if source.startswith(p)), 1.0) for source in sources])
