"""Which examples teach, and how much each weighs: by source, not by row."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from detectors.training.corpus import Example
from detectors.training.families import ALWAYS
from detectors.training.written import CHALLENGE

MOST = 400
"""Rows of a source that are taken, of each language and of either kind (some label positive, none)."""
WHOLE = ("written", CHALLENGE, "grammar_buried", "grammar_not_buried")
"""Sources of which all rows are taken, by prefix."""
POWER = 0.7
"""A source of n rows weighs n to the power of this."""
WEAK = 0.6
"""Weight of a label that is assumed, and of those of a source that knows one label only."""

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


def sample(examples: Sequence[Example]) -> list[Example]:
    """Return all examples of `WHOLE` and at most `MOST` of each other source, language and kind.

    Which ones are taken of a source does not depend on what other sources there are.
    """
    found: Counter[tuple[str, str, bool]] = Counter()
    kept = []
    digests = [hashlib.sha256(example.text.encode("utf-8", "surrogatepass")).digest() for example in examples]
    for place in sorted(range(len(examples)), key=digests.__getitem__):
        example = examples[place]
        kind = example.source, example.lang, max(example.labels.values(), default=0.0) > 0.5
        found[kind] += 1
        if found[kind] <= MOST or example.source.startswith(WHOLE):
            kept.append(place)
    return [examples[place] for place in sorted(kept)]


def weigh(labels: Floats, sources: npt.NDArray[np.str_], weak: Mask, rows: Mask) -> Floats:
    """Return the weight of each label of `rows`, shape (N, heads): 0 where unknown, else 1 on average."""
    weights = np.zeros_like(labels)
    _, source = np.unique(sources, return_inverse=True)
    size = int(source.max(initial=0)) + 1
    for head, column in enumerate(labels.T):
        known = rows & ~np.isnan(column)
        if not known.any():
            continue
        count = np.bincount(source[known], minlength=size)
        positive = np.bincount(source[known & (column > 0.5)], minlength=size)
        share = np.maximum(count, 1) ** (POWER - 1)
        share *= np.where((positive == 0) | (positive == count), WEAK, 1.0)
        weight = share[source] * np.where(weak, WEAK, 1.0)
        weights[known, head] = weight[known] / weight[known].mean()
    return weights


def own(sources: npt.NDArray[np.str_]) -> Mask:
    """Return which examples are our own."""
    return np.array([source.startswith(ALWAYS) for source in sources.tolist()], dtype=bool)
