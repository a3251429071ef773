"""Characters that look like others or like nothing, put back to the ASCII a reader sees.

Sources: UAX #44 (Default_Ignorable_Code_Point), UAX #15 (NFKC), UTS #39 (confusables), UTS #51 (emoji).
Every function takes any string, lone surrogates included, runs in linear time and returns the very same
object where there is nothing to undo.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from detectors.deobfuscation.vocabulary import known

MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20e2\u20e4-\u20f0\ufe20-\ufe2f"
_STROKES = "\u0305\u0332-\u0338\u033f\u20d2-\u20d3\u20dd-\u20e0"
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_PICTURE = "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
_RTL = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
_VIRAMAS = "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca\u1039\u17d2"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
# What writing needs: emoji flags, joiners and styles, the joiners of Arabic and Indic scripts (also after a
# virama, and where a word ends), direction marks beside right-to-left text, the word breaks of Thai, Lao,
# Burmese and Khmer, Mongolian and East Asian variants of a glyph, a byte order mark at the start.
_NEEDED = (
    "\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f"
    f"|\u200d(?:(?<=[{_PICTURE}].)|(?<=[{_PICTURE}][\ufe0e\ufe0f].))(?=[{_PICTURE}])"
    f"|[\ufe0e\ufe0f](?<=[#*0-9{_PICTURE}].)"
    "|[\u200c\u200d](?<=[\u0600-\u06ff\u0900-\u0dff].)(?=[\u0600-\u06ff\u0900-\u0dff\\s])"
    f"|[\u200c\u200d](?<=[{_VIRAMAS}].)"
    "|\u200c(?<=[\u0600-\u06ff].)(?=\\W|\\Z)"
    f"|[\u200e\u200f](?:(?<=[{_RTL}].)|(?=[{_RTL}]))"
    f"|\u200b(?<=[{_UNSPACED}].)(?=[{_UNSPACED}])"
    "|[\u180b-\u180f](?<=[\u1800-\u18af].)"
    "|[\ufe00-\ufe0f\U000e0100-\U000e01ef](?<=[\u3400-\u9fff].)"
    "|\ufeff(?<=\\A.)"
)
# Each from a rare character on: `re` skips to that.
_PARTED: Final = re.compile(f"[{INVISIBLE}](?<=\\w.)[{INVISIBLE}]*\\w")
_MANY_HIDDEN: Final = 4
_HIDDEN: Final = re.compile(f"(?=[\U0001f3f4{INVISIBLE}])(?:({_NEEDED})|[{INVISIBLE}])")
TAGS: Final = {code: code & 0x7F for code in range(0xE0020, 0xE007F)}
"""The ASCII that tag characters stand for, for `str.translate`."""

_TAGS: Final = re.compile("(\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f)|[\U000e0020-\U000e007e]+")
_MARK: Final = re.compile(f"[{MARKS}]")
_STUFFED: Final = re.compile(
    f"[{MARKS}](?:[{MARKS}]{{2}}"
    f"|(?<=[{_STROKES}])(?<=[^\\s{MARKS}].)[{_STROKES}]*(?:[^\\s{MARKS}][{_STROKES}]+){{2}})"
)


def members(charset: str) -> frozenset[str]:
    """Return the characters of the inside of a character class."""
    ends = re.findall("(.)(?:-(.))?", charset)
    return frozenset(chr(code) for first, last in ends for code in range(ord(first), ord(last or first) + 1))


def _styled() -> dict[int, str]:
    """Return the letters and digits that NFKC, or their name, makes ASCII, without the raised ones."""
    table: dict[int, str] = {}
    for first, last in (
        *((0x2102, 0x2138), (0x2160, 0x217F), (0x249C, 0x24E9), (0xFF10, 0xFF5A)),
        *((0x1D400, 0x1D7FF), (0x1F110, 0x1F12C), (0x1F130, 0x1F149)),
    ):
        for code in range(first, last + 1):
            folded = unicodedata.normalize("NFKC", chr(code)).strip("()")
            if len(folded) == 1 and folded.isascii() and folded.isalnum():
                table[code] = folded
    for first in (0x1F150, 0x1F170):  # negative circled and negative squared: no compatibility mapping
        table |= {first + i: chr(ord("A") + i) for i in range(26)}
    return table


_SMALL_CAPITALS: Final = (
    "\u1d00\u0299\u1d04\u1d05\u1d07\ua730\u0262\u029c\u026a\u1d0a\u1d0b\u029f"
    "\u1d0d\u0274\u1d0f\u1d18\u0280\ua731\u1d1b\u1d1c\u1d20\u1d21\u028f\u1d22"
)


def _raised() -> dict[int, str]:
    """Return superscript, subscript and small capital letters with the ASCII letters they stand for."""
    table = dict(zip(map(ord, _SMALL_CAPITALS), "abcdefghijklmnoprstuvwyz", strict=True))
    for code in (*range(0x2B0, 0x2B9), 0x2E1, 0x2E2, 0x2E3, *range(0x1D2C, 0x1DC0), *range(0x2071, 0x209D)):
        folded = unicodedata.normalize("NFKC", chr(code))
        if len(folded) == 1 and folded.isascii() and folded.isalpha():
            table[code] = folded
    return table


# Cyrillic, Greek, Armenian, Cherokee and Latin letters drawn like an ASCII one in common fonts.
_LOOKALIKES: Final = {
    "a": "\u0251\u03b1\u0430", "b": "\u0184\u042c", "c": "\u03f2\u0441", "d": "\u0257\u0501",
    "e": "\u03b5\u0435\u0454\u04bd", "f": "\u017f\u0493", "g": "\u0261\u0581", "h": "\u043d\u04bb\u0570",
    "i": "\u0269\u03b9\u0456\u04cf", "j": "\u03f3\u0458\u0575", "k": "\u03ba\u043a", "l": "\u01c0",
    "m": "\u043c", "n": "\u03b7\u043f\u0578\u057c", "o": "\u03bf\u03c3\u043e\u0585", "p": "\u03c1\u0440",
    "q": "\u051b\u0566", "r": "\u0433\u1d26", "s": "\u0455", "t": "\u03c4\u0442",
    "u": "\u028b\u03c5\u0446\u057d", "v": "\u03bd\u0475", "w": "\u03c9\u0448\u051d\u0561",
    "x": "\u03c7\u0445", "y": "\u03b3\u0443\u04af", "z": "\u0290", "A": "\u0391\u0410\u13aa",
    "B": "\u0392\u0412\u13f4", "C": "\u03f9\u0421\u13df", "D": "\u13a0", "E": "\u0395\u0415\u13ac",
    "F": "\u03dc", "G": "\u050c\u13c0", "H": "\u0397\u041d\u13bb", "I": "\u0399\u0406\u04c0",
    "J": "\u037f\u0408\u13ab", "K": "\u039a\u041a\u13e6", "L": "\u053c\u13de",
    "M": "\u039c\u041c\u13b7", "N": "\u039d", "O": "\u039f\u041e\u0555", "P": "\u03a1\u0420\u13e2",
    "Q": "\u051a", "R": "\u13a1", "S": "\u0405\u054f\u13da", "T": "\u03a4\u0422\u13a2", "U": "\u054d",
    "V": "\u0474\u13d9", "W": "\u051c\u13b3", "X": "\u03a7\u0425", "Y": "\u03a5\u0423\u04ae",
    "Z": "\u0396\u13c3",
}  # fmt: skip
_STYLED: Final = _styled()
_RAISED: Final = _raised()
STYLES: Final = _STYLED | _RAISED
"""Letters and digits in a style, for `str.translate` to ASCII."""
ALIKE: Final = {ord(twin): letter for letter, twins in _LOOKALIKES.items() for twin in twins}


def ranges(codes: Iterable[int]) -> str:
    """Return codes as the ranges of a character class: `re` is slow at long lists of astral characters."""
    runs: list[list[int]] = []
    for code in sorted(codes):
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in runs)


_S = ranges(code for code, letter in _STYLED.items() if letter.isalpha())
_R = ranges(_RAISED)
_IN_STYLE: Final = re.compile(
    f"[{_S}{_R}](?:(?<=[{_S}])(?:(?<=\\w.)|(?=\\w)|(?:[ .-][{_S}]){{3}})|[{_S}{_R}]{{2}})"
)
_WORD: Final = re.compile(r"[^\W\d_]+")
_NOT_LETTERS: Final = re.compile(r"[\W\d_]+")
_UNSEEN: Final = members(INVISIBLE)
_STYLE: Final = frozenset(map(chr, STYLES))
_TWINS: Final = frozenset(map(chr, ALIKE))
_SUSPECTS: Final = _UNSEEN | _STYLE | _TWINS | members(MARKS)


@lru_cache(maxsize=4)
def alphabet(text: str) -> frozenset[str]:
    """Return the characters of a text, each once; kept for the next who asks, as many do."""
    return frozenset(text)


def suspect(text: str) -> bool:
    """Return whether the text has a character that any function of this module acts on."""
    return not _SUSPECTS.isdisjoint(alphabet(text))


def decode_tags(text: str) -> str:
    """Return the text with runs of tag characters (U+E0020 to U+E007E) as ASCII words; flags stay."""
    return _TAGS.sub(lambda match: match[1] or f" {match[0].translate(TAGS)} ", text)


def invisible(text: str) -> list[int]:
    """Return the positions of default-ignorable and format characters that the writing does not need."""
    if _UNSEEN.isdisjoint(alphabet(text)):
        return []
    return [match.start() for match in _HIDDEN.finditer(text) if match[1] is None]


def strip_invisible(text: str) -> str:
    """Return the text without default-ignorable and format characters that its writing does not need.

    A few of them between words, as copying from a web page leaves them, stay: they part nothing.
    """
    if _UNSEEN.isdisjoint(alphabet(text)):
        return text
    stripped = _HIDDEN.sub(lambda match: match[1] or "", text)
    return stripped if len(text) - len(stripped) >= _MANY_HIDDEN or _PARTED.search(text) else text


def strip_stuffing(text: str) -> str:
    """Return the text without combining marks, where they are stacked or strike letters out."""
    return _MARK.sub("", text) if _STUFFED.search(text) else text


def unstyle(text: str) -> str:
    """Return the text with full-width, mathematical, circled, squared and raised letters as plain ones.

    A symbol that stands alone (the set of reals, a list's circled letter) stays as it is.
    """
    if _STYLE.isdisjoint(alphabet(text)) or not _IN_STYLE.search(text):
        return text
    return text.translate(STYLES)


def unmask(text: str) -> str:
    """Return the text with look-alikes of other scripts as ASCII, in words that a Latin text disguises.

    That is where an English word appears: in a word of mixed scripts, or in one of look-alikes alone if
    most letters of the text are ASCII. With one such word all words of mixed scripts are read. Words with
    a letter that looks like none in ASCII stay, and so do Russian and Greek.
    """
    if _TWINS.isdisjoint(alphabet(text)):
        return text
    masked = {word for word in set(_WORD.findall(text)) if not word.isascii() and _plain(word).isascii()}
    mixed = {word for word in masked if _mixed(word)}
    found = {word for word in masked if len(word) > 3 - (word in mixed) and known(_plain(word))}
    if not found <= mixed and not _is_latin(text):
        found &= mixed
    if found & mixed:
        found |= mixed
    if not found:
        return text
    return _WORD.sub(lambda match: _plain(match[0]) if match[0] in found else match[0], text)


def _plain(word: str) -> str:
    return word.translate(ALIKE)


def _mixed(word: str) -> bool:
    return any(character.isascii() for character in word)


def _is_latin(text: str) -> bool:
    letters = _NOT_LETTERS.sub("", text)
    return 2 * len(letters.encode("ascii", "ignore")) > len(letters)
