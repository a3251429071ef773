"""Makes readable what is nearly UTF-8: half of a surrogate pair, a stray byte.

A text that cannot be read cannot be judged, and whoever writes it can put such a byte into it on purpose.
So what is no character becomes U+FFFD, as every browser shows it, and the rest is kept.
"""

import re
from typing import Any, Final

import msgspec

_HALF: Final = rb"u[dD][89a-fA-F][0-9a-fA-F]{2}"
_WHOLE: Final = rb"(?:[^u]|u(?![dD][89a-fA-F])|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
# Walks from escape to escape, so that the second half of `\\` begins none, over as many as are whole at once:
# a call for each would take a tenth of a second per megabyte. A thousand at most: each is remembered for
# going back, and without a bound a megabyte takes 60. Group 1 is half of a pair.
_ESCAPE: Final = re.compile(rb"\\(?:%b(?:[^\\]*+\\%b){0,1000}|(%b))" % (_WHOLE, _WHOLE, _HALF))
# Surrogates in the three bytes that UTF-8 has for them (CESU-8, WTF-8): a pair, or half of one. 0xED begins a
# character and is never in the middle of one.
_RAW: Final = re.compile(
    rb"\xed[\xa0-\xaf][\x80-\xbf](?:\xed[\xb0-\xbf][\x80-\xbf])?|\xed[\xb0-\xbf][\x80-\xbf]"
)


def mended(payload: bytes) -> bytes:
    """Return JSON with U+FFFD in place of lone surrogates, written as `\\u` escape or as bytes, and of bytes
    that are not UTF-8.

    Two raw halves that belong together become their character. Escapes keep their length, so the
    positions of what comes after them stay.
    """
    if not payload.isascii():
        payload = _RAW.sub(_joined, payload).decode(errors="replace").encode()
    return _ESCAPE.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], payload)


def mended_text(text: str) -> str:
    """Return a text that UTF-8 can hold: surrogates are joined, or become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
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


def _joined(halves: re.Match[bytes]) -> bytes:
    code = halves[0]
    if len(code) == 3:
        return b"\xef\xbf\xbd"
    high, low = (code[1] & 15) << 6 | code[2] & 63, (code[4] & 15) << 6 | code[5] & 63
    return chr(0x10000 + (high << 10) + low).encode()
