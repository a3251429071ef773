"""Where the evidence stands in a text as it was kept."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from streams.desk.html import LONG, Child, marked

_PLACEHOLDER: Final = re.compile(r"\[([A-Z][A-Z_]{1,31})_[0-9a-f]{6}\]")
SHORTEST: Final = 2
MOST: Final = 200


def highlighted(text: str, evidence: Iterable[Mapping[str, Any]], storage: str) -> list[Child]:
    """Return the text with its evidence marked, and what was redacted.

    Evidence counts the characters of the original: where that is not kept its words are looked for.
    """
    shown = text[:LONG]
    found = [(each.start(), each.end(), f"redacted: {each[1]}") for each in _PLACEHOLDER.finditer(shown)]
    for piece in evidence:
        found += _places(shown, piece, whole=storage == "full")
    parts = marked(shown, found[:MOST])
    return parts if len(text) <= LONG else [*parts, f" … ({len(text) - LONG:,} more characters)"]


def _places(text: str, piece: Mapping[str, Any], *, whole: bool) -> list[tuple[int, int, str]]:
    words, start, end = piece["text"], piece["start"], piece["end"]
    why = piece["metric"] + (f", {piece['label']}" if piece["label"] else "")
    if piece["weight"] is not None:
        why += f" ({piece['weight']:+.2f})"
    if whole and 0 <= start < end <= len(text):
        return [(start, end, why)]
    if len(words) < SHORTEST or start < 0:  # a reference is no part of the text
        return []
    if start >= 0 and text[start:end] == words:
        return [(start, end, why)]
    at = text.find(words)
    return [(at, at + len(words), why)] if at >= 0 else []
