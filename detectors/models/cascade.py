"""Two tiers: linear heads judge every text, a small transformer those that are not plainly ordinary.

The linear heads read every token. A text whose gate, itself a linear head, or any of whose heads is above
a low threshold goes to the transformer; both tiers' log-odds are then combined and calibrated (Platt
scaling with two inputs, a stacked generalisation: Wolpert 1992). So nothing scores high unless the
transformer has read it, and ordinary traffic pays for one sparse product.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from detectors.models.embeddings import Floats
from detectors.models.linear import BLOCK, LinearHeads, highest, windows
from detectors.models.tokenizer import Tokens
from detectors.models.transformer import STRIDE, WINDOW, Transformer, window, window_starts

GATE = "gate"
"""The linear head that says whether a text needs the transformer."""
MAX_WINDOWS = 6
"""Windows of one text that the transformer reads, at most: those that are above a threshold themselves."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the cascade says about N texts."""

    probabilities: Floats
    """Shape (N, heads), in the order of `Cascade.names`; 0 for a text without tokens."""
    deciding: npt.NDArray[np.int64]
    """Shape (N, heads): first token of the window where the transformer's head is highest; -1 unread."""
    windows: npt.NDArray[np.int64]
    """Shape (N,): windows that the transformer has read."""
    left_out: Bools
    """Shape (N,): in doubt, and yet judged by the linear heads alone."""

    @property
    def by_transformer(self) -> Bools:
        """Shape (N,): the transformer has read the text."""
        return self.deciding[:, 0] >= 0

    def raise_to(self, places: Sequence[int], other: "Verdicts") -> None:
        """Let the texts at `places` have the higher of their own and the other probabilities."""
        self.probabilities[places] = np.maximum(self.probabilities[places], other.probabilities)
        self.windows[places] += other.windows
        self.left_out[places] |= other.left_out


@dataclass(frozen=True, slots=True)
class Tiers:
    """Log-odds of both tiers for N texts, each of shape (N, heads)."""

    linear: Floats
    """-inf for a text without tokens."""
    transformer: Floats
    """The highest of the windows that were read; NaN for a text that was not."""
    deciding: npt.NDArray[np.int64]
    """First token of the window where the transformer's head is highest; -1 unread."""
    windows: npt.NDArray[np.int64]
    """Shape (N,): windows that were read."""
    left_out: Bools
    """Shape (N,): the text was in doubt, and was not read."""


@dataclass(frozen=True, slots=True)
class Cascade:
    """Both tiers. For a text that the transformer has read,
    P(head) = sigmoid(weights[0] * transformer + weights[1] * linear + weights[2]), of log-odds."""

    linear: LinearHeads
    transformer: Transformer
    weights: Floats
    """Shape (3, heads)."""
    gate: float
    """Log-odds of the gate from which on the transformer reads a text."""
    doubt: float
    """Log-odds of any head from which on it does, whatever the gate says."""

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Return the cascade of the files in `folder`; its transformer reads `threads` windows at once."""
        with np.load(folder / "cascade.npz", allow_pickle=False) as arrays:
            return cls(
                LinearHeads.load(folder / "heads.npz"),
                Transformer.load(folder / "transformer.onnx", threads),
                arrays["weights"],
                float(arrays["gate"]),
                float(arrays["doubt"]),
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The heads, in the order of the columns."""
        return self.transformer.names

    def judge(
        self,
        tokens: Tokens,
        limit: int = MAX_WINDOWS,
        cheaply: Bools | None = None,
        deadline: float = math.inf,
    ) -> Verdicts:
        """Return the verdicts on each text; none depends on the other texts.

        Args:
            tokens: of N texts.
            limit: windows of one text that the transformer reads, at most.
            cheaply: shape (N,): texts that it does not read even if they are in doubt.
            deadline: by `time.monotonic`; it reads no text that it cannot finish before, in order.

        """
        tiers = self.read(tokens, limit, cheaply, deadline)
        read = tiers.deciding[:, 0] >= 0
        both = self.weights[0] * tiers.transformer[read] + self.weights[1] * tiers.linear[read]
        log_odds = tiers.linear.copy()
        log_odds[read] = both + self.weights[2]
        probabilities = 1.0 / (1.0 + np.exp(-log_odds))
        return Verdicts(probabilities.astype(np.float32), tiers.deciding, tiers.windows, tiers.left_out)

    def read(
        self,
        tokens: Tokens,
        limit: int = MAX_WINDOWS,
        cheaply: Bools | None = None,
        deadline: float = math.inf,
    ) -> Tiers:
        """Return what each tier says about each text, before they are joined; arguments as of `judge`."""
        heads, doubtful = self._first(tokens, limit)
        found = np.full(heads.shape, np.nan, dtype=np.float32)
        deciding = np.full(heads.shape, -1, dtype=np.int64)
        windows = np.zeros(len(tokens), dtype=np.int64)
        left_out = np.zeros(len(tokens), dtype=bool)
        if cheaply is not None:
            left_out[[row for row in doubtful if cheaply[row]]] = True
        wanted = {row: starts for row, starts in doubtful.items() if not left_out[row]}
        places = [(row, start) for row, starts in wanted.items() for start in starts]
        logits = self.transformer.logits([window(tokens, row, start) for row, start in places], deadline)
        done = 0
        for row, starts in wanted.items():
            own = logits[done : done + len(starts)]
            done += len(starts)
            if len(own) < len(starts):
                left_out[row] = True
                continue
            windows[row] = len(starts)
            found[row], deciding[row] = own.max(axis=0), np.array(starts)[own.argmax(axis=0)]
        return Tiers(heads, found, deciding, windows, left_out)

    def _first(self, tokens: Tokens, limit: int) -> tuple[Floats, dict[int, list[int]]]:
        """Return the linear log-odds (N, heads), and the windows to read of each text that is in doubt."""
        spans = windows(tokens)
        by_window = self.linear.window_logits(tokens, spans)
        suspicion = self.suspicion(by_window)
        begins = np.searchsorted(spans.texts, np.arange(len(tokens) + 1))
        doubtful = {}
        for row in np.unique(spans.texts[suspicion >= 0]).tolist():
            count = len(window_starts(int(tokens.counts[row])))
            places = worth_reading(suspicion[begins[row] : begins[row + 1]], count, limit)
            doubtful[row] = [place * STRIDE for place in places]
        return highest(by_window, spans.texts, len(tokens))[:, self.columns], doubtful

    def suspicion(self, logits: Floats) -> Floats:
        """Return by how much log-odds of all linear heads, shape (N, linear heads), exceed a threshold."""
        gate = logits[:, self.linear.names.index(GATE)] - self.gate
        heads = logits[:, self.columns].max(axis=1, initial=-np.inf) - self.doubt
        return np.asarray(np.maximum(gate, heads))

    @property
    def columns(self) -> list[int]:
        """Where the heads of `names` are among those of `linear`."""
        return [self.linear.names.index(name) for name in self.names]


def worth_reading(suspicion: Floats, count: int, limit: int = MAX_WINDOWS) -> list[int]:
    """Return which of the transformer's `count` windows to read, at most `limit`, in order.

    `suspicion` is by how much each of the linear windows, which begin every half stride, exceeds its
    threshold. Windows are taken, the most suspicious first, until every linear window above zero is covered.
    """
    left = np.where(suspicion >= 0, suspicion, -np.inf)
    found: list[int] = []
    while len(found) < limit and np.isfinite(left.max()):
        at = int(left.argmax()) * BLOCK // STRIDE
        # Of the two windows that hold it, the one that covers most of what is left.
        held = [place for place in (at, at - 1) if 0 <= place < count]
        best = max(held, key=lambda place: int((left[_covered(place)] >= 0).sum()))
        found.append(best)
        left[_covered(best)] = -np.inf
    return sorted(found) or [0]


def _covered(place: int) -> slice:
    """Return the linear windows that lie in a window of the transformer, but for its last two tokens."""
    first = place * STRIDE // BLOCK
    return slice(first, first + WINDOW // BLOCK)
