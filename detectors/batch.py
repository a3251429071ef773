"""A batch of events with shared features, each computed at most once and only when asked for."""

import math
import time
from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from detectors.deobfuscation.readings import Reading, readings
from detectors.excerpt import excerpt, few_metadata
from detectors.models.cascade import MAX_WINDOWS, Verdicts
from detectors.models.languages import language
from detectors.models.occlusion import Occlusion, occlude
from detectors.models.tokenizer import Tokens, Words
from detectors.models.weights import Models
from detectors.privacy.finders import FINDERS, Findings, Found, carried
from detectors.privacy.views import Find, Views, views
from detectors.steps.lanes import beat
from detectors.steps.lazy import lazy
from schemas.events import Event, Kind

MAX_CONTEXTS = 16
"""Contexts of an event that are judged by themselves, so that its cost is bounded."""
ASIDE = 2
"""Windows that are read, at most, of a context or of another reading of a text."""

RESERVE_S = 0.3
"""Before a deadline, for the windows that are being read (some 50 ms) and all that rests on them. With 0.1 a
busy machine missed it half of the time, and every head failed."""

FEATURES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "tokens": (),
        "languages": (),
        "embeddings": ("tokens",),
        "verdicts": (),
        "hidden": (),
        "views": ("hidden",),
        "hidden_verdicts": ("hidden",),
        "head_probabilities": ("verdicts", "hidden_verdicts"),
        "passages": (),
        "passage_verdicts": ("passages",),
    }
)
"""What detectors can share, each with the features that it is made of, in the order of their making."""
READ: Final = frozenset({"verdicts", "hidden_verdicts", "passage_verdicts"})
"""Features that the transformer reads for: as long as a deadline allows, so they are made last."""

Bools = npt.NDArray[np.bool_]


class Depth(IntEnum):
    """How closely an event is read."""

    FULL = 0
    CHEAP = 1
    """One window by the sentence encoder, and none by the transformer."""
    EXCERPT = 2
    """The same, and only the first characters of each text (see `detectors.excerpt`)."""


class Batch:
    """N events and their shared features: detectors ask it for texts, tokens, embeddings.

    Args:
        events: the N events.
        models: what tokens, embeddings and verdicts come from.
        depths: how closely each is to be read; all of them in full if not given.
        reading_s: seconds that the cascade may take for one feature; what a tier has not read then is judged
            by those before it. Without a limit scores do not depend on what else is in the batch.
        deadline: by `time.monotonic`, for all features and detectors together: what is not there by then has
            failed. The cascade stops before, so that what it has read still counts.

    """

    def __init__(
        self,
        events: Sequence[Event],
        models: Models,
        depths: Sequence[Depth] | None = None,
        reading_s: float = math.inf,
        deadline: float = math.inf,
    ) -> None:
        self.models = models
        self.published = events
        """The events in full, whatever is read of them."""
        self.depths = np.array(depths if depths is not None else [Depth.FULL] * len(events), dtype=np.int8)
        self.events: Sequence[Event] = events
        """The events as they are read."""
        if (self.depths == Depth.EXCERPT).any():
            cut = self.depths == Depth.EXCERPT
            self.events = [excerpt(each) if short else each for each, short in zip(events, cut, strict=True)]
        self._reading_s = reading_s
        self.deadline = deadline
        left_s = deadline - time.monotonic()
        self._read_until = deadline - min(RESERVE_S, left_s / 2) if left_s < math.inf else math.inf
        self._occlusions: dict[tuple[int, int], Occlusion] = {}
        self._words: dict[int, Words] = {}
        self._found: dict[Find, Found] = {}

    @classmethod
    def of_texts(cls, texts: Sequence[str], models: Models, kind: Kind = "prompt") -> Self:
        """Return a batch of bare texts, for the command line, training and tests."""
        events = [Event(event_id=f"text-{i}", app="-", kind=kind, text=t) for i, t in enumerate(texts)]
        return cls(events, models)

    def __len__(self) -> int:
        return len(self.events)

    def prepare(self, *features: str) -> Self:
        """Compute the features of these names now and return the batch."""
        for feature in features:
            getattr(self, feature)
        return self

    def view(self) -> Self:
        """Return the same batch with the features that are there; what is computed later is its own."""
        view = object.__new__(type(self))
        own = {name: self.__dict__[name].copy() for name in ("_occlusions", "_words", "_found")}
        view.__dict__.update(self.__dict__ | own)
        return view

    def has(self, feature: str) -> bool:
        """Return whether a feature is there, computed or kept."""
        return feature in self.__dict__

    def keep(self, feature: str, value: Any) -> None:
        """Take over a feature that a view has computed."""
        self.__dict__[feature] = value

    @lazy
    def texts(self) -> list[str]:
        """The texts, as far as they are read."""
        return [event.text for event in self.events]

    @lazy
    def lengths(self) -> npt.NDArray[np.int64]:
        """Shape (N,): characters of each text as published."""
        return np.fromiter((len(event.text) for event in self.published), dtype=np.int64, count=len(self))

    @lazy
    def is_completion(self) -> Bools:
        """Shape (N,): the row is a completion, not a prompt."""
        return np.fromiter(
            (event.kind == "completion" for event in self.events), dtype=bool, count=len(self.events)
        )

    @lazy
    def tokens(self) -> Tokens:
        """The tokens of each text's first `MAX_CHARACTERS` characters, flat, with N + 1 row offsets."""
        return self.models.encoder.encode(self.texts)

    @lazy
    def languages(self) -> list[str]:
        """The language of each text, ISO 639-1; empty where it is not known."""
        return list(map(language, self.texts))

    @lazy
    def embeddings(self) -> npt.NDArray[np.float32]:
        """Shape (N, D), L2-normalised; zeros for a text without tokens."""
        return self.models.embeddings.embed(self.tokens)

    @lazy
    def verdicts(self) -> Verdicts:
        """What the cascade says about the texts as they stand."""
        return self._judge(self.texts, range(len(self)), MAX_WINDOWS)

    @property
    def in_doubt(self) -> int:
        """How many of the texts the transformer has read; 0 where no verdict was asked for."""
        verdicts: Verdicts | None = self.__dict__.get("verdicts")
        return 0 if verdicts is None else int(verdicts.by_transformer.sum())

    def words(self, row: int) -> Words:
        """The words of a row's text; found once for all who explain the row."""
        if row not in self._words:
            self._words[row] = self.models.encoder.words(self.texts[row])
        return self._words[row]

    def occlusion(self, row: int, start: int) -> Occlusion:
        """What the phrases of a row's window at piece `start` add; read once for all who explain the row."""
        if (row, start) not in self._occlusions:
            self._occlusions[row, start] = occlude(self.models.cascade, self.texts[row], start)
        return self._occlusions[row, start]

    @lazy
    def hidden(self) -> list[tuple[int, Reading]]:
        """Every other reading of a text (decoded, without invisible characters, ...), with its row."""
        return [(row, reading) for row, text in enumerate(self.texts) for reading in readings(text)]

    @lazy
    def views(self) -> dict[str, Views]:
        """The ways to read every text that the events carry: what finders look at."""
        others: list[list[Reading]] = [[] for _ in self.texts]
        for row, reading in self.hidden:
            others[row].append(reading)
        found: dict[str, Views] = {}
        for text, known in zip(self.texts, others, strict=True):
            found[text] = views(text, known)
            beat()
        for event, is_short in zip(self.events, self.shortened().tolist(), strict=True):
            for text in carried(few_metadata(event) if is_short else event):
                if text not in found:
                    found[text] = views(text)
                    beat()
        return found

    def found(self, find: Find) -> Found:
        """What `find` sees in every text that the events carry: searched once for all who ask."""
        if find not in self._found:
            self._found[find] = Found.search(find, self.views)
        return self._found[find]

    @lazy
    def findings(self) -> Findings:
        """What is to be protected in the texts of the events; a runner adds what its detectors find."""
        return Findings([self.found(find) for find in FINDERS], self.views)

    def keep_found(self, find: Find, found: Found) -> None:
        """Take over what a finder has seen in a view."""
        self._found[find] = found

    @lazy
    def hidden_verdicts(self) -> Verdicts:
        """What the cascade says about each of `hidden`."""
        rows = [row for row, _ in self.hidden]
        return self._judge([reading.text for _, reading in self.hidden], rows, ASIDE)

    @lazy
    def head_probabilities(self) -> npt.NDArray[np.float32]:
        """Shape (N, heads), in the order of `Cascade.names`: the highest of a text's readings."""
        found = self.verdicts.probabilities
        if self.hidden:
            found = found.copy()
            np.maximum.at(found, [row for row, _ in self.hidden], self.hidden_verdicts.probabilities)
        return found

    @lazy
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

    @lazy
    def passage_verdicts(self) -> Verdicts:
        """What the cascade says about each of `passages`: as it stands or, if higher, what it hides."""
        texts, rows = [text for _, _, text in self.passages], [row for row, _, _ in self.passages]
        found = self._judge(texts, rows, ASIDE)
        hidden = {number: others for number, text in enumerate(texts) if (others := readings(text))}
        if hidden:
            joined = ["\n".join(other.text for other in others) for others in hidden.values()]
            found.raise_to(list(hidden), self._judge(joined, [rows[number] for number in hidden], ASIDE))
        return found

    def windows(self) -> npt.NDArray[np.int64]:
        """Shape (N,): windows that the transformer has read of all texts of an event."""
        found = np.zeros(len(self), dtype=np.int64)
        for rows, verdicts in self._judged():
            np.add.at(found, rows, verdicts.windows)
        return found

    def left_out(self) -> Bools:
        """Shape (N,): a text of the event was in doubt, and was judged by the linear heads alone."""
        found = np.zeros(len(self), dtype=bool)
        for rows, verdicts in self._judged():
            np.logical_or.at(found, rows, verdicts.left_out)
        return found

    def shortened(self) -> Bools:
        """Shape (N,): only a part of the event was read."""
        pairs = zip(self.events, self.published, strict=True)
        return np.fromiter((read is not whole for read, whole in pairs), dtype=bool, count=len(self))

    def _judged(self) -> list[tuple[list[int], Verdicts]]:
        """Return the verdicts that are there, each with the rows that they are about."""
        found: list[tuple[list[int], Verdicts]] = []
        if self.has("verdicts"):
            found.append((list(range(len(self))), self.verdicts))
        if self.has("hidden_verdicts"):
            found.append(([row for row, _ in self.hidden], self.hidden_verdicts))
        if self.has("passage_verdicts"):
            found.append(([row for row, _, _ in self.passages], self.passage_verdicts))
        return found

    def _judge(self, texts: Sequence[str], rows: Sequence[int], limit: int) -> Verdicts:
        cheaply = self.depths[list(rows)] > Depth.FULL
        deadline = min(time.monotonic() + self._reading_s, self._read_until)
        return self.models.cascade.judge(texts, limit, cheaply, deadline)
