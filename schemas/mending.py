"""Makes readable what is nearly UTF-8: half of a surrogate pair, a stray byte.

A text that cannot be read cannot be judged, and whoever writes it can put such a byte into it on purpose.
So what is no character becomes U+FFFD, as every browser shows it, and the rest is kept.
"""

from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
_ESCAPE: Final = 6
"""Bytes of `\\ud800`; a surrogate has three as they are (CESU-8, WTF-8)."""
_RAW: Final = 3
_HEX: Final = np.full(256, 255, np.uint8)
"""What a digit stands for, by its byte."""
_HEX[list(b"0123456789abcdef")] = _HEX[list(b"0123456789ABCDEF")] = range(16)


def mended(payload: bytes) -> bytes:
    """Return JSON with U+FFFD in place of lone surrogates, written as `\\u` escape or as bytes, and of bytes
    that are not UTF-8.

    Two raw halves that belong together become their character. Escapes keep their length, so the
    positions of what comes after them stay.
    """
    if not payload.isascii():
        payload = _mended_raw(payload).decode(errors="replace").encode()
    return _mended_escapes(payload)


def mended_text(text: str) -> str:
    """Return a text that UTF-8 can hold: surrogates are joined, or become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2").copy()
        at = np.flatnonzero((units & 0xF800) == 0xD800)
        units[at[~_whole(at, (units[at] & 0x400) == 0, 1)]] = 0xFFFD
        return units.tobytes().decode("utf-16-le")
    return text


def parse(payload: bytes | str) -> Any:
    """Return what JSON holds, mended where needed.

    Raises:
        ValueError: it is not JSON (`msgspec.DecodeError`), or nested too deeply.

    """
    if isinstance(payload, str):
        payload = payload.encode("utf-8", "surrogatepass")
    try:
        try:
            return msgspec.json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.decode(mended(payload))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _mended_escapes(payload: bytes) -> bytes:
    if b"\0" in payload:  # no JSON, and what would be put in its place is
        return payload
    # In a row of backslashes two and two are one escape: without these every one begins an escape.
    padded = payload.replace(rb"\\", b"\0\0") + bytes(_ESCAPE)
    code = np.frombuffer(padded, np.uint8).copy()
    at = np.flatnonzero(code == ord("\\"))
    at = at[(code[at + 1] == ord("u")) & (_HEX[code[at + 2]] == 0xD)]
    third = _HEX[code[at + 3]]
    halves = (third >= 8) & (third < 16) & (_HEX[code[at + 4]] < 16) & (_HEX[code[at + 5]] < 16)
    if not halves.any():
        return payload
    at, third = at[halves], third[halves]
    alone = at[~_whole(at, third < 0xC, _ESCAPE)]
    for place, byte in enumerate(b"fffd", 2):
        code[alone + place] = byte
    return code[:-_ESCAPE].tobytes().replace(b"\0\0", rb"\\")


def _mended_raw(payload: bytes) -> bytes:
    if b"\xed" not in payload:  # which begins a character, and is never in the middle of one
        return payload
    code = np.frombuffer(payload + bytes(2 * _RAW), np.uint8).copy()
    at = np.flatnonzero(code == 0xED)
    at = at[(code[at + 1] >= 0xA0) & (code[at + 1] < 0xC0) & (code[at + 2] & 0xC0 == 0x80)]
    high = code[at + 1] < 0xB0
    whole = _whole(at, high, _RAW)
    for place, byte in enumerate(b"\xef\xbf\xbd"):
        code[at[~whole] + place] = byte
    pairs = at[whole & high]
    sixes = [code[pairs + place].astype(np.uint32) & 63 for place in range(2 * _RAW)]
    point = 0x10000 + ((sixes[1] & 15) << 16 | sixes[2] << 10 | (sixes[4] & 15) << 6 | sixes[5])
    for place, (shift, first) in enumerate(((18, 0xF0), (12, 0x80), (6, 0x80), (0, 0x80))):
        code[pairs + place] = first | point >> shift & 63
    kept = np.ones(len(code), np.bool_)
    kept[pairs + 4] = kept[pairs + 5] = kept[len(payload) :] = False
    return code[kept].tobytes()


def _whole(at: Places, high: Mask, step: int) -> Mask:
    """Return which of the surrogates at these places belong to a pair, the other half `step` further on."""
    pairs = high[:-1] & ~high[1:] & (np.diff(at) == step)
    whole = np.zeros(len(at), np.bool_)
    whole[:-1] |= pairs
    whole[1:] |= pairs
    return whole
