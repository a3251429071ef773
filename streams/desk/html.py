"""HTML whose every text is escaped: what is shown is an attacker's."""

import html
import re
from collections.abc import Iterable, Mapping
from typing import Final

LONG: Final = 20_000
"""Characters of a text that are shown at most."""
_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)
_MARKS: Final = re.compile(
    "([\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{4})[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)
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


def el(name: str, attributes: Mapping[str, str | None] | None = None, *children: Child) -> Html:
    """Return an element; an attribute that is None is left out."""
    given = "".join(
        f' {key}="{html.escape(readable(value), quote=True)}"'
        for key, value in (attributes or {}).items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{''.join(map(_rendered, children))}</{name}>")


def _rendered(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return html.escape(readable(child))
    if isinstance(child, (int, float)):
        return html.escape(f"{child:,.0f}" if isinstance(child, int) or abs(child) >= 100 else f"{child:.3g}")
    return "".join(map(_rendered, child))


def table(head: Iterable[Child], rows: Iterable[Iterable[Child]], caption: str) -> Html:
    """Return a table that scrolls by itself where it is too wide."""
    body = [el("tr", None, *(el("td", None, cell) for cell in row)) for row in rows]
    if not body:
        return el("p", {"class": "none"}, f"{caption}: none in this time.")
    names = el("tr", None, *(el("th", {"scope": "col"}, name) for name in head))
    whole = el("table", None, el("caption", None, caption), el("thead", None, names), el("tbody", None, body))
    return el("div", {"class": "wide", "tabindex": "0", "role": "region", "aria-label": caption}, whole)
