"""Text to tokens: the WordPiece vocabulary of all-MiniLM-L6-v2, one call into Rust per batch."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

MODELS = Path(__file__).parent / "models"
MAX_CHARACTERS = 32_768
"""Characters of a text that count; what comes after is not tokenised, so that the cost is bounded."""

_SURROGATE = re.compile("[\ud800-\udfff]")


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


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text: its tokens and its characters, both as half-open ranges."""

    first: int
    last: int
    start: int
    end: int


class Encoder:
    """The shared tokenizer. Lone surrogates, which no UTF-8 text can hold, are read as U+FFFD."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
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
        rows = [e.ids for e in self._tokenizer.encode_batch_fast(cut, add_special_tokens=False)]
        counts = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        ids = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1]))
        return Tokens(ids, offsets)

    def words(self, text: str) -> list[Word]:
        """Return the words of a text with their spans; slower than `encode`, for evidence only."""
        encoding = self._tokenizer.encode(_readable(text), add_special_tokens=False)
        words: list[Word] = []
        previous = None
        for i, (number, (start, end)) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
            if words and number == previous:
                words[-1] = Word(words[-1].first, i + 1, words[-1].start, end)
            else:
                words.append(Word(i, i + 1, start, end))
            previous = number
        return words


def _readable(text: str) -> str:
    cut = text[:MAX_CHARACTERS]
    return cut if cut.isascii() else _SURROGATE.sub("\ufffd", cut)


@cache
def shared_encoder() -> Encoder:
    """Return the encoder of the shipped tokenizer, loaded once per process."""
    return Encoder.load(MODELS / "tokenizer.json")
