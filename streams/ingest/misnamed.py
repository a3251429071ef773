"""What is said of rows that have a field of an event by another name."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import msgspec

from schemas.events import KINDS
from schemas.rejection import Reason, Rejected
from streams.ingest.field_map import FIELDS, FieldMap
from streams.ingest.field_names import LEFT_OUT, meant
from streams.ingest.files import InputRow
from streams.ingest.lines import parsed

LOOKED: Final = 500
"""Names that are looked at: a row may have any number that no other has."""
_MISSING: Final = re.compile(r"required field `(\w+)` is missing")


class LeftOut:
    """Tells, once each, the names in rows that are left out though they stand for a field.

    Only names that resemble one are repeated: any other may be a text. A field that --map or --set gives
    is meant by no other name.
    """

    def __init__(self, fields: FieldMap | None) -> None:
        self._given = fields.given if fields else frozenset()
        self._seen = {*FIELDS, *(fields.sources if fields else ())}
        self._most = len(self._seen) + LOOKED

    def __call__(self, row: InputRow) -> Iterator[str]:
        """Yield what is said of the names that no row before had."""
        names = _names(row.value) if isinstance(row.value, bytes) else row.value.keys()
        for name in [each for each in names if each not in self._seen]:
            if len(self._seen) == self._most:
                return
            self._seen.add(name)
            field = meant(name, FIELDS)
            if field and field not in self._given:
                hint = "" if field in names else f" --map {field}={name} takes it"
                yield LEFT_OUT.format(name, field) + hint


def named(rejected: Rejected, given: Mapping[str, Any]) -> Rejected:
    """Return the same with the name in the row that stands for the field which is missing, where one does.

    What `role` and `type` hold is often no kind: then --map would not help.
    """
    found = _MISSING.search(rejected.detail) if rejected.reason is Reason.MISSING_FIELD else None
    if found is None:
        return rejected
    field_ = found[1]
    for name, value in given.items():
        if field_ == "kind" and value not in KINDS:
            continue
        if name not in FIELDS and meant(name, FIELDS) == field_:
            said = f"{rejected.detail}: is `{name}` meant? --map {field_}={name} takes it"
            return Rejected(rejected.reason, said)
    return rejected


def _names(line: bytes) -> Collection[str]:
    try:
        return msgspec.json.decode(line, type=dict[str, msgspec.Raw]).keys()
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # empty, or to be mended
    try:
        return parsed(line).keys()
    except Rejected:
        return ()
