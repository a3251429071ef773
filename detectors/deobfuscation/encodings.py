"""Text inside an encoding: escapes, read in place, and payloads such as base64, decoded on their own."""

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator
from string import ascii_letters, ascii_uppercase
from typing import Final, NamedTuple
from urllib.parse import unquote

from detectors.deobfuscation.characters import TAGS

_PERCENT: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_PERCENT_LETTER: Final = re.compile(r"%(?:25)*(?:20|[46][1-9A-Fa-f]|[57][0-9Aa])")
_PRINTABLE: Final = re.compile(r"(?:=[2-7][0-9A-F]){4,}")
_ENTITY: Final = re.compile(r"&#(?:[0-9]{1,7}|[xX][0-9A-Fa-f]{1,6});?")
_ESCAPE: Final = re.compile(
    r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|([01][0-7]{2}))"
)
_FEWEST: Final = 3
"""Escapes of ASCII in one text from which on it is decoded: nobody escapes ASCII letters by chance."""

_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{8,}")
_OVERRIDDEN: Final = re.compile("\u202e(?P<shown>[^\u202c\n]{2,10000})\u202c?")
_TAGS: Final = re.compile("[\U000e0020-\U000e007e]{8,}")
_BASE64: Final = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}(?:\r?\n[A-Za-z0-9+/_-]+)*={0,2}")
_BASE32: Final = re.compile(r"(?<![A-Za-z0-9])[A-Z2-7]{16,}={0,6}")
_HEX: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:0x|\\x)?[0-9A-Fa-f]{2}(?:[\s,:;-]{0,2}(?:0x|\\x)?[0-9A-Fa-f]{2}){9,}(?![0-9A-Za-z])"
)
_HEX_NOISE: Final = re.compile(r"0x|\\x|[^0-9A-Fa-f]+")
_BINARY: Final = re.compile(r"(?<![01])[01]{8}(?:[\s,]{0,2}[01]{8}){9,}(?![01])")
_NOT_BINARY: Final = re.compile("[^01]+")
_DECIMAL: Final = re.compile(r"(?<![0-9])(?:[1-9][0-9]{1,2}[\s,;]{1,2}){9,}[1-9][0-9]{1,2}(?![0-9])")
_NUMBER: Final = re.compile("[0-9]+")
# Of base 85 (ascii85; RFC 1924, as git and Python have it), which have signs as no word has them.
_BASE85: Final = (
    ("ascii85", re.compile(r"(?:<~)?([!-u]{15,4000})(?:~>)?"), base64.a85decode),
    ("base85", re.compile(r"([0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]{15,4000})"), base64.b85decode),
)
_WORD: Final = re.compile(r"\S+")
_SIGN: Final = re.compile("[^A-Za-z0-9]")
_FEWEST_SIGNS: Final = 3
_SHORTEST_BASE85: Final = 15

_FEWEST_LETTERS: Final = 8
_SHARE_OF_LETTERS: Final = 0.7
_SHARE_OF_NOISE: Final = 0.05


_SHORTEST: Final = 16
"""Characters of an encoding's alphabet in a row, of which each payload but those in codes has so many."""
_LONG_RUN: Final = b"x" * _SHORTEST
_CODE_RUN: Final = "h" * 20
"""Ten bytes in hex, the fewest that hold eight letters and a space, with nothing else between."""


class Payload(NamedTuple):
    """What a span of a text, in characters and `end` excluded, says when decoded."""

    how: str
    start: int
    end: int
    text: str


def has_codes(text: str) -> bool:
    """Return whether a run of digits, hex letters and separators is long enough for a payload in codes."""
    return _CODE_RUN in text.encode("ascii", "replace").translate(_CODE_CLASSES).decode("ascii")


def has_word(text: str, length: int) -> bool:
    """Return whether so many characters follow each other without a blank between them."""
    return b"x" * length in text.encode("ascii", "replace").translate(_BLANKS)


def decode_percent(text: str) -> str:
    """Return the text with percent-encoded and quoted-printable runs decoded as UTF-8."""
    if text.count("%") >= _FEWEST and len(_PERCENT_LETTER.findall(text)) >= _FEWEST:
        text = _PERCENT.sub(lambda match: unquote(match[0]), text)
    if text.count("=") > _FEWEST:
        text = _PRINTABLE.sub(lambda match: unquote(match[0].replace("=", "%")), text)
    return text


def decode_entities(text: str) -> str:
    """Return the text with numeric HTML entities decoded, if some of them are ASCII letters."""
    entities = _ENTITY.findall(text)
    if len(entities) < _FEWEST or sum(map(_is_letter, map(html.unescape, entities))) < _FEWEST:
        return text
    return _ENTITY.sub(lambda match: html.unescape(match[0]), text)


def decode_escapes(text: str) -> str:
    r"""Return the text with \uXXXX, \xXX and octal escapes decoded, if some of them are ASCII letters."""
    if text.count("\\") < _FEWEST or sum(map(_is_letter, map(_unescape, _ESCAPE.finditer(text)))) < _FEWEST:
        return text
    return _ESCAPE.sub(_unescape, text)


def payloads(text: str, depth: int = 1) -> Iterator[Payload]:
    """Yield the payloads that decode to readable text, those within them too, down to `depth`.

    A payload inside another has the span of the outer one and both names, "base64+hex".
    """
    for how, start, end, decoded in _candidates(text):
        if is_readable(decoded):
            yield Payload(how, start, end, decoded)
        if depth and "\ufffd" not in decoded:
            for inner in payloads(decoded, depth - 1):
                yield Payload(f"{how}+{inner.how}", start, end, inner.text)


def values(text: str, depth: int = 2) -> Iterator[Payload]:
    """Yield the payloads that decode to characters that can be shown, words or not, and those within them.

    That may be a key or a number, of which nobody can tell by the letters that it is something to read.
    """
    for how, start, end, decoded in _candidates(text):
        if len(decoded) >= _FEWEST_LETTERS and decoded.isprintable() and "\ufffd" not in decoded:
            yield Payload(how, start, end, decoded)
            if depth:
                for inner in values(decoded, depth - 1):
                    yield Payload(f"{how}+{inner.how}", start, end, inner.text)


def base85(text: str) -> Iterator[Payload]:
    """Yield the words that decode from base 85 to ASCII that can be shown: by chance hardly any does."""
    if not has_word(text, _SHORTEST_BASE85):
        return
    words = {word for word in text.split() if len(word) >= _SHORTEST_BASE85 and word.isascii()}
    signed = [word for word in words if len(set(_SIGN.findall(word))) >= _FEWEST_SIGNS]
    for how, pattern, decoder in _BASE85:
        known = {word: shown for word in signed if (shown := _from_base85(word, pattern, decoder))}
        for match in _WORD.finditer(text) if known else ():
            if match[0] in known:
                yield Payload(how, *match.span(), known[match[0]])


def _from_base85(word: str, pattern: re.Pattern[str], decoder: Callable[[bytes], bytes]) -> str:
    match = pattern.fullmatch(word)
    if not match or len(set(_SIGN.findall(match[1]))) < _FEWEST_SIGNS or not _shown(decoder, match[1][:5]):
        return ""
    return _shown(decoder, match[1].removesuffix("~>"))


def is_readable(text: str) -> bool:
    """Return whether a decoded text is one: letters and spaces mostly, and hardly a control character."""
    letters = sum(map(str.isalpha, text))
    spaces = sum(map(str.isspace, text))
    printable = sum(map(str.isprintable, text)) + sum(map(text.count, "\n\r\t"))
    noise = len(text) - printable + text.count("\ufffd")
    return (
        letters >= _FEWEST_LETTERS
        and (" " in text or not text.isascii())
        and letters + spaces >= _SHARE_OF_LETTERS * len(text)
        and noise <= _SHARE_OF_NOISE * len(text)
    )


def invisible_payloads(text: str) -> Iterator[Payload]:
    """Yield what runs of tag characters, of variation selectors and under a right-to-left override say.

    Tag characters map one to one to ASCII; variation selectors, of which there are 256, to bytes of UTF-8.
    A reader sees what stands under an override from right to left (UAX #9).
    """
    for match in _OVERRIDDEN.finditer(text):
        yield Payload("right_to_left", *match.span(), match["shown"][::-1])
    for match in _TAGS.finditer(text):
        yield Payload("tag_characters", *match.span(), match[0].translate(TAGS))
    for match in _SELECTORS.finditer(text):
        decoded = _decode(bytes(map(_selected, match[0])))
        if is_readable(decoded):
            yield Payload("variation_selectors", *match.span(), decoded)


def _candidates(text: str) -> Iterator[Payload]:
    if len(text) < _SHORTEST:
        return
    data = text.encode("ascii", "replace")
    for match in _of_runs(text, data.translate(_BASE64_CLASSES), _BASE64):
        yield from _base64_runs(match)
    for match in _of_runs(text, data.translate(_BASE32_CLASSES), _BASE32):
        yield Payload("base32", *match.span(), _decode(_from_base32(match[0])))
    for how, pattern, decoder in _OF_CODES if has_codes(text) else ():
        for match in pattern.finditer(text):
            yield Payload(how, *match.span(), _decode(decoder(match[0])))


def _of_runs(text: str, classes: bytes, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Yield what a search would find, which tries every character: by the long runs of one class."""
    position = classes.find(_LONG_RUN)
    while position >= 0:
        match = pattern.match(text, classes.rfind(b" ", 0, position) + 1)
        if match:
            yield match
        end = match.end() if match else classes.find(b" ", position)
        position = classes.find(_LONG_RUN, end) if end >= 0 else -1


def _base64_runs(match: re.Match[str]) -> Iterator[Payload]:
    """Yield what the lines decode to together, or where that is nothing readable, each line."""
    whole = _decode(_from_base64(match[0]))
    if "\n" not in match[0] or is_readable(whole):
        yield Payload("base64", *match.span(), whole)
        return
    start = match.start()
    for line in match[0].splitlines(keepends=True):
        yield Payload("base64", start, start + len(line.rstrip()), _decode(_from_base64(line)))
        start += len(line)


def _from_base64(run: str) -> bytes:
    digits = "".join(run.split()).rstrip("=").translate(_URL_SAFE)
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    return base64.b64decode(digits + "=" * (-len(digits) % 4))


def _from_base32(run: str) -> bytes:
    digits = run.rstrip("=")
    try:
        return base64.b32decode(digits + "=" * (-len(digits) % 8))
    except binascii.Error:  # a length that no number of bytes has
        return b""


def _from_hex(run: str) -> bytes:
    digits = _HEX_NOISE.sub("", run)
    return bytes.fromhex(digits[: len(digits) & ~1])


def _from_binary(run: str) -> bytes:
    bits = _NOT_BINARY.sub("", run)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _from_decimal(run: str) -> bytes:
    codes = [int(number) for number in _NUMBER.findall(run)]
    return bytes(codes) if max(codes) < 0x7F else b""


def _shown(decoder: Callable[[bytes], bytes], payload: str) -> str:
    """Return what a payload decodes to, empty where that is no ASCII that can be shown."""
    try:
        decoded = decoder(payload.encode("ascii")).decode("ascii")
    except ValueError:
        return ""
    return decoded if decoded.isprintable() else ""


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _selected(selector: str) -> int:
    """Return the byte that a variation selector stands for (1 to 16, then 17 to 256)."""
    code = ord(selector)
    return code - 0xFE00 if code < 0xE0100 else code - 0xE0100 + 16


def _run_classes(alphabet: str) -> bytes:
    """Return a table for `bytes.translate`: an x for each character of an alphabet, a blank for others."""
    return bytes(ord("x" if chr(code) in alphabet else " ") for code in range(256))


def _is_letter(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _unescape(match: re.Match[str]) -> str:
    octal = match[5]
    code = int(octal, 8) if octal else int(match[match.lastindex or 0], 16)
    return chr(code) if code < 0x110000 else match[0]


_BLANKS: Final = bytes(ord(" " if chr(code).isspace() else "x") for code in range(256))
_CODE_CLASSES: Final = bytes(
    ord("h" if chr(code) in "0123456789abcdefABCDEFxX\\ \t\r\n,:;-" else ".") for code in range(256)
)
_DIGITS = "0123456789"
_BASE64_CLASSES: Final = _run_classes(f"{ascii_letters}{_DIGITS}+/_-")
_BASE32_CLASSES: Final = _run_classes(f"{ascii_uppercase}234567")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_OF_CODES: Final[tuple[tuple[str, re.Pattern[str], Callable[[str], bytes]], ...]] = (
    ("hex", _HEX, _from_hex),
    ("binary", _BINARY, _from_binary),
    ("decimal", _DECIMAL, _from_decimal),
)
