"""Three tiers, each for what the one before leaves in doubt.

1. The screen reads every text by the meaning of its single tokens, in any language of the vocabulary.
2. The sentence encoder reads the windows that the screen does not find plainly ordinary.
3. A small transformer, which knows English only, reads the English ones of these that the encoder is not sure
   of; both log-odds are combined (Platt scaling with two inputs, a stacked generalisation: Wolpert 1992).

So nothing scores high unless the encoder has read it, and most ordinary traffic pays for one sparse product.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from detectors.models.embeddings import Floats
from detectors.models.network import Network
from detectors.models.pieces import Pieces
from detectors.models.screen import ENGLISH, GATE, Screen
from detectors.models.sentence_encoder import Ids, SentenceEncoder
from detectors.models.tokenizer import Encoder, Tokens
from detectors.models.transformer import WINDOW, Transformer
from detectors.models.windows import Windows, highest, windows

MAX_WINDOWS = 4
"""Windows of one text that the encoder reads, at most: the most suspicious ones."""

Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the cascade says about N texts."""

    probabilities: Floats
    """Shape (N, heads), in the order of `Cascade.names`; 0 for a text without tokens."""
    deciding: Rows
    """Shape (N, heads): first piece of the window where the head is highest; -1 where no window was read."""
    windows: Rows
    """Shape (N,): windows that the transformer has read."""
    left_out: Bools
    """Shape (N,): in doubt, and yet a tier has not read it."""

    @classmethod
    def none(cls, heads: int) -> Self:
        """Return those on no text."""
        rows = np.zeros(0, np.int64)
        return cls(np.zeros((0, heads), np.float32), np.zeros((0, heads), np.int64), rows, rows > 0)

    @property
    def by_encoder(self) -> Bools:
        """Shape (N,): the encoder has read the text."""
        return self.deciding[:, 0] >= 0

    @property
    def by_transformer(self) -> Bools:
        """Shape (N,): the transformer has read the text, too."""
        return self.windows > 0

    def raise_to(self, places: Sequence[int], other: "Verdicts") -> None:
        """Let the texts at `places` have the higher of their own and the other probabilities."""
        self.probabilities[places] = np.maximum(self.probabilities[places], other.probabilities)
        self.windows[places] += other.windows
        self.left_out[places] |= other.left_out


@dataclass(frozen=True, slots=True)
class Reading:
    """What the tiers say about the windows of N texts that the encoder has read, before they are joined."""

    spans: Windows
    first: Floats
    """Shape (windows, outputs of the screen)."""
    rows: Rows
    """Shape (read,): the windows that the encoder has read, ascending."""
    encoder: Floats
    """Shape (read, heads): log-odds."""
    transformer: Floats
    """Shape (read, heads); NaN where it has not read the window."""
    left_out: Bools
    """Shape (N,)."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which log-odds on the next tier reads."""

    gate: float
    """Of the screen's gate."""
    doubt: float
    """Of any head of the screen, whatever its gate says."""
    unsure: Floats
    """Shape (heads,): of a head of the encoder."""


@dataclass(frozen=True, slots=True)
class Cascade:
    """All tiers. For a window that the transformer has read,
    P(head) = sigmoid(weights[0] * transformer + weights[1] * encoder + weights[2]), of log-odds."""

    tokenizer: Encoder
    """The transformer's."""
    pieces: Pieces
    screen: Screen
    encoder: SentenceEncoder
    heads: Network
    """On the encoder's features."""
    transformer: Transformer
    weights: Floats
    """Shape (3, heads)."""
    thresholds: Thresholds

    @classmethod
    def load(cls, folder: Path, tokenizer: Encoder, threads: int = 1) -> Self:
        """Return the cascade of the files in `folder`; `threads` windows are read at once."""
        encoder = SentenceEncoder.load(folder, threads)
        with np.load(folder / "cascade.npz", allow_pickle=False) as arrays:
            return cls(
                tokenizer,
                Pieces.load(folder / "pieces.json"),
                Screen(Network.load(folder / "screen.npz"), encoder),
                encoder,
                Network.load(folder / "judge.npz"),
                Transformer.load(folder / "transformer.onnx", threads),
                arrays["weights"],
                Thresholds(float(arrays["gate"]), float(arrays["doubt"]), arrays["unsure"]),
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The heads, in the order of the columns."""
        return self.heads.names

    def judge(
        self,
        texts: Sequence[str],
        limit: int = MAX_WINDOWS,
        cheaply: Bools | None = None,
        deadline: float = math.inf,
    ) -> Verdicts:
        """Return the verdicts on N texts; none depends on the other texts.

        Args:
            texts: are read as far as `tokenizer.MAX_CHARACTERS`.
            limit: windows of one text that the encoder reads, at most.
            cheaply: shape (N,): texts of which the encoder reads one window, and the transformer none.
            deadline: by `time.monotonic`; no tier reads a text that it cannot finish before, in order.

        """
        if not texts:
            return Verdicts.none(len(self.names))  # most batches hide nothing and have no contexts
        found = self.read(texts, limit, cheaply, deadline)
        joined = self.weights[0] * found.transformer + self.weights[1] * found.encoder + self.weights[2]
        by_transformer = ~np.isnan(found.transformer[:, 0])
        by_window = np.where(by_transformer[:, None], joined, found.encoder)
        owners = found.spans.texts[found.rows]
        log_odds = highest(found.first[:, self.columns], found.spans.texts, len(texts))
        read = np.unique(owners)
        log_odds[read] = highest(by_window, owners, len(texts))[read]
        counted = np.bincount(owners[by_transformer], minlength=len(texts))
        return Verdicts(
            _probabilities(log_odds), _deciding(found, by_window, len(texts)), counted, found.left_out
        )

    def read(
        self,
        texts: Sequence[str],
        limit: int = MAX_WINDOWS,
        cheaply: Bools | None = None,
        deadline: float = math.inf,
    ) -> Reading:
        """Return what each tier says about each window, before they are joined; arguments as of `judge`."""
        tokens = self.pieces.encode(texts)
        spans = windows(tokens)
        cheap = np.zeros(len(texts), dtype=bool) if cheaply is None else cheaply
        first = self.screen.window_logits(tokens, spans)
        wanted = worth_reading(self.suspicion(first), spans.texts, np.where(cheap, 1, limit))
        features = self.encoder.features([spans.ids(tokens, row) for row in wanted], deadline)
        rows = _whole(wanted, len(features), spans.texts)
        encoder = self.heads.logits(features[: len(rows)])
        left_out = np.zeros(len(texts), dtype=bool)
        left_out[spans.texts[wanted[len(rows) :]]] = True
        doubtful = np.flatnonzero(
            (encoder >= self.thresholds.unsure).any(axis=1) & self._english(first[rows])
        )
        left_out[spans.texts[rows[doubtful]]] |= cheap[spans.texts[rows[doubtful]]]
        doubtful = doubtful[~cheap[spans.texts[rows[doubtful]]]]
        logits = self.transformer.logits(self._retold(texts, tokens, spans, rows[doubtful]), deadline)
        left_out[spans.texts[rows[doubtful[len(logits) :]]]] = True
        transformer = np.full(encoder.shape, np.nan, np.float32)
        transformer[doubtful[: len(logits)]] = logits
        return Reading(spans, first, rows, encoder, transformer, left_out)

    def suspicion(self, logits: Floats) -> Floats:
        """Return by how much the screen's log-odds, shape (N, outputs), exceed a threshold."""
        gate = logits[:, self.screen.names.index(GATE)] - self.thresholds.gate
        heads = logits[:, self.columns].max(axis=1, initial=-np.inf) - self.thresholds.doubt
        return np.asarray(np.maximum(gate, heads))

    @property
    def columns(self) -> list[int]:
        """Where the heads of `names` are among the outputs of the screen."""
        return [self.screen.names.index(name) for name in self.names]

    def _english(self, logits: Floats) -> Bools:
        return np.asarray(logits[:, self.screen.names.index(ENGLISH)] >= 0)

    def _retold(self, texts: Sequence[str], tokens: Tokens, spans: Windows, rows: Rows) -> list[Ids]:
        """Return the transformer's tokens for some windows, as many as it reads at once."""
        told = []
        for row in rows.tolist():
            owner, ids = int(spans.texts[row]), spans.ids(tokens, row)
            told.append(texts[owner] if len(ids) == tokens.counts[owner] else self.pieces.text(ids))
        encoded = self.tokenizer.encode(told)
        return [encoded.of(number).ids[:WINDOW] for number in range(len(told))]


def worth_reading(suspicion: Floats, texts: Rows, limits: Rows) -> Rows:
    """Return which windows to read, ascending: those above zero, of each text the most suspicious ones.

    Args:
        suspicion: shape (windows,).
        texts: shape (windows,): the text of each, ascending.
        limits: shape (texts,): windows of a text, at most.

    """
    above = np.flatnonzero(suspicion >= 0)
    order = above[np.lexsort((-suspicion[above], texts[above]))]
    owners = texts[order]
    rank = np.arange(len(order)) - np.searchsorted(owners, owners)
    return np.sort(order[rank < limits[owners]])


def _whole(wanted: Rows, count: int, texts: Rows) -> Rows:
    """Return the first `count` of the windows wanted, without those of a text that is only read in part."""
    if count < len(wanted):
        count = int(np.searchsorted(texts[wanted], texts[wanted[count]]))
    return wanted[:count]


def _probabilities(log_odds: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), dtype=np.float32)


def _deciding(found: Reading, by_window: Floats, count: int) -> Rows:
    """Return the first piece of the window where each head is highest, shape (count, heads); -1 unread."""
    spans = found.spans
    begins = spans.blocks[spans.first]
    deciding = np.full((count, by_window.shape[1]), -1, dtype=np.int64)
    texts, starts = np.unique(spans.texts[found.rows], return_index=True)
    for text, scores, rows in zip(
        texts.tolist(), np.split(by_window, starts[1:]), np.split(found.rows, starts[1:]), strict=False
    ):
        text_begins = begins[np.searchsorted(spans.texts, text)]
        deciding[text] = begins[rows[scores.argmax(axis=0)]] - text_begins
    return deciding
