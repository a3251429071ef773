"""Fields of forms: what was asked for comes back from them as it was, whatever it holds."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from streams.desk.html import Html, el

ALSO: Final = "also"
"""Holds values that no field gives back, percent-encoded as the query of an address has them."""
# Browsers take line ends out of a field or make two characters of one; some controls HTML cannot write.
_CHANGED: Final = re.compile("[\0-\x08\n-\x1f\x7f-\x9f]")


def is_kept(value: str) -> bool:
    """Say whether a field gives a value back as it was."""
    return not _CHANGED.search(value)


def chosen(value: str) -> str:
    """Return a value as a choice of a form has it, whatever its characters; `unquote` gives it back."""
    return quote(value, safe="", errors="replace")


def hidden(values: Mapping[str, str]) -> list[Html]:
    """Return values as fields that nobody sees."""
    fields = {name: value for name, value in values.items() if is_kept(value)}
    if len(fields) < len(values):
        others = {name: value for name, value in values.items() if name not in fields}
        fields[ALSO] = urlencode(others, errors="replace")
    return [el("input", {"type": "hidden", "name": name, "value": value}) for name, value in fields.items()]


def values_of(given: Mapping[str, str]) -> dict[str, str]:
    """Return what an address or a form of ours says."""
    return dict(parse_qsl(given.get(ALSO, ""))) | {**given}
