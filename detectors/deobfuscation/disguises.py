"""Words written so that a person reads them and a tokenizer does not: spaced out, in leetspeak, in cipher."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Final

import numpy as np

from detectors.deobfuscation.vocabulary import known, segment

_SEPARATOR = r"[ \t\n.\-_*/|~+\u00b7\u2022]{1,3}"
_SPACED: Final = re.compile(
    rf"(?<![\w'\u2019])[A-Za-z]({_SEPARATOR})[A-Za-z](?![A-Za-z0-9'\u2019])(?:\1[A-Za-z](?![A-Za-z0-9'\u2019]))*"
)
_MOST_BETWEEN: Final = 4
"""Places from one of the letters to the next, at most."""
_SIGN, _LETTER, _DIGIT = range(3)
_KINDS: Final = np.array(
    [_LETTER * chr(code).isalpha() + _DIGIT * chr(code).isdigit() for code in range(128)], np.uint8
)
_SPACED_LETTERS: Final = 4
_SHARE_OF_WORDS: Final = 0.6
_SEGMENTED: Final = 10_000
"""Letters of one text that are cut into words; those beyond are joined only."""

_TOKEN: Final = re.compile(r"(?<![^\W_])(?<![@$!|])(?:[A-Za-z]+[0-9@$!|]|[0-9@$!|]+[A-Za-z])[A-Za-z0-9@$!|]*")
_INNER: Final = re.compile(r"[A-Za-z][0-9@$!|]+[A-Za-z]")
_NUMBER: Final = re.compile(
    r"(?i:\d*(?:1st|2nd|3rd|\dth)|\d+(?:[ap]m|[kmgt]b|[kmc]m|kg|ms|hz|[a-z])|[a-z]+[23]d)"
)
_USUAL: Final = re.compile(r"[A-Za-z]\d+[A-Za-z]|[0-9a-f]+|[0-9A-F]+")  # i18n, B2B, a part of a hash
_LONGEST_TOKEN: Final = 24
_LEET: Final = str.maketrans("0345789@$6", "oeastbgasg")
_STROKE: Final = re.compile(r"[1!|]")
_MOST_STROKES: Final = 4

_LETTERS: Final = re.compile(r"[A-Za-z]{2,}")
_WORDS: Final = re.compile(r"[A-Za-z]{3,}")
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_SHIFT_SAMPLE: Final = 300
"""Words that a Caesar shift is guessed from."""


def join_spaced(text: str) -> str:
    """Return the text with words joined whose letters stand apart: "i g n o r e", "i.g.n.o.r.e".

    One run of at least four letters must be made of English words mostly; initials and the letters of a
    list are not.
    """
    joined: dict[str, str] = {}
    confirmed = False
    budget = _SEGMENTED
    for match in _spaced(text):
        letters = match[0].replace(match[1], "")
        if match[0] in joined:
            continue
        head, rest = letters[:budget], letters[budget:]
        budget -= len(head)
        words = segment(head)
        whole = sum(len(word) for word in words if len(word) > 2)
        if len(head) >= _SPACED_LETTERS and whole >= _SHARE_OF_WORDS * len(head) and max(map(len, words)) > 3:
            confirmed = True
            joined[match[0]] = " ".join((*words, rest)).rstrip()
        elif len(letters) > 2 and known(letters):
            joined[match[0]] = letters
    return _SPACED.sub(lambda match: joined.get(match[0], match[0]), text) if confirmed else text


def _spaced(text: str) -> Iterator[re.Match[str]]:
    """Yield what stands apart in a text, if four letters do so in a row; else nothing is joined."""
    codes = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    letters = _KINDS[codes]
    alone = letters == _LETTER
    alone[1:] &= letters[:-1] == _SIGN
    alone[:-1] &= letters[1:] == _SIGN
    places = np.flatnonzero(alone)
    near = np.diff(places) <= _MOST_BETWEEN
    if not (near[2:] & near[1:-1] & near[:-2]).any():
        return
    for row in np.split(places, np.flatnonzero(~near) + 1):
        if len(row) > 1:
            yield from _SPACED.finditer(text, row[0], row[-1] + 2)


_MOST_TOKENS: Final = 4096
"""Distinct words that are tried: a text of nothing else costs bounded time."""


def unleet(text: str) -> str:
    """Return the text with letters for the digits and signs inside words: "1gn0r3 pr3v10us".

    At least one token must have digits or signs between letters and become an English word of four
    letters; then all tokens that become words are read. Product codes, hashes and numbers with a unit stay.
    """
    # Of each word once: most of a text is words that it has already had.
    tokens = sorted(set(_TOKEN.findall(" ".join(dict.fromkeys(text.split())))))[:_MOST_TOKENS]
    read = {token: word for token in tokens if (word := _unleet_token(token)) is not None}
    if not any(len(word) > 3 and _INNER.search(t) and not _USUAL.fullmatch(t) for t, word in read.items()):
        return text
    return _TOKEN.sub(lambda match: read.get(match[0], match[0]), text)


def _unleet_token(token: str) -> str | None:
    core = token.rstrip("!|")
    if len(token) > _LONGEST_TOKEN or core.isalpha() or _NUMBER.fullmatch(core) or _is_two_words(core):
        return None
    plain = core.translate(_LEET)
    strokes = len(_STROKE.findall(plain))
    if strokes > _MOST_STROKES:
        return None
    pieces = _STROKE.split(plain)
    for letters in product("il", repeat=strokes):
        word = "".join(part for pair in zip(pieces, (*letters, ""), strict=True) for part in pair)
        if word.isalpha() and len(word) > 2 and known(word):
            return (word.upper() if core.isupper() else word) + token[len(core) :]
    return None


def _is_two_words(token: str) -> bool:
    """Return whether the first sign stands between words as a sign: "Cheers!Bye", "map$region"."""
    before, sign, after = re.sub("[!$]", " ", token, count=1).partition(" ")
    if not sign or not known(before):
        return False
    return len(before) > 3 if token[len(before)] == "!" else len(after) > 3 and known(after)


def unrotate(text: str, guess: bool) -> Iterator[tuple[tuple[int, int], str]]:
    """Yield spans written in rot13, or with `guess` in any Caesar shift, and what they say."""
    for shift in _shifts(text) if guess else (13,):
        turned = _LOWER[shift:] + _LOWER[:shift]
        table = str.maketrans(_LOWER + _LOWER.upper(), turned + turned.upper())
        for start, end in _hidden(text, partial(_translated, table)):
            yield (start, end), text[start:end].translate(table)


def unreverse(text: str) -> Iterator[tuple[tuple[int, int], str]]:
    """Yield spans written backwards and what they say."""
    for start, end in _hidden(text, lambda word: word[::-1]):
        yield (start, end), text[start:end][::-1]


def _shifts(text: str) -> list[int]:
    """Return the Caesar shift under which most words of the text that are none become English ones."""
    words = [word for word in _LETTERS.findall(text) if len(word) > 2 and not known(word)][:_SHIFT_SAMPLE]
    sample = " ".join(words).lower()

    def hits(shift: int) -> int:
        table = str.maketrans(_LOWER, _LOWER[shift:] + _LOWER[:shift])
        return sum(map(known, sample.translate(table).split()))

    return [max(range(1, 26), key=hits)]


def _translated(table: dict[int, int], word: str) -> str:
    return word.translate(table)


def _hidden(text: str, turn: Callable[[str], str]) -> Iterator[tuple[int, int]]:
    """Yield the spans whose words are English when they are turned, and mostly not as they stand.

    A span has two such words at least, more than twice as many as others, and ends before two others.
    """
    words = {word: known(word) for word in set(_WORDS.findall(text))}
    turned = {word for word, is_known in words.items() if not is_known and known(turn(word))}
    first = last = hidden = plain = between = 0
    for match in _WORDS.finditer(text) if turned else ():
        if match[0] in turned:
            first = first if hidden else match.start()
            last, hidden, between, plain = match.end(), hidden + 1, between + plain, 0
        elif hidden and words[match[0]]:
            plain += 1
            if plain == 2:
                if hidden > max(1, 2 * between):
                    yield first, last
                hidden = plain = between = 0
    if hidden > max(1, 2 * between):
        yield first, last
