"""A batch of events with shared features, each computed at most once and only when asked for."""

from collections.abc import Sequence
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from detectors.cascade import Verdicts, shared_cascade
from detectors.encoder import Tokens, shared_encoder
from detectors.features import shared_embeddings
from detectors.normalise import Reading, readings
from detectors.occlusion import Occlusion, occlude
from schemas.events import Event, Kind

MAX_CONTEXTS = 16
"""Contexts of an event that are judged by themselves, so that its cost is bounded."""
ASIDE = 2
"""Windows that the transformer reads, at most, of a context or of another reading of a text."""


class Batch:
    """N events and their shared features: detectors ask it for texts, tokens, embeddings.

    Features are computed on first use. Call `prepare` before several threads read one batch: two that
    ask for the same feature first would both compute it (harmless, but paid twice).
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self._occlusions: dict[tuple[int, int], Occlusion] = {}

    @classmethod
    def of_texts(cls, texts: Sequence[str], kind: Kind = "prompt") -> Self:
        """Return a batch of bare texts, for the command line, training and tests."""
        return cls([Event(event_id=f"text-{i}", app="-", kind=kind, text=t) for i, t in enumerate(texts)])

    def __len__(self) -> int:
        return len(self.events)

    @cached_property
    def texts(self) -> list[str]:
        """The texts, as published."""
        return [event.text for event in self.events]

    @cached_property
    def is_completion(self) -> npt.NDArray[np.bool_]:
        """Shape (N,): the row is a completion, not a prompt."""
        return np.fromiter(
            (event.kind == "completion" for event in self.events), dtype=bool, count=len(self.events)
        )

    @cached_property
    def tokens(self) -> Tokens:
        """The tokens of each text's first `MAX_CHARACTERS` characters, flat, with N + 1 row offsets."""
        return shared_encoder().encode(self.texts)

    @cached_property
    def embeddings(self) -> npt.NDArray[np.float32]:
        """Shape (N, D), L2-normalised; zeros for a text without tokens."""
        return shared_embeddings().embed(self.tokens)

    @cached_property
    def verdicts(self) -> Verdicts:
        """What the cascade says about the texts as they stand."""
        return shared_cascade().judge(self.tokens)

    @property
    def in_doubt(self) -> int:
        """How many of the texts the transformer has read; 0 where no verdict was asked for."""
        verdicts: Verdicts | None = self.__dict__.get("verdicts")
        return 0 if verdicts is None else int(verdicts.by_transformer.sum())

    def occlusion(self, row: int, start: int) -> Occlusion:
        """What the phrases of a row's window at token `start` add; read once for all who explain the row."""
        if (row, start) not in self._occlusions:
            words = shared_encoder().words(self.texts[row])
            self._occlusions[row, start] = occlude(shared_cascade(), self.tokens.of(row), words, start)
        return self._occlusions[row, start]

    @cached_property
    def hidden(self) -> list[tuple[int, Reading]]:
        """Every other reading of a text (decoded, without invisible characters, ...), with its row."""
        return [(row, reading) for row, text in enumerate(self.texts) for reading in readings(text)]

    @cached_property
    def hidden_probabilities(self) -> npt.NDArray[np.float32]:
        """Shape (len(hidden), heads)."""
        return _judge([reading.text for _, reading in self.hidden])

    @cached_property
    def head_probabilities(self) -> npt.NDArray[np.float32]:
        """Shape (N, heads), in the order of `shared_cascade().names`: the highest of a text's readings."""
        found = self.verdicts.probabilities
        if self.hidden:
            found = found.copy()
            np.maximum.at(found, [row for row, _ in self.hidden], self.hidden_probabilities)
        return found

    @cached_property
    def passages(self) -> list[tuple[int, int, str]]:
        """The row, the number and the text of the contexts of every event.

        Beyond `MAX_CONTEXTS` the contexts of an event are judged as one text, under the number of the first.
        """
        found = []
        for row, event in enumerate(self.events):
            texts = event.contexts[: MAX_CONTEXTS - 1]
            if rest := event.contexts[MAX_CONTEXTS - 1 :]:
                texts += ("\n".join(rest),)
            found += [(row, number, text) for number, text in enumerate(texts)]
        return found

    @cached_property
    def passage_probabilities(self) -> npt.NDArray[np.float32]:
        """Shape (len(passages), heads): what was retrieved: as it stands or, if higher, what it hides."""
        texts = [text for _, _, text in self.passages]
        found = _judge(texts)
        hidden = {number: others for number, text in enumerate(texts) if (others := readings(text))}
        if hidden:
            joined = ["\n".join(other.text for other in others) for others in hidden.values()]
            rows = list(hidden)
            found[rows] = np.maximum(found[rows], _judge(joined))
        return found

    def prepare(self, *features: str) -> Self:
        """Compute the features of these names now and return the batch."""
        for feature in features:
            getattr(self, feature)
        return self


def _judge(texts: list[str]) -> npt.NDArray[np.float32]:
    if not texts:
        return np.zeros((0, len(shared_cascade().names)), dtype=np.float32)
    return shared_cascade().judge(shared_encoder().encode(texts), ASIDE).probabilities
