"""Spans of a text that hold something to protect, and how their offsets stay true."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from detectors.deobfuscation.characters import alphabet
from detectors.limits import CHECK_LIMIT, SCAN_LIMIT

PLACEHOLDER: Final = re.compile(
    r"\[(?:[A-Z_]{2,32}_[0-9a-f]{6}|(?:TRUNCATED|WITHHELD) \d{1,12} characters)\]"
)
"""What redaction puts in place of a value; never a finding itself."""


Span = tuple[int, int]


class Finding(NamedTuple):
    """A value to protect: its kind and its span in the text, in characters, `end` excluded."""

    kind: str
    start: int
    end: int


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings sorted and free of overlaps.

    Overlapping ones become one over all their characters, so that none of them is left uncovered; it
    has the kind of the one that was given first.
    """
    merged: list[Finding] = []
    best = 0
    for rank, finding in sorted(enumerate(findings), key=lambda pair: (pair[1].start, pair[0])):
        if merged and finding.start < merged[-1].end:
            last = merged[-1]
            kind = finding.kind if rank < best else last.kind
            merged[-1] = Finding(kind, last.start, max(last.end, finding.end))
            best = min(best, rank)
        else:
            merged.append(finding)
            best = rank
    return merged


def outside(findings: list[Finding], walls: list[Span]) -> Iterator[Finding]:
    """Yield the parts of findings that are not placeholders; both are sorted and free of overlaps."""
    ends = [end for _, end in walls]
    for kind, start, end in findings:
        position = start
        for wall in islice(walls, bisect_right(ends, start), None):
            if wall[0] >= end:
                break
            if wall[0] > position:
                yield Finding(kind, position, wall[0])
            position = wall[1]
        if position < end:
            yield Finding(kind, position, end)


def ascii_twins(text: str) -> str:
    """Return the first `SCAN_LIMIT` characters with digits, ASCII look-alikes, spaces and dashes in ASCII.

    The length stays the same, so that offsets hold. Covers decimal digits of all scripts (Unicode Nd),
    full-width forms, ideographic full stops, space separators (Zs) and dashes (Pd) of the first two planes.
    """
    head = text[:SCAN_LIMIT]
    if head.isascii() or not (found := _PLAIN_KEYS & alphabet(head)):
        return head
    if len(found) > _MOST_REPLACED:
        return head.translate(_PLAIN)
    # `str.translate` asks for each character of the text, and that is what is rare.
    for character in found:
        head = head.replace(character, _PLAIN[ord(character)])
    return head


def lower(text: str) -> str:
    """Return the text in lower case, every character in its place."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join(c.lower()[:1] or c for c in text)


def verified(spans: Iterable[Span], check: Callable[[Span], bool]) -> Iterator[Span]:
    """Yield the spans that pass `check`, and all of those beyond the first `CHECK_LIMIT`."""
    for position, span in enumerate(spans):
        if position >= CHECK_LIMIT or check(span):
            yield span


_MOST_REPLACED: Final = 32


def _plain_table() -> dict[int, str]:
    table = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    table |= {
        code: sign
        for code in range(0xFE50, 0xFE6C)
        if (sign := unicodedata.normalize("NFKC", chr(code))).isascii()
    }
    for code in range(0x80, 0x20000):
        match unicodedata.category(chr(code)):
            case "Nd":
                table[code] = str(unicodedata.digit(chr(code)))
            case "No" if (digit := unicodedata.digit(chr(code), None)) is not None:
                table[code] = str(digit)  # raised, lowered and circled ones
            case "Zs":
                table[code] = " "
            case "Pd":
                table[code] = "-"
    return table | {0x3002: ".", 0xFF61: "."}  # the full stops of East Asian input methods


_PLAIN: Final = _plain_table()
_PLAIN_KEYS: Final = frozenset(map(chr, _PLAIN))
