"""Names of fields that weir does not know: left out as ever, and said where they look misspelt."""

import difflib
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from streams.gate import native
from streams.gate.reading import json_of

MOST: Final = 8
"""Names that are looked at."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,30}")
_OF_EVENT: Final = native.Check.__struct_fields__
_OF_REQUEST: Final = native.Request.__struct_fields__


def warnings(raw: bytes) -> list[str]:
    """Return what looks misspelt in the JSON of a request to `/v1/check`.

    Only names that resemble a field are repeated: any other may be a text.
    """
    try:
        names = set(_unknown(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []  # in what a request may hold beside its fields there may be anything
    return list(_said(sorted(names)[:MOST]))


def _unknown(raw: bytes) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield names that are no fields, and the fields that there are in their place."""
    given = json_of(raw, dict[str, msgspec.Raw])
    yield from ((name, _OF_REQUEST) for name in given.keys() - set(_OF_REQUEST))
    if "events" in given:
        events = msgspec.json.decode(given["events"], type=list[dict[str, msgspec.Raw]] | None) or ()
        yield from ((name, _OF_EVENT) for name in set().union(*events) - set(_OF_EVENT))


def _said(names: list[tuple[str, tuple[str, ...]]]) -> Iterator[str]:
    for name, known in names:
        if _NAME.fullmatch(name) and (like := difflib.get_close_matches(name.lower(), known, 1, 0.75)):
            yield f"`{name}` is no field and was left out: is `{like[0]}` meant?"
