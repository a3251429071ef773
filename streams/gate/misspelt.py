"""Names of fields that weir does not know: left out as ever, and said where they stand for one it does."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from streams.gate import native
from streams.gate.reading import json_of
from streams.ingest.field_names import LEFT_OUT, meant

MOST: Final = 8
"""Names that are said, and lines that are looked at."""
LOOKED: Final = 500
"""Names that are looked at."""
_OF_EVENT: Final = native.Check.__struct_fields__
_OF_REQUEST: Final = native.Request.__struct_fields__


def warnings(raw: bytes) -> list[str]:
    """Return what looks like a field by another name in the JSON of a request to `/v1/check`.

    Only names that resemble one are repeated: any other may be a text.
    """
    return _of(_unknown(raw))


def of_lines(lines: Sequence[bytes], known: Sequence[str]) -> list[str]:
    """Return the same of lines that are objects with such fields; of many the first ones are looked at."""
    return _of((name, known) for line in lines[:MOST] for name in _names(line) if name not in known)


def _of(names: Iterator[tuple[str, Sequence[str]]]) -> list[str]:
    try:
        found = set(islice(names, LOOKED))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []  # in what a request may hold beside its fields there may be anything
    return list(_said(sorted(found)[:MOST]))


def _unknown(raw: bytes) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield names that are no fields, and the fields that there are in their place."""
    given = json_of(raw, dict[str, msgspec.Raw])
    yield from ((name, _OF_REQUEST) for name in given.keys() - set(_OF_REQUEST))
    if "events" in given:
        events = msgspec.json.decode(given["events"], type=list[dict[str, msgspec.Raw]] | None) or ()
        yield from ((name, _OF_EVENT) for name in set().union(*events) - set(_OF_EVENT))


def _names(line: bytes) -> Collection[str]:
    try:
        return json_of(line, dict[str, msgspec.Raw]).keys()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()  # what is no object is refused as that


def _said(names: list[tuple[str, Sequence[str]]]) -> Iterator[str]:
    for name, known in names:
        if field := meant(name, known):
            yield LEFT_OUT.format(name, field)
