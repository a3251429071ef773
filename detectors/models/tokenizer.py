"""Text to tokens: the WordPiece vocabulary of all-MiniLM-L6-v2, one call into Rust per batch."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, normalizers

from detectors.limits import SCAN_LIMIT

MAX_CHARACTERS = SCAN_LIMIT
"""Characters of a text that count; what comes after is not tokenised, so that the cost is bounded."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROLS = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_ASCII = {**_CONTROLS, **dict.fromkeys(map(ord, "\t\n\r"), " "), **_LOWER}
"""What BERT's normalisation does to ASCII: control characters go, white space is a space, lower case."""


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


class Encoder:
    """The shared tokenizer. Lone surrogates, which no UTF-8 text can hold, are read as U+FFFD.

    For ASCII texts Python's `str.translate` does what the tokenizer's own normalisation does, in a
    fraction of the time.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_special_tokens = True  # "[CLS]" in a text is text
        self._tokenizer = tokenizer
        self._normalised = Tokenizer.from_str(tokenizer.to_str())
        self._normalised.normalizer = normalizers.Sequence([])
        self._normalised.encode_special_tokens = True
        self.vocabulary_size: int = tokenizer.get_vocab_size()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the encoder of a `tokenizer.json`."""
        return cls(Tokenizer.from_file(str(path)))

    def vocabulary(self) -> dict[str, int]:
        """Return token ids by token."""
        return dict(self._tokenizer.get_vocab())

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of the first `MAX_CHARACTERS` characters of each text."""
        cut = [_readable(text) for text in texts]
        ascii_texts = [text.translate(_ASCII) for text in cut if text.isascii()]
        other_texts = [text for text in cut if not text.isascii()]
        plain = iter(self._normalised.encode_batch_fast(ascii_texts, add_special_tokens=False))
        other = iter(self._tokenizer.encode_batch_fast(other_texts, add_special_tokens=False))
        rows = [next(plain if text.isascii() else other).ids for text in cut]
        counts = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        ids = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1]))
        return Tokens(ids, offsets)

    def words(self, text: str) -> Words:
        """Return the words of a text with their spans; slower than `encode`, for evidence only."""
        encoding = self._tokenizer.encode(_readable(text), add_special_tokens=False)
        numbers = np.array(encoding.word_ids, dtype=np.int64)
        offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        first = np.flatnonzero(np.diff(numbers, prepend=-1))
        last = np.append(first[1:], len(numbers)) if len(first) else first
        return Words(first, last, offsets[first, 0], offsets[last - 1, 1])


def _readable(text: str) -> str:
    cut = text[:MAX_CHARACTERS]
    return cut if cut.isascii() else _SURROGATE.sub("\ufffd", cut)
