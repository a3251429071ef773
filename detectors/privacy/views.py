"""Other ways to read a text, with the way back: a value in disguise is found and its span is known.

A value may be written so that a reader, a browser or a program sees it while a pattern does not: percent and
HTML encoding, escapes, colours of a terminal, emphasis by underscores, characters that show as nothing,
letters in a style or of a look-alike script. Those are undone here character by character. What
`detectors.deobfuscation.readings` reads beyond that (base64, reversed or spaced out text, ...) is covered as
a whole: of what is encoded nobody can replace a part.
"""

import html
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from detectors.deobfuscation.characters import ALIKE, INVISIBLE, MARKS, STYLES, TAGS, alphabet, members
from detectors.deobfuscation.encodings import invisible_payloads
from detectors.deobfuscation.readings import Reading, encoded, readings
from detectors.privacy.findings import Finding, ascii_twins, merge
from detectors.privacy.places import Places
from detectors.privacy.tables import tables
from detectors.privacy.turned import NO_FORM, Turned, apart, turned

_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "/": "/"}
_IN_PLACE: Final = frozenset({"percent", "entities", "escapes"})
"""Readings that the decoded view has, too, with a span for each value instead of one over all of them."""
_UNSHOWN: Final = ("right_to_left", "variation_selectors")
_LONGEST_ESCAPE: Final = 5
"""Characters of one, such as `\\u0041`, before its last."""
_PASSES: Final = 3
"""What was encoded twice (`%2540`) or in two ways is read; whoever encodes four times does not paste."""

# What shows as nothing, as a mark on a letter, or stands where a byte was lost.
_NOTHING = f"{INVISIBLE}{MARKS}\ufffd"
_ENCODED = re.compile(
    r"(?P<percent>(?:%[0-9A-Fa-f]{2})+)"
    r"|(?P<printable>=40(?![0-9.]))"
    r"|(?P<entity>&(?:#\d{1,7};?|#[xX][0-9A-Fa-f]{1,6};?|[A-Za-z][A-Za-z0-9]{1,30};))"
    r"|(?P<units>(?:\\{1,8}u[0-9A-Fa-f]{4})+)"  # the backslash is escaped itself in JSON within JSON
    r"|(?P<code>\\{1,8}(?:x[0-9A-Fa-f]{2}|u\{[0-9A-Fa-f]{1,6}\}|U[0-9A-Fa-f]{8}))"
    r"|(?P<octal>\\[01][0-7]{2})"
    r"|(?P<sign>\\{1,8}[bfnrt/])"
    "|(?P<colour>\x1b\\[[0-9;?]{0,32}[A-Za-z])"
    "|(?P<emphasis>_{1,3})"
    "|(?P<tags>[\U000e0020-\U000e007e]+)"
    f"|(?P<unseen>[{_NOTHING}]+)"
)
_SIGNS: Final = "%=&\\\x1b_"
# With what must stand beside it: an =, & or _ alone is everywhere in code.
_AT: Final = {
    sign: re.compile(re.escape(sign) + after)
    for sign, after in (
        ("%", "[0-9A-Fa-f]{2}"),
        ("=", r"(?<!==)40(?![0-9.])"),
        ("&", "[#A-Za-z]"),
        ("\\", r"(?<!\\\\)\\{0,7}[xuU01bfnrt/]"),
        ("\x1b", r"\["),
        (
            "_",
            r"(?:(?<![A-Za-z0-9_-]_)_{0,2}(?=\S{0,80}[0-9])|(?<=[A-Za-z0-9]_)_{0,2}"
            f"(?![A-Za-z0-9_{_NOTHING}-]))",
        ),
    )
}
_UNSEEN_RUN: Final = re.compile(f"[{_NOTHING}]+")
_UNSEEN: Final = members(_NOTHING)
_STYLED: Final = frozenset(map(chr, STYLES))
_ALIKE_SET: Final = frozenset(map(chr, ALIKE))
# One with a letter that is not of ASCII.
_WORD = re.compile(r"(?<![^\W\d_])[A-Za-z]*+[^\W\d_\x00-\x7f][^\W\d_]*")
# A letter of ASCII beside another one.
_BESIDE = re.compile(r"[\u0080-\U0010ffff](?:(?<=[A-Za-z].)|(?=[A-Za-z]))")

_REACH: Final = 40
"""Characters before what is encoded that may say what it is."""
_WORDS_BEFORE = re.compile(r"(?<![^\s\"'>|])[^\s\"'>|@0-9]{2,24}(?:\s[^\s@0-9]{1,24}){0,3}[\s:=\"]{1,4}\Z")

Find = Callable[[str], Iterable[Finding]]


class View(NamedTuple):
    """A reading of a text, and for each of its characters the first and past the last one it stands for."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def back(self, finding: Finding) -> Finding:
        """Return a finding of this view as one of the original text."""
        return Finding(finding.kind, self.starts[finding.start], self.ends[finding.end - 1])


class Views(NamedTuple):
    """All ways to read a text that finders are given: in each, digits, spaces and dashes are ASCII."""

    text: str
    """The first `SCAN_LIMIT` characters (see `ascii_twins`)."""
    decoded: View | None
    turned: Sequence[Turned]
    others: Sequence[Reading]


def views(text: str, others: Sequence[Reading] | None = None) -> Views:
    """Return the ways to read a text; `others` are its readings, where they are known."""
    head = ascii_twins(text)
    known = [
        reading
        for reading in (readings(text) if others is None else others)
        if not _IN_PLACE.issuperset(reading.how.split("+"))
    ]
    if known and any(reading.how.startswith(_UNSHOWN) for reading in known):
        # As they are: what is read for words takes an at sign for a letter.
        known += [Reading(each.text, each.how, each.start, each.end) for each in invisible_payloads(text)]
    ways = turned(head)
    view = decoded(head)
    if _may_be_table(head):
        ways += tables(head)
    if view and _may_be_table(view.text):
        ways += [_behind(view, table) for table in tables(view.text)]
    spelt = [Reading(said, "apart", start, end) for start, end, said in apart(head)]
    return Views(head, view, ways, (*known, *encoded(text), *spelt))


def _may_be_table(text: str) -> bool:
    return "\n" in text or "VALUES" in text or "values" in text


def _behind(view: View, way: Turned) -> Turned:
    """Return a way to read a view as one to read the text behind it."""
    return Turned(way.text, lambda finding: view.back(way.back(finding)))


def found_in(find: Find, ways: Views) -> list[Finding]:
    """Return what `find` sees in a text, also in disguise: sorted, free of overlaps, spans of the text."""
    return merge(_found(find, *ways))


def _found(
    find: Find, text: str, view: View | None, ways: Sequence[Turned], others: Sequence[Reading]
) -> Iterator[Finding]:
    found = [_behind_escape(text, finding) for finding in find(text)]
    yield from found
    if view is None and not ways and not others:
        return
    known = {_value(text, finding) for finding in found}
    if view:
        hidden = list(find(view.text))
        known |= {_value(view.text, finding) for finding in hidden}
        yield from map(view.back, hidden)
    for way in ways:
        hidden = [each for each in find(way.text) if each.kind not in NO_FORM]
        yield from (way.back(each) for each in hidden if _value(way.text, each) not in known)
    for reading in others:
        before = _WORDS_BEFORE.search(text, max(0, reading.start - _REACH), reading.start)
        start = len(before[0]) if before else 0
        shown = (before[0] if before else "") + ascii_twins(reading.text)
        new = (each for each in find(shown) if each.end > start and _value(shown, each) not in known)
        if finding := next(new, None):
            yield Finding(finding.kind, reading.start, reading.end)


def _behind_escape(text: str, finding: Finding) -> Finding:
    """Return a finding without the rest of an escape in which it begins: half of one would be left."""
    kind, start, end = finding
    for position in range(max(0, start - _LONGEST_ESCAPE), start):
        match = _ENCODED.match(text, position) if text[position] in "\\%&\x1b" else None
        if match and start < match.end() < end:
            return Finding(kind, match.end(), end)
    return finding


def _value(text: str, finding: Finding) -> str:
    return text[finding.start : finding.end].casefold()


def decoded(text: str) -> View | None:
    """Return the text with all undone that stands for single characters; None where there is nothing."""
    view = _identity(text)
    for _ in range(_PASSES):
        pieces = _pieces(view.text)
        if not pieces:
            break
        view = _joined(pieces, view)
    shown = _unstyled(view.text)
    return None if shown == text else view._replace(text=ascii_twins(shown))


def _identity(text: str) -> View:
    return View(text, range(len(text)), range(1, len(text) + 1))


def _unstyled(text: str) -> str:
    """Return the text of the same length with styled letters, and look-alikes beside ASCII ones, as ASCII."""
    if text.isascii():
        return text
    characters = alphabet(text)
    text = text if _STYLED.isdisjoint(characters) else text.translate(STYLES)
    if _ALIKE_SET.isdisjoint(characters) or not _BESIDE.search(text):
        return text
    return _WORD.sub(_unmasked, text)


def _unmasked(match: re.Match[str]) -> str:
    return match[0].translate(ALIKE) if any(map(str.isascii, match[0])) else match[0]


def _pieces(text: str) -> list[tuple[int, int, str]]:
    """Return what is written in disguise: start, end, and the characters it stands for."""
    # One fast search each: most texts have none of these, and few have more than some.
    positions = {m.start() for sign in _SIGNS if sign in text for m in _AT[sign].finditer(text)}
    if not text.isascii() and not _UNSEEN.isdisjoint(alphabet(text)):
        positions |= {m.start() for m in _UNSEEN_RUN.finditer(text)}
    pieces: list[tuple[int, int, str]] = []
    end = 0
    for position in sorted(positions):
        match = _ENCODED.match(text, position) if position >= end else None
        if match is None:
            continue
        end = match.end()
        shown = _DECODERS[match.lastgroup or ""](match[0])
        if shown != match[0]:
            pieces.append((position, end, shown))
    return pieces


def _joined(pieces: list[tuple[int, int, str]], view: View) -> View:
    """Return the view with the pieces read; what a piece stands for shares the span of the whole piece."""
    parts: list[str] = []
    edges: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    position = length = 0
    for start, end, shown in pieces:
        parts += view.text[position:start], shown
        edges += length, length + start - position
        starts += position, start
        ends += position, end - 1
        length += start - position + len(shown)
        position = end
    parts.append(view.text[position:])
    edges.append(length)
    starts.append(position)
    ends.append(position)
    text, steps = "".join(parts), [1, 0] * len(pieces) + [1]
    return View(
        text,
        Places(len(text), edges, starts, steps, view.starts),
        Places(len(text), edges, ends, steps, view.ends),
    )


def _percent(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return text


def _units(text: str) -> str:
    return bytes.fromhex(text.replace("\\", "").replace("u", "")).decode("utf-16-be", "replace")


def _code(text: str) -> str:
    number = int(text.strip("\\xuU{}"), 16)
    return chr(number) if number < 0x110000 else text


_DECODERS: Final[dict[str, Callable[[str], str]]] = {
    "percent": _percent,
    "printable": lambda _: "@",  # quoted-printable; other codes of it look like code
    "entity": html.unescape,
    "units": _units,
    "code": _code,
    "octal": lambda text: chr(int(text[1:], 8)),
    "sign": lambda text: _ESCAPED[text[-1]],
    "colour": lambda _: "",
    "emphasis": lambda text: " " * len(text),
    "tags": lambda text: text.translate(TAGS),
    "unseen": lambda _: "",
}
