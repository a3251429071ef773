"""English words, as the shipped tokenizer's vocabulary has them, and the cutting of run-together letters."""

import math
from functools import cache, lru_cache
from typing import Any, Final

import msgspec

from detectors.models import SHIPPED

_LONGEST: Final = 16
_STEM: Final = 4
_UNKNOWN_LETTER: Final = 14.0


@cache
def _vocabulary() -> dict[str, int]:
    # A list of words, not a model: what letters say does not depend on the weights that judge them.
    content: dict[str, Any] = msgspec.json.decode((SHIPPED / "tokenizer.json").read_bytes())
    found: dict[str, int] = content["model"]["vocab"]
    return found


@cache
def word_costs() -> dict[str, float]:
    """Return a cost for each word of ASCII letters: the logarithm of its place in the vocabulary.

    A WordPiece vocabulary is sorted by frequency, so by Zipf's law this is close to the negative
    log-probability. Of the single letters, "a" and "i" are words.
    """
    words = {word: math.log(place + 2) for word, place in _vocabulary().items() if _is_word(word)}
    return words | {"a": math.log(1000), "i": math.log(1000)}


@cache
def _endings() -> frozenset[str]:
    """Return the vocabulary's word endings of four letters and more, and the inflections."""
    long = {piece[2:] for piece in _vocabulary() if piece.startswith("##") and _is_word(piece[2:], _STEM)}
    return frozenset(long | {"s", "es", "ed", "er", "ers", "est", "ing", "ings", "ly"})


def known(word: str) -> bool:
    """Return whether a word, in any case, is in the vocabulary or made of one and a word or an ending."""
    return len(word) <= 2 * _LONGEST and _known(word)


@lru_cache(maxsize=1 << 14)
def _known(word: str) -> bool:
    word, words = word.lower(), word_costs()
    if word in words:
        return True
    endings = _endings()
    for cut in range(_STEM, min(len(word), _LONGEST + 1)):
        rest = word[cut:]
        if word[:cut] in words and (rest in endings or (rest in words and len(rest) >= _STEM)):
            return True
    return False


def segment(letters: str) -> list[str]:
    """Cut letters without spaces into the likeliest words (Viterbi over `word_costs`); linear time.

    Letters that are no part of a word come out one by one.
    """
    lower, words = letters.lower(), word_costs()
    best = [0.0]
    lengths = [0]
    for end in range(1, len(lower) + 1):
        cost, length = best[end - 1] + _UNKNOWN_LETTER, 1
        for start in range(max(0, end - _LONGEST), end):
            word_cost = words.get(lower[start:end])
            if word_cost is not None and best[start] + word_cost < cost:
                cost, length = best[start] + word_cost, end - start
        best.append(cost)
        lengths.append(length)
    parts = []
    end = len(letters)
    while end:
        parts.append(letters[end - lengths[end] : end])
        end -= lengths[end]
    return parts[::-1]


def _is_word(token: str, shortest: int = 2) -> bool:
    return len(token) >= shortest and token.isascii() and token.isalpha()
