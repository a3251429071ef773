"""From the columns of somebody's file to the fields of an event."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from schemas.events import KINDS, Event
from schemas.fields import METADATA
from schemas.rejection import Reason, Rejected
from streams.errors import UserError, did_you_mean

FIELDS: Final = Event.__struct_fields__
_WITH_COMMA: Final = re.compile(r"[+-]?[\d.' ]*,[\d.,' ]*")


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode() if isinstance(value, (bool, int, float)) else value


def _label(value: Any) -> Any:
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()


def _integer(value: Any) -> Any:
    number = _number(value)
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        if _WITH_COMMA.fullmatch(value.strip()):
            raise Rejected(
                Reason.WRONG_TYPE, "a number with a comma: write 812.5 for 812,5 and 1200 for 1,200"
            ) from None
        return value


def _timestamp(value: Any) -> Any:
    if isinstance(value, str) and not value.strip().lstrip("-").isdigit():
        return value.strip()
    return _integer(value)


def _json(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            return value
    return value


def _texts(value: Any) -> Any:
    value = _json(value)
    return [value] if isinstance(value, str) else value


def _string_map(value: Any) -> Any:
    value = _json(value)
    if isinstance(value, dict):
        return {name: _text(entry) for name, entry in value.items() if entry is not None}
    return value


CONVERTERS: Final[dict[str, Callable[[Any], Any]]] = {
    "timestamp": _timestamp,
    "prompt_tokens": _integer,
    "completion_tokens": _integer,
    "latency_ms": _number,
    "ttft_ms": _number,
    "cost": _number,
    "contexts": _texts,
    "tool_calls": _json,
    "metadata": _string_map,
}
"""How a field's value is read from a text or a number; every other field is text."""


class MappedField:
    """Where a value goes: a field of an event, or one name of its metadata."""

    __slots__ = ("_convert", "_name", "field")

    def __init__(self, field: str) -> None:
        self.field = field
        self._name = field.removeprefix(METADATA) if field.startswith(METADATA) else ""
        self._convert = CONVERTERS.get(field, _label if self._name else _text)

    def put(self, event: dict[str, Any], value: Any) -> None:
        """Convert `value` and put it where it belongs; raises `Rejected` for a number with a comma."""
        try:
            converted = self._convert(value)
        except Rejected as rejected:
            raise Rejected(rejected.reason, f"`$.{self.field}`: {rejected.detail}") from None
        if not self._name:
            event[self.field] = converted
            return
        metadata = event.setdefault("metadata", {})
        if isinstance(metadata, dict):
            metadata[self._name] = converted


class FieldMap:
    """Makes the fields of an event from a row.

    A field comes from its constant, or else from the column mapped to it, or else from the column of its
    own name. An empty cell leaves a field out, except `text`. A value that does not fit stays as it is,
    for the decoder to refuse.
    """

    def __init__(
        self, columns: Mapping[str, str], constants: Mapping[str, str], metadata: Sequence[str] = ()
    ) -> None:
        """Take field to column, field to text, and the columns that become metadata.

        Raises `UserError` for a field that does not exist or has two sources, and for a kind that is none.
        """
        for field in [*columns, *constants]:
            _check(field)
        if doubled := sorted(columns.keys() & constants.keys()):
            raise UserError(f"{doubled[0]} has both --map and --set: leave one out")
        if (kind := constants.get("kind", KINDS[0])) not in KINDS:
            hint = did_you_mean(kind, KINDS)
            raise UserError(f"--set kind={kind}{hint}: a kind is {' or '.join(KINDS)}")
        self._constants: dict[str, Any] = {}
        for field, value in constants.items():
            try:
                MappedField(field).put(self._constants, value)
            except Rejected as rejected:
                reason = rejected.detail.partition(": ")[2]
                raise UserError(f"--set {field}={value}: {reason}") from None
        wanted = {field: field for field in FIELDS if field not in constants} | dict(columns)
        wanted |= {METADATA + column: column for column in metadata}
        self._targets: dict[str, list[MappedField]] = {}
        for field, column in wanted.items():
            self._targets.setdefault(column, []).append(MappedField(field))
        self._dotted = [(column, tuple(column.split("."))) for column in self._targets if "." in column]
        self.named = (*columns.values(), *metadata)
        """The columns that the user named."""
        self.given = frozenset([*columns, *constants])
        """The fields that the user named."""
        self.sources = frozenset(each for name in self.named for each in (name, name.partition(".")[0]))
        """The columns that values are taken from beside those named like a field."""
        self.unseen = set(self.named)
        """Those of them that no row had so far."""

    def check_columns(self, present: Sequence[str]) -> None:
        """Raise `UserError` when a named column is not in the file."""
        for column in self.named:
            if column not in present and column.partition(".")[0] not in present:
                raise UserError(
                    f"there is no column {column!r}{did_you_mean(column, present)}; the file has "
                    f"{', '.join(map(repr, present))}"
                )

    def apply(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields, ready to be encoded."""
        event = dict(self._constants)
        if "metadata" in event:
            event["metadata"] = dict(event["metadata"])
        for column, value in row.items():
            if (targets := self._targets.get(column)) is not None:
                self._put(event, column, targets, value)
        for column, path in self._dotted:
            if column not in row and (value := _follow(row, path)) is not None:
                self._put(event, column, self._targets[column], value)
        return event

    def _put(self, event: dict[str, Any], column: str, targets: Sequence["MappedField"], value: Any) -> None:
        if self.unseen:
            self.unseen.discard(column)
        if value is None or _is_nan(value):
            return
        for target in targets:
            if value != "" or target.field == "text":
                target.put(event, value)


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """Read `field=value` texts; raise `UserError` for a text without `=` or a field given twice."""
    found: dict[str, str] = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals or not field or (not value and option == "--map"):
            what = "FIELD=COLUMN" if option == "--map" else "FIELD=VALUE"
            raise UserError(f"{option} takes {what}, not {text!r}")
        if field in found:
            raise UserError(f"{option} {field} is given twice")
        found[field] = value
    return found


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _check(field: str) -> None:
    if field not in FIELDS and not (field.startswith(METADATA) and field != METADATA):
        raise UserError(
            f"an event has no field {field!r}{did_you_mean(field, FIELDS)}; "
            f"there are {', '.join(FIELDS)} and metadata.NAME"
        )


def _follow(row: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = row
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value
