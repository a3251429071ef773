"""How well the words of a completion are covered by its contexts.

Words are compared as they are and, where one is missing, by the nearest word of the contexts in static
embeddings. The length of a word's embedding is its weight: it falls with frequency, since the table was
distilled with SIF weights (Arora et al. 2017), so that "the" weighs a tenth of "magazine". The neighbours
of every word are found when the weights are trained: at run time it is a matter of looking words up.

For scripts that put spaces between words.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from detectors.models.embeddings import Embeddings
from detectors.models.tokenizer import MAX_CHARACTERS, Encoder
from detectors.models.weights import Models

FEATURES: Final = ("sentence", "window", "numbers")
"""What `Alignment.features` gives, each 0 to 1, more is less support:

- `sentence`: weight of the least supported sentence that the contexts do not support; 0 where no sentence
  has `MIN_SENTENCE` words;
- `window`: weight of the words that are missing in the one stretch of the contexts that holds most of them;
- `numbers`: share of the distinct numbers that do not occur in the contexts.
"""

MAX_COMPLETION: Final = 50_000
"""Characters of a completion that count; of its contexts, `MAX_CHARACTERS` together."""
UNKNOWN_WEIGHT: Final = 7.5
"""Of a word that is none of the vocabulary's: as rare as any."""
CONTENT_WEIGHT: Final = 3.0
"""Words below this are function words; they have no neighbours."""
NEAR: Final = 0.5
"""Cosine from which a word begins to support another; at 1 it does so fully."""
MIN_STEP: Final = 10
"""Words between the starts of two stretches of the contexts, at least."""
MIN_SENTENCE: Final = 3
"""Words of a sentence that is judged on its own."""

_SENTENCE = re.compile(r"\S.*?(?:[.!?](?=\s|$)|$)", re.MULTILINE)
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_PUNCTUATION = re.compile("[\u0080-\u00bf\u1680\u2000-\u206f\u3000-\u303f]")
_BYTES: Final = bytes(b if b > 127 else ord(chr(b).lower()) if chr(b).isalnum() else 32 for b in range(256))
"""ASCII punctuation to spaces, letters to lower case; the bytes of other characters stay."""
_DIGITS: Final = frozenset(b"0123456789")


Numbers = npt.NDArray[np.integer[Any]]


class SupportedSpan(NamedTuple):
    """A part of a completion, in characters, `end` excluded, and its support, 0 to 1."""

    start: int
    end: int
    support: float


def words(text: str) -> list[bytes]:
    """Return the words of a text in lower case, as UTF-8; punctuation divides, apostrophes too."""
    if not text.isascii():
        text = _PUNCTUATION.sub(" ", text).lower()
    return text.encode("utf-8", "replace").translate(_BYTES).split()


def is_number(word: bytes) -> bool:
    """Return whether a word has a digit."""
    return not _DIGITS.isdisjoint(word)


class Neighbours:
    """The words that support another, read out when one is first asked for: few of the 200,000 pairs are.

    Args:
        rows: ids of the words.
        starts: shape (vocabulary + 1,): the pairs of word i are at `starts[i]:starts[i + 1]`.
        words: shape (pairs,): ids.
        supports: shape (pairs,), in 255ths, the nearest first.

    """

    def __init__(self, rows: Mapping[bytes, int], starts: Numbers, words: Numbers, supports: Numbers) -> None:
        self._rows = rows
        self._names = {row: word for word, row in rows.items()}
        self._starts, self._words, self._supports = starts, words, supports
        self._read: dict[bytes, tuple[tuple[bytes, float], ...]] = {}

    def of(self, word: bytes) -> tuple[tuple[bytes, float], ...]:
        """Return what supports a word, with that support, 0 to 1, the nearest first."""
        row = self._rows.get(word)
        if row is None:
            return ()
        found = self._read.get(word)
        if found is None:
            pairs = slice(self._starts[row], self._starts[row + 1])
            names = map(self._names.__getitem__, self._words[pairs].tolist())
            found = self._read[word] = tuple(zip(names, (self._supports[pairs] / 255).tolist(), strict=True))
        return found


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What is known of the whole words of the vocabulary."""

    weights: Mapping[bytes, float]
    neighbours: Neighbours

    @classmethod
    def load(cls, path: Path, encoder: Encoder, embeddings: Embeddings) -> Self:
        """Return the lexicon of a `neighbours.npz`, which was made from the same embeddings.

        Its arrays are `starts`, `words` and `supports`, as `Neighbours` takes them.
        """
        rows = whole_words(encoder)
        with np.load(path, allow_pickle=False) as arrays:
            neighbours = Neighbours(rows, arrays["starts"], arrays["words"], arrays["supports"])
        return cls(word_weights(rows, embeddings), neighbours)


def whole_words(encoder: Encoder) -> dict[bytes, int]:
    """Return the tokens that are words, not pieces of them or signs, with their ids."""
    return {
        token.encode(): number
        for token, number in encoder.vocabulary().items()
        if not token.startswith("##") and words(token) == [token.encode()]
    }


def word_weights(rows: Mapping[bytes, int], embeddings: Embeddings) -> dict[bytes, float]:
    """Return the length of the embedding of each whole word that has one; `rows` are the ids of the words."""
    lengths = np.linalg.norm(embeddings.values * embeddings.scales, axis=1).tolist()
    return {word: lengths[row] for word, row in rows.items() if lengths[row] > 0}


def lexicon_of(models: Models) -> Lexicon:
    """Return the lexicon that comes with the models; see `Models.part`."""
    return Lexicon.load(models.folder / "neighbours.npz", models.encoder, models.embeddings)


class Alignment:
    """The words of one completion beside those of its contexts."""

    def __init__(self, text: str, contexts: Sequence[str], lexicon: Lexicon) -> None:
        self._text = text[:MAX_COMPLETION]
        self._sentences = list(_sentences(self._text))
        self._places: dict[bytes, int] = {}
        for _, _, found in self._sentences:
            for word in found:
                self._places.setdefault(word, len(self._places))
        self._weights = [lexicon.weights.get(word, UNKNOWN_WEIGHT) for word in self._places]
        self._context = words("\n".join(contexts)[:MAX_CHARACTERS])
        self._context_places, self._support = self._look_up(lexicon)

    @property
    def applies(self) -> bool:
        """Both the completion and the contexts have words."""
        return bool(self._places and self._context)

    def features(self) -> tuple[float, ...]:
        """Return the features, in the order of `FEATURES`; only where it `applies`."""
        missing = [self._support[place] == 0 for word, place in self._places.items() if is_number(word)]
        return (
            1.0 - min((span.support for span in self.sentences()), default=1.0),
            1.0 - self._best_window(),
            sum(missing) / len(missing) if missing else 0.0,
        )

    def novelty(self) -> float:
        """Return the weight share of the content words without support, 0 to 1; 0.5 where there are none."""
        content = [place for place, weight in enumerate(self._weights) if weight >= CONTENT_WEIGHT]
        total = sum(self._weights[place] for place in content)
        held = sum(self._weights[place] * self._support[place] for place in content)
        return 1.0 - held / total if content else 0.5

    def sentences(self) -> list[SupportedSpan]:
        """Return the sentences of at least `MIN_SENTENCE` words with their support."""
        return [
            SupportedSpan(start, end, self._share(found))
            for start, end, found in self._sentences
            if len(found) >= MIN_SENTENCE
        ]

    def unsupported(self) -> Iterator[SupportedSpan]:
        """Yield the numbers and content words that are missing and less than half supported, in order."""
        for match in _WORD.finditer(self._text):
            for word in words(match.group())[:1]:
                place = self._places.get(word, -1)
                counts = place >= 0 and (is_number(word) or self._weights[place] >= CONTENT_WEIGHT)
                if counts and self._support[place] < 0.5:
                    yield SupportedSpan(*match.span(), self._support[place])

    def _look_up(self, lexicon: Lexicon) -> tuple[npt.NDArray[np.int64], list[float]]:
        """Return the place of each word of the contexts, and the support of each word of the completion.

        The completion's words have the first places, their neighbours the next, any other word -1.
        """
        # 1997 is near to 1998, and supports nothing.
        near = {word: lexicon.neighbours.of(word) for word in self._places if not is_number(word)}
        places = dict(self._places)
        for neighbours in near.values():
            for other, _ in neighbours:
                places.setdefault(other, len(places))
        context = np.fromiter(map(places.get, self._context, repeat(-1)), np.int64, len(self._context))
        found = np.zeros(len(places) + 1, bool)
        found[context] = True
        present = found.tolist()
        support = [
            1.0 if present[place]
            else next((support for other, support in near.get(word, ()) if present[places[other]]), 0.0)
            for word, place in self._places.items()
        ]  # fmt: skip
        return context, support

    def _best_window(self) -> float:
        """Return the share of the weight that one stretch of the contexts holds.

        Stretches are twice as long as the completion and overlap by half.
        """
        step = max(MIN_STEP, sum(len(found) for _, _, found in self._sentences))
        held = np.zeros((len(self._context) // step + 2, len(self._places)), bool)
        places = self._context_places
        at = np.flatnonzero((places >= 0) & (places < len(self._places)))
        held[at // step, places[at]] = True
        weights = np.array(self._weights)
        return float(((held[:-1] | held[1:]) * weights).sum(axis=1).max() / weights.sum())

    def _share(self, found: Sequence[bytes]) -> float:
        places = [self._places[word] for word in found]
        total = sum(self._weights[place] for place in places)
        return sum(self._weights[place] * self._support[place] for place in places) / total


def _sentences(text: str) -> Iterator[tuple[int, int, list[bytes]]]:
    for match in _SENTENCE.finditer(text):
        if found := words(match.group()):
            yield match.start(), match.end(), found
