"""HTML whose every text is escaped: what is shown is an attacker's."""

import datetime as dt
import html
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

LONG: Final = 20_000
"""Characters of a text that are shown at most."""
_WRITTEN: Final = frozenset("\t\n\u00ad\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2")
"""Controls and formats, as Unicode has it, that stand for something to be seen, or do no harm."""
_PLANES: Final = (*range(0x20000), *range(0xE0000, 0xE0200))
"""Where Unicode has marks and formats: the planes between hold ideographs, or nothing."""


def _patterns() -> tuple[str, str]:
    """Return controls and formats, and marks, as ranges for a pattern."""
    kinds = {"Cc": 0, "Cf": 0, "Cs": 0, "Mn": 1, "Me": 1}
    ranges: tuple[list[list[int]], list[list[int]]] = [], []
    for code in _PLANES:
        kind = kinds.get(unicodedata.category(chr(code)))
        if kind is None or chr(code) in _WRITTEN:
            continue
        if ranges[kind] and ranges[kind][-1][1] == code - 1:
            ranges[kind][-1][1] = code
        else:
            ranges[kind].append([code, code])
    controls, marks = ("".join(f"\\U{a:08x}-\\U{z:08x}" for a, z in each) for each in ranges)
    return controls, marks


_CONTROL, _MARK = _patterns()
_CONTROLS: Final = re.compile(f"[{_CONTROL}]")
_REFERENCES: Final = re.compile(rf"[{_CONTROL}{_MARK}](?<![\x80-\x9f])")
"""What stands in a value by its number. By the numbers of the others HTML means something else."""
_MARKS: Final = re.compile(f"([{_MARK}]{{4}})[{_MARK}]+")
_AMOUNT: Final = re.compile(r"[-+]?[\d,]*\.?\d+%?")
_TAG: Final = re.compile("<[^>]*>")
_VOID: Final = frozenset({"input", "link", "meta", "br"})


class Html(str):
    """Text that is HTML already, and is not escaped again."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def readable(text: str, most: int = LONG) -> str:
    """Return a text with what would steer the page made visible, at most so many characters of it.

    Controls, bidirectional overrides and invisible characters show as their number; marks that pile up on a
    letter are cut.
    """
    shown = _MARKS.sub(r"\1…", _CONTROLS.sub(lambda found: f"⟨{ord(found[0]):04X}⟩", text[:most]))
    return shown if len(text) <= most else f"{shown} … ({len(text) - most:,} more characters)"


def exact(text: str) -> Html:
    """Return a text that a form gives back as it is: what would steer the page stands there by its number."""
    return Html(_REFERENCES.sub(lambda found: f"&#{ord(found[0])};", html.escape(text)))


def el(name: str, attributes: Mapping[str, str | None] | None = None, *children: Child) -> Html:
    """Return an element; an attribute that is None is left out, and only a `value` is not made readable."""
    given = "".join(
        f' {key}="{_value(key, value)}"' for key, value in (attributes or {}).items() if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{''.join(map(_rendered, children))}</{name}>")


def _value(key: str, value: str) -> str:
    return exact(value) if key == "value" else html.escape(readable(value))


def _rendered(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return html.escape(readable(child))
    if isinstance(child, (int, float)):
        return _number(child)
    return "".join(map(_rendered, child))


def _number(value: float) -> str:
    """Return a number with three digits that count, and never as a power of ten."""
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    if 0 < abs(value) < 1e-4:
        return f"{value:.{min(9, 2 - math.floor(math.log10(abs(value))))}f}"
    return f"{value:.3g}"


def moment_text(moment: dt.datetime, *, seconds: bool = False) -> str:
    """Return a time (UTC) for a person, with the year where it is not this one."""
    year = "" if moment.year == dt.datetime.now(dt.UTC).year else f" {moment.year}"
    return f"{moment:%d %b}{year} {moment:{'%H:%M:%S' if seconds else '%H:%M'}}"


def table(head: Iterable[str], rows: Iterable[Iterable[Child]], caption: str, sql: int = 0) -> Html:
    """Return a table whose rows become cards on a phone; `sql` is the number of its statement."""
    head, cells = [*head], [[*row] for row in rows]
    sorts = ["n" if _are_numbers(column) else None for column in zip(*cells, strict=True)]
    # A card has no line of names above it: each of its cells says its own.
    names = [
        {"data-name": _plain(name) or None, "class": sort} for name, sort in zip(head, sorts, strict=False)
    ]
    body = [
        el("tr", None, *(el("td", name, cell) for name, cell in zip(names, row, strict=True)))
        for row in cells
    ]
    if not body:
        return el("p", {"class": "none"}, f"{caption}: none.", behind(sql))
    line = el(
        "tr", None,
        *(el("th", {"scope": "col", "class": sort}, name) for name, sort in zip(head, sorts, strict=True)),
    )  # fmt: skip
    whole = el(
        "table",
        None,
        el("caption", None, caption, behind(sql)),
        el("thead", None, line),
        el("tbody", None, body),
    )
    return el("div", {"class": "wide", "tabindex": "0", "role": "region", "aria-label": caption}, whole)


def _are_numbers(cells: Iterable[Child]) -> bool:
    """Say whether a column has numbers alone, which stand below each other by their ends."""
    there = [cell for cell in cells if cell not in (None, "")]
    return bool(there) and all(
        isinstance(cell, (int, float))
        or (isinstance(cell, str) and not isinstance(cell, Html) and _AMOUNT.fullmatch(cell))
        for cell in there
    )


def _plain(name: str) -> str:
    """Return a name without the elements that it may be made of."""
    return html.unescape(_TAG.sub("", name)) if isinstance(name, Html) else name


def behind(sql: int) -> Html | None:
    """Return the link to a statement at the foot of the page; None of no number."""
    if not sql:
        return None
    return el(
        "a", {"href": f"#sql-{sql}", "class": "sql", "aria-label": f"SQL behind it, statement {sql}"}, "SQL"
    )


def marked(text: str, pieces: Iterable[tuple[int, int, str]]) -> list[Child]:
    """Return a text with pieces of it marked: first and end character, and what is said of it.

    Of pieces that overlap the longer one stays.
    """
    parts: list[Child] = []
    at = 0
    for start, end, why in sorted(set(pieces), key=lambda piece: (piece[0], -piece[1])):
        if start >= at and end > start:
            parts += [text[at:start], el("mark", {"title": why}, text[start:end])]
            at = end
    return [*parts, text[at:]]
