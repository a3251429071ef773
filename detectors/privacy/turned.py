"""Values written letter by letter, backwards or in rot13: read the other way round, where a sign says so.

To try every text in every way finds numbers in all of them. So a text is read so only where a word announces
it, or where something is turned that is hardly ever met otherwise: the end of an address, the name of a
password, the beginning of a known token.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from detectors.privacy.findings import Finding
from detectors.privacy.providers import holds_token, long_words

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_TURNED = _LOWER[13:] + _LOWER[:13]
_ROT13: Final = bytes.maketrans((_LOWER + _LOWER.upper()).encode(), (_TURNED + _TURNED.upper()).encode())
# Letter by letter: always the same sign between two characters, of which one may be a blank.
_APART = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z0-9+(](?P<sign>[ \t\n.\-_/*|~\u00b7\u2022]|  |, )"
    r"(?:[^\n](?P=sign)){7,254}\S(?![A-Za-z0-9])"
)
# Three characters alone, in a row: few texts have them, and to look for more in each costs ten times as much.
_CLASSES: Final = (
    bytes(
        ord("a" if chr(code).isalnum() else " " if chr(code) in " \t\n.-_/*|~?" else ",")
        for code in range(128)
    )
    + b"," * 128
)
_ROWS: Final = (b" a a a ", b" a a , a a ", b" a a   a a ")
_MAIL_BACKWARDS = re.compile(r"(?<![\w.-])[a-z]{2,6}\.[\w.-]{2,60}@[\w.+-]{2,64}(?![\w@])")
_MAIL_IN_ROT13 = re.compile(r"@[\w-]{1,60}(?:\.[\w-]{1,60})*\.(?:pbz|bet|arg|rqh|tbi)(?![\w-])")
_ROT13_WORD = re.compile("rot[ -]?13")

NO_FORM: Final = frozenset({"IP_ADDRESS", "MAC_ADDRESS"})
"""Kinds that any release is when it is read backwards: what tells it stands before it."""


class Turned(NamedTuple):
    """A text that is read another way, and what in it is meant."""

    text: str
    back: Callable[[Finding], Finding]
    """Returns a finding of it as one of the original text."""


def turned(text: str) -> list[Turned]:
    """Return the ways to read a text in which something is turned; none for an ordinary one."""
    lowered = text.lower()
    long = long_words(text)
    mails = "@" in text
    found: list[Turned] = []
    if (
        ("rot" in lowered and _ROT13_WORD.search(lowered))
        or "cnffjbeq" in lowered
        or (mails and _MAIL_IN_ROT13.search(lowered))
        or (long and holds_token(_rotated(long)))
    ):
        found.append(Turned(_rotated(text), lambda finding: finding))
    if (
        "reversed" in lowered
        or "backward" in lowered
        or "drowssap" in lowered
        or (mails and _MAIL_BACKWARDS.search(text))
        or (long and holds_token(long[::-1]))
    ):
        found.append(Turned(text[::-1], lambda finding: _mirrored(finding, len(text))))
    return found


def apart(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield what is written letter by letter: where it stands, and what it says."""
    classes = text.encode("ascii", "replace").translate(_CLASSES)
    one = b" a a " in classes and any(row in classes for row in _ROWS)
    if not (one or b"  a  a  a " in classes or b", a, a, a" in classes):
        return
    for match in _APART.finditer(text):
        yield *match.span(), match[0][:: 1 + len(match["sign"])]


def _rotated(text: str) -> str:
    # As bytes: `str.translate` asks for each character that is not ASCII.
    return text.encode("utf-8", "surrogatepass").translate(_ROT13).decode("utf-8", "surrogatepass")


def _mirrored(finding: Finding, length: int) -> Finding:
    return Finding(finding.kind, length - finding.end, length - finding.start)
