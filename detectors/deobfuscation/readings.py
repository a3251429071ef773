"""Reads what a text hides from a tokenizer: disguised characters, disguised words, encoded payloads.

Guardrails are evaded so: Boucher et al. 2022, "Bad Characters" (invisible ones, look-alikes), Wei et al.
2023, "Jailbroken: How Does LLM Safety Training Fail?" (encodings), Hackett et al. 2025, "Bypassing Prompt
Injection and Jailbreak Detection in LLM Guardrails" (both).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import re2

from detectors.deobfuscation import characters, disguises, encodings
from detectors.deobfuscation.encodings import Payload
from detectors.limits import SCAN_LIMIT

MAX_READINGS: Final = 8
"""Readings of one text; payloads beyond that share the last one, so that none is left out."""

_PASSES: Final = 4
_CHARACTERS, _ESCAPED, _LEET, _SPACED, _ENCODED, _ROTATED, _SHIFTED, _REVERSED = (1 << i for i in range(8))
_STEPS: Final[tuple[tuple[str, int, Callable[[str], str]], ...]] = (
    ("percent", _ESCAPED, encodings.decode_percent),
    ("entities", _ESCAPED, encodings.decode_entities),
    ("escapes", _ESCAPED, encodings.decode_escapes),
    ("tag_characters", _CHARACTERS, characters.decode_tags),
    ("invisible", _CHARACTERS, characters.strip_invisible),
    ("combining_marks", _CHARACTERS, characters.strip_stuffing),
    ("styled_letters", _CHARACTERS, characters.unstyle),
    ("homoglyphs", _CHARACTERS, characters.unmask),
    ("spaced_letters", _SPACED, disguises.join_spaced),
    ("leetspeak", _LEET, disguises.unleet),
)

_LONG_RUN: Final = "a" * 16
_SPACED_OUT: Final = "a a a a"
_LEET_WORD: Final = re2.compile(b"[A-Za-z][0-9@$!|]{1,2}[A-Za-z]")
_FEWEST_DIGITS: Final = 10  # of the shortest payload in hex, binary or decimal codes


def _classes(kinds: dict[str, str]) -> bytes:
    """Return a table for `bytes.translate`: a class for each ASCII character, "," for the others."""
    table = bytearray(b"," * 256)
    for members, kind in kinds.items():
        for member in members:
            table[ord(member)] = ord(kind)
    return bytes(table)


_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_RUNS: Final = _classes({f"{_ALPHABET}0123456789+/": "a", " \t\n.-_*|~?": " "})
_MIXED: Final = _classes({_ALPHABET: "a", "0123456789@$!|": "0"})


@dataclass(frozen=True, slots=True)
class Reading:
    """Another text that a text can be read as.

    `text` is the whole text, read in place, or a decoded payload alone. `how` names what was undone, in
    its order, joined by "+". `start` and `end` (excluded) are the characters of the original that were
    read: those of the whole text for a payload that appears only once the text is read in place.
    """

    text: str
    how: str
    start: int
    end: int


def readings(text: str) -> list[Reading]:
    """Return what the first `SCAN_LIMIT` characters of a text hide: nothing for an ordinary one.

    First comes the reading in place, with all undone that can be; then one per payload, at most
    `MAX_READINGS` in all. An ordinary text costs microseconds, any text linear time, and none raises.
    """
    text = text[:SCAN_LIMIT]
    signs = _signs(text)
    if not signs:
        return []
    plain, steps = _undo(text, signs)
    found = [_in_place(text, plain, steps)] if steps and plain.strip() else []
    if signs & _CHARACTERS:
        found += map(_read, encodings.invisible_payloads(text))
    if not steps:
        return bounded(found + [_read(payload) for payload in _payloads(text, signs)])
    later = bounded(found + [_read(payload) for payload in _payloads(plain, _signs(plain))])
    return later[: len(found)] + [_located(reading, plain, text, steps) for reading in later[len(found) :]]


def encoded(text: str) -> list[Reading]:
    """Return what runs of a text are the encoding of, whatever it is: at most `MAX_READINGS`."""
    text = text[:SCAN_LIMIT]
    runs = text.encode("ascii", "replace").translate(_RUNS).decode("ascii")
    found = list(encodings.base85(text))
    if _LONG_RUN in runs or encodings.has_codes(text):
        found += encodings.values(text)
    return bounded([Reading(each.text, each.how, each.start, each.end) for each in found])


def _undo(text: str, signs: int) -> tuple[str, list[str]]:
    """Return the text read in place and the names of the steps that did something, in their order."""
    steps: list[str] = []
    for _ in range(_PASSES):
        before = text
        for name, sign, step in _STEPS:
            if signs & sign and (after := step(text)) != text:
                text = after
                steps += [] if name in steps else [name]
        if text == before:
            break
        signs = _signs(text)
    return text, steps


def _in_place(text: str, plain: str, steps: list[str]) -> Reading:
    """Return the reading with the span from the first to the last character that it changes."""
    start = _shared(text, plain)
    tail = _shared(text[start:][::-1], plain[start:][::-1])
    return Reading(plain, "+".join(steps), start, len(text) - tail)


def _shared(first: str, second: str) -> int:
    """Return the length of the longest common prefix."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))


def _payloads(text: str, signs: int) -> Iterator[Payload]:
    if signs & _ENCODED:
        yield from encodings.payloads(text)
    if signs & (_ROTATED | _SHIFTED):
        for (start, end), decoded in disguises.unrotate(text, guess=bool(signs & _SHIFTED)):
            yield Payload("caesar" if signs & _SHIFTED else "rot13", start, end, decoded)
    if signs & _REVERSED:
        for (start, end), decoded in disguises.unreverse(text):
            yield Payload("reversed", start, end, decoded)


def _read(payload: Payload) -> Reading:
    """Return the reading of a payload; one that is disguised in itself is read in place, too."""
    plain, steps = _undo(payload.text, _signs(payload.text))
    return Reading(plain, "+".join((payload.how, *steps)), payload.start, payload.end)


def _located(reading: Reading, plain: str, text: str, steps: list[str]) -> Reading:
    """Return a reading of the text read in place with its span in the original."""
    start = text.find(plain[reading.start : reading.end])
    if start < 0:
        return replace(reading, how="+".join((*steps, reading.how)), start=0, end=len(text))
    return replace(reading, start=start, end=start + reading.end - reading.start)


def bounded(found: list[Reading]) -> list[Reading]:
    """Return at most `MAX_READINGS`: those beyond share the last one, so that none is left out."""
    if len(found) <= MAX_READINGS:
        return found
    kept, rest = found[: MAX_READINGS - 1], found[MAX_READINGS - 1 :]
    start, end = min(reading.start for reading in rest), max(reading.end for reading in rest)
    return [*kept, Reading("\n".join(reading.text for reading in rest), rest[0].how, start, end)]


def _signs(text: str) -> int:
    """Return what is worth a closer look, as bits; only what costs next to nothing is asked here."""
    signs = 0
    data = text.encode("ascii", "replace")
    runs = data.translate(_RUNS).decode("ascii")
    if _LONG_RUN in runs:
        signs |= _ENCODED
    if _SPACED_OUT in runs:
        signs |= _SPACED
    if "%" in text or "\\" in text or "&" in text or "=" in text:
        signs |= _ESCAPED
    lower = text.lower()
    if "revers" in lower or "backward" in lower:
        signs |= _REVERSED
    if "caesar" in lower:
        signs |= _SHIFTED
    if _has_digit(text):
        signs |= _LEET if _LEET_WORD.search(data) else 0
        digits = data.translate(_MIXED).count(b"0")
        signs |= _ENCODED if digits >= _FEWEST_DIGITS and encodings.has_codes(text) else 0
        signs |= _ROTATED if "rot13" in lower or "rot-13" in lower or "rot 13" in lower else 0
    if not text.isascii() and characters.suspect(text):
        signs |= _CHARACTERS
    return signs


def _has_digit(text: str) -> bool:
    """Return whether one of the digits and signs is there that every code and every leetspeak needs."""
    # One fast search each; a loop or a regular expression would cost ten times as much.
    return (
        "0" in text or "1" in text or "3" in text or "4" in text or "5" in text or "7" in text
        or "@" in text or "$" in text or "!" in text
    )  # fmt: skip
