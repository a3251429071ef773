"""Payment cards and bank accounts: by issuer, layout and check digits."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from stdnum import iban, luhn, numdb

from detectors.privacy.findings import Span, verified

_RUN = re.compile(r"[0-9](?:[ .*_/-]{0,3}+[0-9]){11,}+")
# A number that a line ends within. Columns of numbers look alike: it must be the whole of its run.
_BREAK = re.compile(r"[0-9][ *-]{0,2}+\r?\n[ \t>]{0,8}+[0-9]")
_HEAD = re.compile(r"(?:[0-9][ *-]{0,2}+){1,18}\Z")
_BEFORE_WRAPPED = re.compile(r"(?:[A-Za-z_]|[0-9][ \t.,*-]{0,3}(?:\r?\n[ \t>]{0,8})?)\Z")
_TAIL = re.compile(r"[0-9](?:[ *-]{0,2}+[0-9]){0,17}+(?![A-Za-z_]|[ \t.,*-]{0,3}(?:\r?\n[ \t>]{0,8})?[0-9])")
_GROUP = re.compile(r"[0-9]+")
# Issuer ranges and lengths: https://en.wikipedia.org/wiki/Payment_card_number
_ISSUER = re.compile(
    r"4\d{12}(?:\d{3}){0,2}"  # Visa
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[68]\d)\d{11}(?:\d\d)?"  # Diners Club
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}(?:\d{3})?"  # Discover
    r"|(?:2131|1800)\d{11}|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|(?:50(?:18|20|38)|5893|6304|6759|676[1-3])\d{8,15}"  # Maestro
)
_WIDEST: Final = 19
_MOST_GROUPS: Final = 7
"""Groups of digits in a run, at most, where some are a card, its date and its code: more are a table."""
_BEFORE = re.compile(r"[A-Za-z0-9_]*\Z")
_HEX = re.compile(r"[0-9A-Fa-f_]+")
_ID = re.compile(r"(?:[a-z](?:Id|ID)|_id|\bid)[\"']?\s{0,2}[:=]\s{0,2}[\"']?\Z")
_CARD_CODE = re.compile(
    r"(?<![A-Za-z0-9_])(?:cvv2?|cvc2?|card security code|kartenprüfnummer|prüfziffer|c[oó]digo de seguridad"
    r"|cryptogramme|codice di sicurezza|安全码|安全碼)(?:\s{1,3}(?:is|ist|es|est|è))?[\s:=#是]{1,3}"
    r"([0-9]{3,4})(?![A-Za-z0-9_])",
    re.IGNORECASE,
)
_CODE_WORDS: Final = ("cv", "code", "prüf", "código", "codigo", "crypto", "codice", "安全")

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}+")
_IBAN_PART = re.compile(r"(\d+)!")


def cards(text: str) -> Iterator[Span]:
    """Yield the spans of card numbers; none overlaps the one before it."""
    candidates = [span for run in _RUN.finditer(text) for span in _windows(text, *run.span())]
    if "\n" in text:
        candidates += _wrapped(text)
        candidates.sort(key=lambda span: span[0])
    end = 0
    for span in verified(candidates, lambda span: luhn.is_valid("".join(_GROUP.findall(text, *span)))):
        if span[0] >= end:
            yield span
            end = span[1]


def _wrapped(text: str) -> Iterator[Span]:
    """Yield the numbers that a line break divides."""
    for match in _BREAK.finditer(text):
        line = text.rfind("\n", 0, match.start()) + 1
        head = _HEAD.search(text, max(line, match.start() - 36), match.start() + 1)
        tail = _TAIL.match(text, match.end() - 1)
        if head and tail and not _BEFORE_WRAPPED.search(text, max(0, head.start() - 12), head.start()):
            groups = [len(group) for group in _GROUP.findall(text, head.start(), tail.end())]
            digits = "".join(_GROUP.findall(text, head.start(), tail.end()))
            if _is_layout(groups) and _ISSUER.fullmatch(digits):
                yield head.start(), tail.end()


def _windows(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the runs of whole digit groups that have the prefix, the length and the layout of a card."""
    groups = [match.span() for match in _GROUP.finditer(text, start, end)]
    table = len(groups) > _MOST_GROUPS and len({after - before for before, after in groups}) > 2
    for first, (begin, begin_end) in enumerate(groups):
        if first and begin_end - begin < 3:
            continue  # single digits are a card only from the start: each of them would be tried otherwise
        digits = ""
        lengths: list[int] = []
        for group_start, group_end in groups[first : first + _WIDEST]:
            digits += text[group_start:group_end]
            lengths.append(group_end - group_start)
            if len(digits) > _WIDEST or (table and len(lengths) > 1):
                break
            # Numbers of two digits stand in tables: of those it must be all that there are.
            whole = lengths[0] != 2 or (not first and group_end == groups[-1][1])
            is_card = len(digits) >= 12 and whole and _is_layout(lengths) and _ISSUER.fullmatch(digits)
            if is_card and not _is_other_number(text, begin, group_end):
                yield begin, group_end


def _is_layout(lengths: list[int]) -> bool:
    """Say whether groups of digits are printed as on a card: 4-6-n, or equal groups and a rest."""
    return lengths[:2] == [4, 6] or (len(set(lengths[:-1])) <= 1 and lengths[-1] <= lengths[0])


def _is_other_number(text: str, start: int, end: int) -> bool:
    """Say whether the digits go on: as a fraction, in a hash or a name, or as the value of an id."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if (before[1:] == "." and before[0].isdecimal()) or (after[:1] == "." and after[1:].isdecimal()):
        return True
    # A comma may stand between two values of a list as well, which then has one on both sides.
    left = before[1:] == "," and before[0].isdecimal()
    right = after[:1] == "," and after[1:].isdecimal()
    if left != right or (after[:1].isascii() and (after[:1].isalpha() or after[:1] == "_")):
        return True
    word = text[max(0, start - 32) : start].rpartition(" ")[2]
    name = _BEFORE.search(word)
    if name and name[0] and (_HEX.fullmatch(name[0]) or any(map(str.isdigit, name[0]))):
        return True
    return bool(_ID.search(text, max(0, start - 16), start))


def card_codes(text: str) -> Iterator[Span]:
    """Yield the spans of card security codes, which a word announces."""
    lowered = text.lower()
    if any(word in lowered for word in _CODE_WORDS):
        yield from (match.span(1) for match in _CARD_CODE.finditer(text))


def ibans(text: str) -> Iterator[Span]:
    """Yield the spans of international bank account numbers (ISO 13616)."""
    candidates = (span for match in _IBAN.finditer(text) if (span := _cut(match)) is not None)
    return verified(candidates, lambda span: iban.is_valid(text[slice(*span)], check_country=False))


def _cut(match: re.Match[str]) -> Span | None:
    """Cut a candidate to the length that its country uses: the words after it look like parts of it."""
    candidate = match.group()
    missing = _iban_length(candidate[:2].upper())
    for offset, character in enumerate(candidate):
        missing -= character not in " -"
        if missing == 0:
            return match.start(), match.start() + offset + 1
    return None


@lru_cache(maxsize=1024)
def _iban_length(country: str) -> int:
    structure = numdb.get("iban").info(country + "00")[0][1].get("bban", "")
    return 4 + sum(int(part) for part in _IBAN_PART.findall(structure)) if structure else 0
