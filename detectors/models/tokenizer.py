"""Text to tokens: the WordPiece vocabulary of all-MiniLM-L6-v2, one call into Rust per batch."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from detectors.limits import SCAN_LIMIT

MAX_CHARACTERS = SCAN_LIMIT
"""Characters of a text that count; what comes after is not tokenised, so that the cost is bounded."""

KNOWN_WORDS = 100_000
"""Words that are remembered, some 25 MB; then the memory begins anew."""
LONGEST_KNOWN = 32
"""Characters of a word that is remembered."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile("[\x0b\x0c\x1c-\x1f\x85]")
"""White space for Python, and nothing at all for the tokenizers: read as another such, which is none."""
_NOTHING = "\x01"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of N texts, flat: text i owns `ids[offsets[i]:offsets[i + 1]]`."""

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    """Shape (N + 1,)."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Tokens per text, shape (N,)."""
        return np.diff(self.offsets)

    def of(self, row: int) -> "Tokens":
        """Return the tokens of one text, as N = 1 texts."""
        ids = self.ids[self.offsets[row] : self.offsets[row + 1]]
        return Tokens(ids, np.array([0, len(ids)]))


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one text: half-open ranges of their tokens and characters, each of shape (words,)."""

    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]

    def span(self, first: int, last: int) -> slice:
        """Return the characters of the words from the one of token `first` to the one of token `last`."""
        begin, end = np.searchsorted(self.first, [first, last], side="right") - 1
        return slice(int(self.start[begin]), int(self.end[end]))


class WordCache:
    """A tokenizer whose tokens never cross white space: words repeat, and are looked up."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of the first `MAX_CHARACTERS` characters of each text."""
        split = [readable(text).split() for text in texts]
        words = self._words(list(chain.from_iterable(split)))
        ends = np.append(0, np.cumsum(np.fromiter(map(len, words), np.int64, len(words))))
        last = np.append(0, np.cumsum(np.fromiter(map(len, split), np.int64, len(split))))
        return Tokens(np.fromiter(chain.from_iterable(words), np.int32, int(ends[-1])), ends[last])

    def counts(self, words: list[str]) -> npt.NDArray[np.int64]:
        """Return how many tokens each word has."""
        return np.fromiter(map(len, self._words(words)), np.int64, len(words))

    def _words(self, words: list[str]) -> list[list[int]]:
        known = self._known
        try:
            return list(map(known.__getitem__, words))
        except KeyError:
            new = list({word for word in words if word not in known})
        encodings = self._tokenizer.encode_batch_fast(new, add_special_tokens=False)
        fresh = {word: encoding.ids for word, encoding in zip(new, encodings, strict=True)}
        found = [fresh[word] if word in fresh else known[word] for word in words]
        if len(known) + len(fresh) > KNOWN_WORDS:
            # Another thread may still read the old one.
            known = self._known = {}
        known.update((word, ids) for word, ids in fresh.items() if len(word) <= LONGEST_KNOWN)
        return found


class Encoder:
    """The shared tokenizer. Lone surrogates, which no UTF-8 text can hold, are read as U+FFFD."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_special_tokens = True  # "[CLS]" in a text is text
        self._tokenizer = tokenizer
        self.encode = WordCache(tokenizer).encode
        self.vocabulary_size: int = tokenizer.get_vocab_size()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the encoder of a `tokenizer.json`."""
        return cls(Tokenizer.from_buffer(path.read_bytes()))

    def vocabulary(self) -> dict[str, int]:
        """Return token ids by token."""
        return dict(self._tokenizer.get_vocab())

    def words(self, text: str) -> Words:
        """Return the words of a text with their spans; slower than `encode`, for evidence only."""
        encoding = self._tokenizer.encode(readable(text), add_special_tokens=False)
        numbers = np.array(encoding.word_ids, dtype=np.int64)
        offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        first = np.flatnonzero(np.diff(numbers, prepend=-1))
        last = np.append(first[1:], len(numbers)) if len(first) else first
        return Words(first, last, offsets[first, 0], offsets[last - 1, 1])


def readable(text: str) -> str:
    """Return the part of a text that counts, place by place, without what no UTF-8 text can hold."""
    cut = _CONTROLS.sub(_NOTHING, text[:MAX_CHARACTERS])
    return cut if cut.isascii() else _SURROGATE.sub("\ufffd", cut)
