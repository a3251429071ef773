"""Bare numbers in JSON, which a placeholder may not follow: where they stand, and how a text is quoted there.

JSON may lie within a string of JSON, and again: its quotes and line ends are escaped then, once for each. All
is done in one pass over a text, by hand: a text made of blanks, backslashes or numbers costs no more.
"""

import json
import re
from bisect import bisect_right
from functools import cached_property
from typing import Final, NamedTuple

from detectors.privacy.findings import Finding, Span

BETWEEN: Final = " \t\r\n\x1e\ufeff"
"""What may stand before a document and between two (RFC 8259, RFC 7464)."""
OPENINGS: Final = frozenset('[{"')
"""The first characters of a text that is read as JSON."""

_NUMERIC: Final = frozenset("+-.0123456789eE")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
_BLANKS: Final = " \t\r\n"
_AFTER = re.compile(r"(?>[ \t\r\n]*+(?:\\++[nrt][ \t\r\n]*+)*)(?:[,}\]]|\\*+\Z)")
_QUOTE = re.compile(r'\\*+"')
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str, strict=False)


class Number(NamedTuple):
    """A number in JSON, and the quotes that a text in its place needs."""

    start: int
    end: int
    quote: str


class JsonNumbers:
    """Finds the bare numbers of one text; asked for findings in their order, it reads nothing twice."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._run: Span = (0, 0)
        self._number: Number | None = None

    def of(self, finding: Finding) -> Number | None:
        """Return the number that holds a finding, where a text may not stand without quotes.

        That is one after a key, wherever it stands, or between commas and brackets of a text that is JSON.
        """
        start, end = self._run
        if not start <= finding.start < finding.end <= end:
            self._run = start, end = self._around(finding)
            self._number = self._at(start, end)
        return self._number

    def _around(self, finding: Finding) -> Span:
        start, end = finding.start, finding.end
        while start and self._text[start - 1] in _NUMERIC:
            start -= 1
        while end < len(self._text) and self._text[end] in _NUMERIC:
            end += 1
        return start, end

    def _at(self, start: int, end: int) -> Number | None:
        if not _NUMBER.fullmatch(self._text, start, end) or not _AFTER.match(self._text, end):
            return None
        before = blanks_from(self._text, start)
        sign = self._text[before - 1 : before]
        if sign == ":" and (quote := self._key_quote(blanks_from(self._text, before - 1))):
            return Number(start, end, quote)
        if sign and sign in "[," and self._is_json:
            return Number(start, end, _quote(self._depth(start)))
        return None

    def _key_quote(self, end: int) -> str:
        """Return the quote with which a key ends, without backslashes that belong to the key."""
        if self._text[end - 1 : end] != '"':
            return ""
        start = end - 1
        while start and self._text[start - 1] == "\\":
            start -= 1
        return _quote(_level(end - start))

    @cached_property
    def _is_json(self) -> bool:
        return is_json(self._text)

    @cached_property
    def _depths(self) -> tuple[list[int], list[int]]:
        """Return where quotes end, and within how many strings what follows them is."""
        ends, depths, depth = [], [], 0
        for match in _QUOTE.finditer(self._text):
            level = _level(len(match[0]))
            if level <= depth:
                depth = level + 1 if level == depth else level
                ends.append(match.end())
                depths.append(depth)
        return ends, depths

    def _depth(self, position: int) -> int:
        ends, depths = self._depths
        index = bisect_right(ends, position)
        return depths[index - 1] if index else 0


def blanks_from(text: str, end: int) -> int:
    """Return where the blanks begin that end at `end`; those escaped in a string of JSON are blanks, too."""
    while end:
        if text[end - 1] in _BLANKS:
            end -= 1
        elif end > 1 and text[end - 1] in "nrt" and text[end - 2] == "\\":
            end -= 2
            while end and text[end - 1] == "\\":
                end -= 1
        else:
            break
    return end


def may_be_item(text: str, position: int) -> bool:
    """Say whether what begins at `position` may be a number of a list; it may where nothing is before it."""
    if text[position : position + 1] not in _NUMERIC:
        return False
    while position and text[position - 1] in _NUMERIC:
        position -= 1
    start = blanks_from(text, position)
    return start == 0 or text[start - 1] in "[,"


def is_json(text: str) -> bool:
    """Say whether a text is JSON: one document, or several with blanks or nothing between them."""
    if text.lstrip(BETWEEN)[:1] not in OPENINGS:
        return False
    position = 0
    while position < len(text):
        if text[position] in BETWEEN:
            position += 1
            continue
        try:
            _, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            return False
    return True


def _level(length: int) -> int:
    """Return within how many strings a quote stands that has, with the backslashes before it, this length.

    In the n-th string it has 2^n - 1 of them; those of the characters before it are a multiple of 2^(n+1).
    """
    return (length & -length).bit_length() - 1


def _quote(level: int) -> str:
    return "\\" * ((1 << level) - 1) + '"'
