"""Kafka's binary layouts, written as text and compiled once per version.

`name:type` is a field, `name:[…]` an array of structures, `name@2:type` a field since version 2 and
`name@2-4:type` one of versions 2 to 4. Structures are dicts. In a compact layout lengths are varints, and
each structure ends with tagged fields, which are passed over.
"""

import functools
import re
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

_WORD = re.compile(r"(\w+)(?:@(\d+)(?:-(\d+))?)?:(\[|\w+)|(\])")


class WireError(ValueError):
    """Bytes that do not follow their layout."""


class Reader:
    """A position in a request."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        piece = self.data[self.at : self.at + size]
        if len(piece) != size:
            raise WireError("the request ends early")
        self.at += size
        return piece


class Codec(NamedTuple):
    """Reads and writes one value; `default` is written where a response does not name the field."""

    read: Callable[[Reader], Any]
    write: Callable[[Any, list[bytes]], None]
    default: Any


def _number(code: str) -> Codec:
    packed = struct.Struct(">" + code)

    def read(reader: Reader) -> Any:
        (value,) = packed.unpack_from(reader.data, reader.at)
        reader.at += packed.size
        return value

    return Codec(read, lambda value, out: out.append(packed.pack(value)), 0)


def _sized(size: Codec, decode: Callable[[bytes], Any], encode: Callable[[Any], bytes]) -> Codec:
    """Return the codec of bytes after their length; a negative length is None."""

    def read(reader: Reader) -> Any:
        length = size.read(reader)
        return None if length < 0 else decode(reader.take(length))

    def write(value: Any, out: list[bytes]) -> None:
        data = None if value is None else encode(value)
        size.write(-1 if data is None else len(data), out)
        out.append(data or b"")

    return Codec(read, write, None)


def _array(item: Codec, size: Codec) -> Codec:
    def read(reader: Reader) -> Any:
        count = size.read(reader)
        if count > len(reader.data) - reader.at:  # an item takes a byte at least: no memory for a lie
            raise WireError("more items than bytes")
        return None if count < 0 else [item.read(reader) for _ in range(count)]

    def write(values: Any, out: list[bytes]) -> None:
        size.write(-1 if values is None else len(values), out)
        for value in values or ():
            item.write(value, out)

    return Codec(read, write, ())


def _read_varint(reader: Reader) -> int:
    value = 0
    # Five bytes hold 32 bits; more would be a length that nothing has.
    for shift in range(0, 35, 7):
        (byte,) = reader.take(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise WireError("a varint without an end")


def _write_varint(value: int, out: list[bytes]) -> None:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(bytes([*data, value]))


def _read_tags(reader: Reader) -> None:
    for _ in range(_read_varint(reader)):
        _read_varint(reader)
        reader.take(_read_varint(reader))


def _structure(fields: list[tuple[str, Codec]]) -> Codec:
    def write(value: Any, out: list[bytes]) -> None:
        for name, codec in fields:
            codec.write(value.get(name, codec.default), out)

    return Codec(lambda reader: {name: codec.read(reader) for name, codec in fields}, write, None)


def _types(text_size: Codec, size: Codec) -> dict[str, Codec]:
    items = {
        "bool": _number("?"),
        "i8": _number("b"),
        "i16": _number("h"),
        "i32": _number("i"),
        "i64": _number("q"),
        "uuid": Codec(lambda reader: reader.take(16), lambda value, out: out.append(value), bytes(16)),
        "str": _sized(text_size, bytes.decode, str.encode),
        "bytes": _sized(size, bytes, bytes),
    }
    return items | {f"{name}s": _array(codec, size) for name, codec in items.items()}


_I32 = _number("i")
# Compact lengths are one more than they are, so that 0 can mean none.
_VARINT = Codec(
    lambda reader: _read_varint(reader) - 1, lambda value, out: _write_varint(value + 1, out), None
)
_TAGS = Codec(_read_tags, lambda _, out: out.append(b"\0"), None)
_PLAIN, _COMPACT = _types(_number("h"), _I32), _types(_VARINT, _VARINT)


@functools.cache
def layout(text: str, version: int, *, compact: bool = False) -> Codec:
    """Return the codec of a structure in a version."""
    types, size = (_COMPACT, _VARINT) if compact else (_PLAIN, _I32)
    tags = [("tags", _TAGS)] if compact else []
    levels: list[list[tuple[str, Codec]]] = [[]]
    arrays: list[tuple[str, bool]] = []
    for name, low, high, kind, closing in _WORD.findall(text):
        if closing:
            codec = _array(_structure(levels.pop() + tags), size)
            name, present = arrays.pop()
        else:
            present = not low or int(low) <= version <= int(high or version)
            if kind == "[":
                arrays.append((name, present))
                levels.append([])
                continue
            codec = types[kind]
        if present:
            levels[-1].append((name, codec))
    return _structure(levels[0] + tags)


def decode(text: str, version: int, reader: Reader, *, compact: bool = False) -> dict[str, Any]:
    """Read a structure; raises `WireError`."""
    try:
        value: dict[str, Any] = layout(text, version, compact=compact).read(reader)
    except (struct.error, UnicodeDecodeError) as error:
        raise WireError(str(error)) from None
    return value


def encode(text: str, version: int, value: dict[str, Any], *, compact: bool = False) -> list[bytes]:
    """Write a structure, as pieces to be joined."""
    out: list[bytes] = []
    layout(text, version, compact=compact).write(value, out)
    return out


def read_tags(reader: Reader) -> None:
    """Pass over the tagged fields at the end of a compact request's header."""
    _read_tags(reader)
