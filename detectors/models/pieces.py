"""Text to pieces: the multilingual SentencePiece vocabulary of the sentence encoder.

No piece of that vocabulary crosses white space, so the pieces of a text are those of its words.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from detectors.models.tokenizer import Tokens, WordCache, Words, readable

START, END = 1, 2
"""The pieces before the first one of a text and after the last; a text without others has none."""
SPACE = "\u2581"
"""Begins a piece that begins a word."""
UNREADABLE = "\ufffd"
_WORD = re.compile(r"\S+")
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR")
"""Scripts, as the names of their characters begin, in which a piece can be a word by itself."""


class Pieces:
    """The tokenizer of the sentence encoder. Runs of unknown characters are one piece."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._words = WordCache(tokenizer)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the tokenizer of a `pieces.json`."""
        return cls(Tokenizer.from_buffer(path.read_bytes()))

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Return the pieces of the first `MAX_CHARACTERS` characters of each text, framed."""
        return _framed(self._words.encode(texts))

    @cached_property
    def _names(self) -> npt.NDArray[np.object_]:
        named = sorted((number, piece) for piece, number in self._tokenizer.get_vocab().items())
        return np.array([UNREADABLE if "\0" in piece else piece for _, piece in named], dtype=object)

    def text(self, ids: npt.NDArray[np.integer]) -> str:
        """Return the text of some pieces, as normalised; what is unknown is U+FFFD."""
        return "".join(self._names[ids[(ids != START) & (ids != END)]]).replace(SPACE, " ").strip()

    def words(self, text: str, begin: int = 0, end: float = math.inf) -> Words:
        """Return the words of a text with their spans, or of those that its pieces `begin` to `end` are of.

        Slower than `encode`, for evidence only. In scripts that are written without blanks a piece is a word.
        """
        found = list(_WORD.finditer(readable(text)))
        counts = self._words.counts([each.group() for each in found])
        ends = 1 + np.cumsum(counts)  # after START
        wanted = np.flatnonzero((ends > begin) & (ends - counts < end))
        begins: list[bool] = []
        spans: list[tuple[int, int]] = []
        for each in (found[number] for number in wanted):
            encoding = self._tokenizer.encode(each.group(), add_special_tokens=False)
            # A blank before the first character may be a piece of its own.
            after = 1 + (encoding.tokens[:1] == [SPACE])
            begins += [
                number == 0 or (number >= after and _unspaced(piece))
                for number, piece in enumerate(encoding.tokens)
            ]
            spans += [(each.start() + first, each.start() + last) for first, last in encoding.offsets]
        before = int(ends[wanted[0]] - counts[wanted[0]]) if len(wanted) else 0
        first = np.flatnonzero(begins)
        last = np.append(first[1:], len(begins)) if len(first) else first
        offsets = np.array(spans, dtype=np.int64).reshape(-1, 2)
        return Words(first + before, last + before, offsets[first, 0], offsets[last - 1, 1])


def _framed(bare: Tokens) -> Tokens:
    """Put `START` and `END` around the pieces of each text that has some."""
    counts = bare.counts
    filled = counts > 0
    offsets = np.append(0, np.cumsum(counts + 2 * filled))
    ids = np.empty(int(offsets[-1]), np.int32)
    ids[offsets[:-1][filled]], ids[offsets[1:][filled] - 1] = START, END
    ids[np.arange(len(bare.ids)) + np.repeat(2 * np.cumsum(filled) - 1, counts)] = bare.ids
    return Tokens(ids, offsets)


def _unspaced(piece: str) -> bool:
    return unicodedata.name(piece[:1], "").startswith(_UNSPACED)
