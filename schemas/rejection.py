"""Why a message is refused, said without repeating any of it."""

import codecs
import enum
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec


class Reason(enum.StrEnum):
    """Why a message became a dead letter; `docs/events.md` says what to do about each."""

    NULL_VALUE = "null_value"
    """A Kafka tombstone: a record without a value."""
    EMPTY = "empty"
    """No bytes, or nothing but white space."""
    TOO_LARGE = "too_large"
    """More bytes than the limit per message, or, unpacked, per record batch."""
    UNREADABLE_BATCH = "unreadable_batch"
    """A compressed record batch that is damaged; not given by the codec, but by the consumer."""
    INVALID_UTF8 = "invalid_utf8"
    """Not UTF-8 text: UTF-16, compressed or binary data, a schema registry's header."""
    INVALID_JSON = "invalid_json"
    """Not JSON: NaN and Infinity, a trailing comma, single quotes, a raw control character."""
    TRUNCATED_JSON = "truncated_json"
    """JSON that stops in the middle."""
    TRAILING_DATA = "trailing_data"
    """Something after the first JSON value: two objects, or JSON lines, in one message."""
    TOO_DEEP = "too_deep"
    """Nested more deeply than the parser allows."""
    NOT_AN_OBJECT = "not_an_object"
    """JSON, but an array, a string, a number or null at the top."""
    MISSING_FIELD = "missing_field"
    """A required field is absent."""
    WRONG_TYPE = "wrong_type"
    """A field holds another type than it should: a number for a string, null for a text."""
    INVALID_VALUE = "invalid_value"
    """The right type, but a value that is not allowed: an unknown kind, a negative or infinite number."""
    INVALID_LENGTH = "invalid_length"
    """An id or a name that is empty or too long; too many contexts, tool calls or entries of metadata."""
    INVALID_TIMESTAMP = "invalid_timestamp"
    """A text that is not an RFC 3339 date and time."""
    MISSING_TIMESTAMP = "missing_timestamp"
    """Neither the message nor its Kafka record says when it happened."""
    TIMESTAMP_TOO_OLD = "timestamp_too_old"
    """Further in the past than the limit."""
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"
    """Further in the future than the limit."""
    STORE_REJECTED = "store_rejected"
    """ClickHouse refused the row itself; not given by the codec, but by the archive."""


class Rejected(Exception):  # noqa: N818 (a verdict on a message that the caller acts on, not a fault of ours)
    """A message that is refused.

    `detail` says where and what was expected. It is made of our own words, field names, type names
    and positions, never of the payload, so it may be logged and sent on.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


_PATH: Final = re.compile(r" - at `(?:key in )?(\$[A-Za-z0-9_.\[\]]*)`$")
_STEP: Final = re.compile(r"[A-Za-z0-9_]+|\[[0-9.]*\]")
_MALFORMED: Final = re.compile(r"JSON is malformed: ([a-z0-9 -]+) \(byte (\d+)\)")
_WRONG_TYPE: Final = re.compile(r"Expected `[a-z |]+`, got `[a-z]+`")
_LENGTH: Final = re.compile(r"Expected `(?:str|array|object)` of length [<>]= \d+")
_BOUND: Final = re.compile(r"Expected `(?:int|float)` [<>]=? -?[0-9.]+")
_MISSING: Final = re.compile(r"Object missing required field `([a-z0-9_]+)`")

_MAGIC: Final = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4"))
# What serializers of schema registries write before the message: Confluent and Apicurio 0 and an id,
# Confluent since version 8 also 1 and a UUID, AWS Glue 3, a flag for compression and a UUID.
_REGISTRY: Final = re.compile(rb"\0\0..|\x01.{16}\s*\{|\x03[\0\x05].{16}", re.DOTALL)
_UTF32: Final = re.compile(rb"\0\0(?:\xfe\xff|\0[^\0]\0\0\0|\0[^\0]\Z)", re.DOTALL)
_NOT_A_NUMBER: Final = (b"NaN", b"Infinity", b"-Infinity", b"nan", b"inf", b"-inf")


def explain(error: Exception, payload: bytes, kind: Any) -> Rejected:
    """Turn what msgspec raised for `payload` into a reason and a detail free of the payload's text.

    Only messages that are known to be made of field names, types and limits are passed on; any other
    (msgspec repeats a bad enum value, for one) is replaced. `kind` is the type that was expected: by that
    the values are named that would have been allowed.
    """
    if isinstance(error, RecursionError):
        return Rejected(Reason.TOO_DEEP, "nested too deeply")
    if isinstance(error, msgspec.ValidationError):
        return _explain_validation(str(error), kind)
    return _explain_encoding(payload) or _explain_syntax(str(error), payload)


def _explain_validation(message: str, kind: Any) -> Rejected:
    found = _PATH.search(message)
    path, what = (found[1], message[: found.start()]) if found else ("$", message)
    where = f"`{path}`: "
    if missing := _MISSING.fullmatch(what):
        return Rejected(Reason.MISSING_FIELD, f"{where}required field `{missing[1]}` is missing")
    if _WRONG_TYPE.fullmatch(what):
        reason = Reason.NOT_AN_OBJECT if path == "$" else Reason.WRONG_TYPE
        return Rejected(reason, where + what.replace("Expected", "expected"))
    if _LENGTH.fullmatch(what):
        return Rejected(Reason.INVALID_LENGTH, where + what.replace("Expected", "expected"))
    if _BOUND.fullmatch(what):
        return Rejected(Reason.INVALID_VALUE, where + what.replace("Expected", "expected"))
    if what.startswith("Invalid RFC3339"):
        return Rejected(Reason.INVALID_TIMESTAMP, f"{where}expected RFC 3339, such as 2030-01-31T12:00:00Z")
    if "out of range" in what:
        return Rejected(Reason.INVALID_VALUE, f"{where}number out of range")
    values = _allowed(kind, path)
    hint = f": it is one of {', '.join(values)}" if values else ""
    return Rejected(Reason.INVALID_VALUE, f"{where}value is not allowed{hint}")


def _allowed(kind: Any, path: str) -> tuple[str, ...]:
    """Return the values that a type has for the field at a path such as `$.events[0].kind`; () for any."""
    found = [msgspec.inspect.type_info(kind)]
    for step in _STEP.findall(path):
        found = [inner for each in found for inner in _inside(each, step)]
    return tuple(str(value) for each in _plain(found) if isinstance(each, msgspec.inspect.LiteralType)
                 for value in each.values)  # fmt: skip


def _plain(found: list[msgspec.inspect.Type]) -> Iterator[msgspec.inspect.Type]:
    """Yield the types, in place of one with limits or of several the types in it."""
    for each in found:
        if isinstance(each, msgspec.inspect.UnionType):
            yield from _plain(list(each.types))
        elif isinstance(each, msgspec.inspect.Metadata):
            yield from _plain([each.type])
        else:
            yield each


def _inside(kind: msgspec.inspect.Type, step: str) -> Iterator[msgspec.inspect.Type]:
    """Yield the types of a field, or of the items where the step is an index."""
    for each in _plain([kind]):
        if isinstance(each, msgspec.inspect.StructType):
            yield from (field.type for field in each.fields if field.encode_name == step)
        elif isinstance(each, msgspec.inspect.CollectionType):
            yield each.item_type


def _explain_encoding(payload: bytes) -> Rejected | None:
    for magic, name in _MAGIC:
        if payload.startswith(magic):
            hint = "let Kafka compress (compression.type) and publish plain JSON"
            return Rejected(Reason.INVALID_UTF8, f"looks like {name}: {hint}")
    if _REGISTRY.match(payload) and not _UTF32.match(payload):
        return Rejected(Reason.INVALID_UTF8, "a schema registry's header: publish plain JSON")
    if payload.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in payload[:2]:
        return Rejected(Reason.INVALID_UTF8, "looks like UTF-16 or UTF-32: publish UTF-8")
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        # A text cut inside a character is cut, not badly encoded.
        if error.end == len(payload) and error.reason == "unexpected end of data":
            return None
        return Rejected(Reason.INVALID_UTF8, f"not UTF-8 at byte {error.start}")
    return None


def _explain_syntax(message: str, payload: bytes) -> Rejected:
    malformed = _MALFORMED.fullmatch(message)
    what, byte = (malformed[1], int(malformed[2])) if malformed else ("", len(payload))
    if what == "trailing characters":
        return Rejected(Reason.TRAILING_DATA, "more data after the first JSON value")
    if malformed is None:
        return Rejected(Reason.TRUNCATED_JSON, f"ends in the middle, after {byte} bytes")
    if payload.startswith(_NOT_A_NUMBER, byte):
        return Rejected(Reason.INVALID_JSON, f"NaN and Infinity are not JSON, at byte {byte}")
    return Rejected(Reason.INVALID_JSON, f"{what} at byte {byte}")
