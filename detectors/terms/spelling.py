"""Words as a reader compares them: cut out of a text in any script, and folded to one spelling."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from detectors.deobfuscation.characters import ALIKE, INVISIBLE, MARKS, STYLES, ranges
from detectors.privacy.findings import lower

# Scripts without blanks, and Hangul, where endings follow a word without one: each character is a word.
_BARE: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3041-\u309f"
    "\u3105-\u318f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_KATAKANA: Final = "\u30a0-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_PICTURES: Final = (
    "\u00a9\u00ae\u2122\u2190-\u21ff\u2300-\u23ff\u2460-\u27bf\u2900-\u2bff\U0001f000-\U0001faff"
)
# Unicode has marks in these planes alone: to look at all of them takes a tenth of a second at each start.
_ALL_MARKS: Final = ranges(
    code
    for plane in (range(0x300, 0x20000), range(0xE0100, 0xE0200))
    for code in plane
    if unicodedata.category(chr(code))[0] == "M"
)
_LETTER: Final = f"[^\\W_{_BARE}{_KATAKANA}]"
_WORD: Final = re.compile(
    f"{_LETTER}+(?:[{_ALL_MARKS}{INVISIBLE}]+{_LETTER}*)*|[{_KATAKANA}]+|[{_BARE}{_PICTURES}][{_ALL_MARKS}]*"
)
_ASCII_WORD: Final = re.compile("[A-Za-z0-9]+")
_HANGUL: Final = re.compile("[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]")

# What is no part of a word's spelling: what is invisible or stuffed into it, vowel points of Arabic and
# Hebrew, the stretch of Arabic.
_UNSPELT: Final = re.compile(
    f"[{INVISIBLE}{MARKS}\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]+"
)
_SIGNS: Final = str.maketrans("01345789@$6!|l", "oieastbgasgiii")
_SIGN: Final = "01345789@$6!|"
_LEET: Final = re.compile(r"[0-9@$!|][^\W\d_]|[^\W\d_][0-9@$|]")
_AFTER: Final = re.compile(r"[!|]+(?![\w@$])")
"""At the end of a word that is punctuation."""
_SPACED: Final = re.compile(
    r"(?<![^\W_])[^\W\d_](?:[ \t.\-_*/|~+\u00b7\u2022]{1,3}[^\W\d_](?![^\W_])){3,199}"
)
_ONE_LETTER: Final = re.compile(r"[^\W\d_]")
_ALIKE: Final = frozenset(map(chr, ALIKE))
_STYLED: Final = frozenset(map(chr, STYLES))


class Word(NamedTuple):
    """A folded word and its span in the text."""

    word: str
    start: int
    end: int


def words(text: str) -> list[Word]:
    """Return the words of a text, in order."""
    pattern = _ASCII_WORD if text.isascii() else _WORD
    return [Word(fold(match[0]), *match.span()) for match in pattern.finditer(_plain(text))]


def spellings(text: str) -> list[str]:
    """Return the folded words alone: faster, for the many texts that hold no term."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return list(map(fold, _WORD.findall(_plain(text))))


def fold(word: str) -> str:
    """Return a word in the spelling that is compared.

    Without case, width, invisible characters, stacked marks and vowel points. Accents stay, and so do letters
    of another script but among ASCII ones.
    """
    if word.isascii():
        return word.lower()
    return _remembered(word) if len(word) <= _SHORT else _folded(word)


def _folded(word: str) -> str:
    shown = unicodedata.normalize("NFKC", word).casefold()
    shown = _UNSPELT.sub("", unicodedata.normalize("NFC", shown))
    if not _ALIKE.isdisjoint(shown) and any(map(str.isascii, shown)):
        shown = shown.translate(ALIKE).lower()
    return shown


_SHORT: Final = 16
_remembered: Final = lru_cache(maxsize=1 << 14)(_folded)


def skeleton(text: str) -> str:
    """Return folded text with letters for signs, and one letter for those that one sign stands for."""
    return text.translate(_SIGNS)


def undisguised(text: str) -> str:
    """Return the skeleton of a text, of the same length; empty where none of its words is in disguise.

    In disguise are words with signs among their letters and, in Latin text, with look-alikes of those.
    """
    alike = not text.isascii() and not _ALIKE.isdisjoint(text) and _is_latin(text)
    # One fast search each, as most texts have none: a regular expression would look at every character.
    if not alike and not (any(sign in text for sign in _SIGN) and _LEET.search(text)):
        return ""
    plain = _plain(text).translate(ALIKE) if alike else _plain(text)
    return skeleton(_AFTER.sub(lambda match: " " * len(match[0]), lower(plain)))


def is_disguised(text: str) -> bool:
    """Return whether a piece of a text has signs among its letters, or look-alikes of ASCII."""
    return _LEET.search(text) is not None or not _ALIKE.isdisjoint(text)


def spaced_out(text: str) -> Iterator[list[Word]]:
    """Yield the letters of each run of four and more that stand apart: `w o r d`."""
    for run in _SPACED.finditer(text):
        letters = _ONE_LETTER.finditer(text, *run.span())
        yield [Word(fold(letter[0]), *letter.span()) for letter in letters]


def begins_within_hangul(text: str, start: int) -> bool:
    """Return whether a word would begin in the middle of a Korean one."""
    return start > 0 and bool(_HANGUL.match(text, start) and _HANGUL.match(text, start - 1))


def _plain(text: str) -> str:
    """Return the text of the same length with styled letters as plain ones."""
    return text if text.isascii() or _STYLED.isdisjoint(text) else text.translate(STYLES)


def _is_latin(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    return 2 * sum(c.isascii() and c.isalpha() for c in text) > letters
