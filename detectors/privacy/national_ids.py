"""Identity numbers of persons, taken only where a word announces them.

Where a number has check digits they must be right (python-stdnum knows them); where it has none, the word
must stand directly before it.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module
from itertools import accumulate
from typing import Final, NamedTuple

from detectors.privacy.findings import Finding, Span, verified
from detectors.privacy.gates import Gates
from detectors.privacy.id_schemes import SCHEMES, Scheme

_REACH: Final = 48
"""Characters after the announcing word within which the number is looked for."""


class _Place(NamedTuple):
    end: int
    """Where the word ends."""
    direct: bool
    """Nothing may stand between it and the number."""


_WORDS: Final = {
    word: tuple(scheme for scheme in SCHEMES if word in scheme.words)
    for word in dict.fromkeys(word for scheme in SCHEMES for word in scheme.words)
}

_GATES: Final = Gates.of_strings(_WORDS)
_RANK: Final = {word: rank for rank, word in enumerate(_WORDS)}
"""Of what overlaps the first gives the kind."""
# These mean something else in a sentence: sin embargo, a tin. In small letters they must stand directly before.
_AMBIGUOUS: Final = frozenset({
    "sin", "nas", "tin", "pan", "cc", "inn", "nik", "rut", "gst", "ird", "pps", "epic", "ktp", "documento", "titular",
})  # fmt: skip
_LONGEST: Final = max(map(len, _WORDS))
# Five of six characters in a row are digits in all of them, or begin with letters as a code does. From the
# first digit on: re skips to it faster than to a letter.
_LIKELY = re.compile(r"[0-9](?:(?:[ ./-]?[0-9A-Za-z]){5}|(?<=[A-Z]{3}.)[0-9])")
_LETTERS: Final = 6

# What may stand between a word and the number that it announces without a check digit.
_DIRECT = re.compile(
    r"[\u0400-\u0dff]{0,4}[\s:#.='\"()_-]{0,4}"
    r"(?:(?:id|card|and|y|number|no|nr|nº|n°|n\.º|n|№|num|núm|nro|número|numero|numéro|nummer|numer|ending in"
    r"|is|ist|es|est|è|é|was|hat die|porte le|de|der|la|del|el|le|to|s\.s\.|nazionale|elettronica|osobisty|osobistego"
    r"|español|española|italiano|français|deutscher|british|numarası|numaram|belgesi|и|номер|серия|رقم|الوطنية|هو"
    r"|नंबर|संख्या|คือ|เลขที่|หมายเลข|ธนาคาร|号码|号|號碼|字號|번호|番号|是|号は|は|은|는)"
    r"(?![A-Za-z])[\s:#.='\"()_-]{0,4}){0,4}\Z",
    re.IGNORECASE,
)
# Parts so long belong to a row of numbers.
_LONG_PART = re.compile(r"[0-9]{9,}")
_IN_ROW: Final = 2
_DATE = re.compile(r"(?:19|20)[0-9]{2}([ /.-]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01])")


def national_ids(text: str, lowered: str) -> Iterator[Finding]:
    """Yield the identity numbers that stand within 48 characters after their name; they may overlap."""
    starts = [match.start() for match in _LIKELY.finditer(text)]
    if not starts:
        return
    announced: dict[Scheme, list[_Place]] = {}
    for word, end in _announcing(text, lowered, starts):
        direct = word in _AMBIGUOUS and not text[end - len(word) : end].isupper()
        for scheme in _WORDS[word]:
            announced.setdefault(scheme, []).append(_Place(end, direct or not scheme.check))
    for scheme, places in announced.items():
        for start, end in verified(_candidates(scheme, text, places), partial(_is_valid, scheme, text)):
            yield Finding(scheme.kind, start, end)


def _announcing(text: str, lowered: str, starts: list[int]) -> Iterator[tuple[str, int]]:
    """Yield the words, with their ends, that stand so near before what may be a number that they may be meant."""
    # All those parts of the text at once: to look into each costs more.
    windows: list[Span] = []
    for start in starts:
        first = max(0, start - _LETTERS - _REACH - _LONGEST)
        if windows and first <= windows[-1][1]:
            windows[-1] = windows[-1][0], start
        else:
            windows.append((first, start))
    parts = "\n".join(lowered[first:last] for first, last in windows)
    origins = list(accumulate((last - first + 1 for first, last in windows), initial=0))
    for word in sorted(_GATES.open(parts), key=_RANK.__getitem__):
        position = parts.find(word)
        while position >= 0:
            window = bisect_right(origins, position) - 1
            start = position - origins[window] + windows[window][0]
            if _is_whole(text, start, start + len(word)) and not text.endswith("::", 0, start):
                yield word, start + len(word)
            position = parts.find(word, position + len(word))


def _is_whole(text: str, start: int, end: int) -> bool:
    """Say whether a word of ASCII letters is no part of a longer one."""
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (_is_letter(before) and text[start].isascii()) and not (
        _is_letter(after) and text[end - 1].isascii()
    )


def _is_letter(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _candidates(scheme: Scheme, text: str, places: list[_Place]) -> Iterator[Span]:
    for end, direct in places:
        if text.startswith("(", end) and text[end - 1].isalpha():
            continue  # sin(046454286) is a call
        for match in scheme.number.finditer(text, end, end + _REACH):
            if not direct or _DIRECT.fullmatch(text, end, match.start()):
                yield match.span()


def _is_valid(scheme: Scheme, text: str, span: Span) -> bool:
    number = text[slice(*span)]
    if scheme.check:
        return _checker(scheme.check)(number.replace(".", "") if scheme.check.startswith("es") else number)
    if sum(map(str.isdigit, number)) < scheme.fewest or _DATE.fullmatch(number):
        return False
    return not _is_row(number)


def _is_row(number: str) -> bool:
    """Say whether long numbers stand side by side, and none is the one of a bank beside that of an account."""
    parts = _LONG_PART.findall(number)
    return len(parts) >= _IN_ROW and (len(parts) > _IN_ROW or not any(map(_checker("us.rtn"), parts)))


@cache
def _checker(name: str) -> Callable[[str], bool]:
    """Return the check of a module of python-stdnum, loaded when the first text asks for it."""
    is_valid: Callable[[str], bool] = import_module(f"stdnum.{name}").is_valid
    if name == "us.ssn":
        return lambda number: is_valid(number.replace(" ", "-").replace(".", "-"))
    if name == "luhn":
        return lambda number: is_valid("".join(filter(str.isdigit, number)))
    return is_valid
