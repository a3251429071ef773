"""A batch of events with shared features, each computed at most once and only when asked for."""

from collections.abc import Sequence
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from detectors.encoder import Tokens, shared_encoder
from detectors.features import shared_embeddings
from detectors.linear import shared_heads
from schemas.events import Event, Kind


class Batch:
    """N events and their shared features: detectors ask it for texts, tokens, embeddings.

    Features are computed on first use. Call `prepare` before several threads read one batch: two that
    ask for the same feature first would both compute it (harmless, but paid twice).
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events

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
    def head_probabilities(self) -> npt.NDArray[np.float32]:
        """Shape (N, heads): all linear heads, in the order of `shared_heads().names`."""
        return shared_heads().probabilities(self.tokens)

    def prepare(self) -> Self:
        """Compute all features now and return the batch."""
        _ = (self.texts, self.is_completion, self.tokens, self.embeddings, self.head_probabilities)
        return self
