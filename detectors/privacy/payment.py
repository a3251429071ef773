"""Payment cards and bank accounts: by issuer, layout and check digits."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from typing import Final

from stdnum import iban, luhn, numdb

from detectors.privacy.findings import Span, verified
from detectors.privacy.gates import Gates, around, places
from detectors.privacy.labels import CARD_CODE_NAMES, CARD_CODE_SIGNS
from detectors.privacy.things import is_of_record

_RUN = re.compile(r"[0-9](?=(?:[ .*_/-]{0,3}+[0-9]){11})[0-9]*+(?:[ .*_/-]{1,3}+[0-9]++)*")
# A number that a line ends within. Columns of numbers look alike: it must be the whole of its run.
_BREAK = re.compile(r"[0-9][ *-]{0,2}+\r?\n[ \t>]{0,8}+[0-9]")
_HEAD = re.compile(r"(?:[0-9][ *-]{0,2}+){1,18}\Z")
_BEFORE_WRAPPED = re.compile(r"(?:[A-Za-z_]|[0-9][ \t.,*-]{0,3}(?:\r?\n[ \t>]{0,8})?)\Z")
_TAIL = re.compile(
    r"[0-9](?>(?:[ *-]{0,2}+[0-9]){0,17})(?![A-Za-z_]|[ \t.,*-]{0,3}(?:\r?\n[ \t>]{0,8})?[0-9])"
)
_GROUP = re.compile(r"[0-9]+")
# Issuer ranges and lengths: https://en.wikipedia.org/wiki/Payment_card_number
_ISSUER = re.compile(
    r"4\d{15}"  # Visa
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]\d|095|[689]\d\d)\d{10}"  # Diners Club
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
)
# Lengths that hardly anybody has, and issuers of one country: their ranges are wide, and so only where a
# word, or the groups that are printed on a card, say what the number is.
_SELDOM = re.compile(
    r"4\d{12}(?:\d{6})?|3(?:0[0-5]|[689]\d)\d{13}|6(?:011|4[4-9]\d|5\d\d)\d{15}"
    r"|(?:2131|1800)\d{11}"
    r"|(?:50(?:18|20|38)|5893|6304|6759|676[1-3])\d{8,15}"  # Maestro
    r"|220[0-4]\d{12,15}"  # Mir
    r"|(?:60|81|82|508)\d{13,14}"  # RuPay
    r"|9792\d{12}|506[01]\d{12,15}|6277\d{12}|6362\d{12}|4571\d{12}|5019\d{12}"  # Troy, Verve, Elo, Dankort
)
_CARD_WORD = re.compile(
    r"card(?!i|b)|credit|debit|visa|master|amex|american express|diners|discover|maestro|unionpay|rupay|verve"
    r"|(?<![a-z])(?:cc|pan|jcb|mir|troy|elo)(?![a-z])|cvv|cvc|karte|carte|tarjeta|cart[aã]o|carta|kaart|kart[au]|kort"
    r"|карт|卡|カード|카드|การ์ด|บัตร|بطاقة|כרטיס|कार्ड",
    re.IGNORECASE,
)
_WORD_REACH: Final = 60
"""Characters before a number within which a word says that it is a card's."""
_COLUMN_REACH: Final = 100
"""Characters before a number within which numbers of the same length show what it is one of."""
_BARE = re.compile(r"(?<![0-9A-Za-z.])[0-9]{12,19}(?![0-9A-Za-z.])")
_MOST_BESIDE: Final = 8
_NEXT = re.compile(r"[^0-9A-Za-z]{1,4}[0-9]{12,19}(?![0-9A-Za-z.])")
_WIDEST: Final = 19
_MOST_GROUPS: Final = 7
"""Groups of digits in a run, at most, where some are a card, its date and its code: more are a table."""
_BEFORE = re.compile(r"[A-Za-z0-9_]*\Z")
_FRACTION = re.compile(r"(?<![0-9.])[0-9]+\.[0-9]+(?!\.?[0-9])")
_OF_VERSION = re.compile(r"(?<![A-Za-z])v\.?\Z", re.IGNORECASE)
_HEX = re.compile(r"[0-9A-Fa-f_]+")
_RANGE = re.compile(r"[0-9]{8}-[0-9]{8}")  # from one position to another
# Where the code follows the date: 04/27 113, exp 11/28 cid 6316.
_DATED_CODE = re.compile(
    r"[\s,;|/]{1,3}(?:exp[.:]{0,2}\s)?(?:0[1-9]|1[0-2])\s?[/|-]\s?(?:20)?[2-4][0-9][\s,;|/]{1,3}(?:cid:?\s)?"
    r"([0-9]{3,4})(?![0-9A-Za-z.,/-]*[0-9]|\s?(?:eur|usd|gbp|[€$£%]))",
    re.IGNORECASE,
)
_ID = re.compile(r"(?:[a-z](?:Id|ID)|_id|\bid)[\"']?\s{0,2}[:=]\s{0,2}[\"']?\Z")
_CARD_CODE = re.compile(
    rf"(?<![A-Za-z0-9_])(?:{CARD_CODE_NAMES})"
    r"(?:[ -]?(?:codes?|numbers?|no|nr|value|kod|код))?[\"'`)]{0,3}"
    r"(?:\s(?:(?:of|on|from|de|von|auf|di|van|z|do|da)\s)?(?:my|the|your|mi|la|su|ma|meiner|der|mia|mijn|mojej|meu|o)\s\w{4,9})?"
    r"(?:\s{1,3}(?:is|was|ist|es|est|è|é|to))?"
    r"[\s:=#是は는-]{1,4}[\"'`]?([0-9]{3,4})(?![A-Za-z0-9_%]|[.,-][0-9])",
    re.IGNORECASE,
)
_CODE_GATES: Final = Gates.of_strings(CARD_CODE_SIGNS)
_LONGEST_CODE_NAME: Final = 40
"""Characters of a name before the sign that all such names have, at most."""
_CODE_REACH: Final = 160
"""Characters from that sign to what follows a code, at most."""
# Of a door or a server: "security code 404: not found", "security code 403 Forbidden".
_STATUS = re.compile(
    r"(?::\s?(?!exp|valid|card|visa|master|amex|and\b|for\b)"
    r"|\s(?:- )?(?=(?:not|no|forbidden|unauthori[sz]ed|bad|error|denied|access|invalid|failed|gone"
    r"|too|timeout)\b))"
    r"[A-Za-z]{2}",
    re.IGNORECASE,
)

# From the first digit on: re skips to it faster than to a letter.
_IBAN = re.compile(r"[0-9](?<=(?<![A-Za-z0-9])[A-Za-z]{2}.)[0-9](?:[ -]?[A-Za-z0-9]){11,30}")
_COUNTRY: Final = 2
_IBAN_PART = re.compile(r"(\d+)!")


def cards(text: str) -> Iterator[Span]:
    """Yield the spans of card numbers; none overlaps the one before it."""
    candidates = [span for run in _RUN.finditer(text) for span in _windows(text, *run.span())]
    if "\n" in text:
        candidates += _wrapped(text)
        candidates.sort(key=lambda span: span[0])
    end = 0
    for span in verified(candidates, partial(_is_card, text)):
        if span[0] >= end:
            yield span
            end = span[1]


def _is_card(text: str, span: Span) -> bool:
    groups = _GROUP.findall(text, *span)
    digits = "".join(groups)
    if not luhn.is_valid(digits):
        return False
    if _CARD_WORD.search(text, max(0, span[0] - _WORD_REACH), span[0]):
        return True
    # A point between some groups only: a row of decimals.
    if is_of_record(text, span[0]) or _FRACTION.search(text, *span):
        return False
    # Printed in groups, a card; of digits in a row one number in thirty is like one by chance.
    if len(groups) > 1:
        if _RANGE.fullmatch(text, *span):
            return False
        return _ISSUER.fullmatch(digits) is not None or all(len(group) == 4 for group in groups)
    return _ISSUER.fullmatch(digits) is not None and not _in_column(text, span)


def _in_column(text: str, span: Span) -> bool:
    """Say whether other numbers of the same length stand beside it, and most of them are no cards."""
    length = span[1] - span[0]
    beside = [match[0] for match in _BARE.finditer(text, max(0, span[0] - _COLUMN_REACH), span[0])]
    position = span[1]
    while len(beside) < _MOST_BESIDE and (match := _NEXT.match(text, position)):
        beside.append(_GROUP.findall(match[0])[0])
        position = match.end()
    alike = [number for number in beside if len(number) == length]
    passed = sum(_ISSUER.fullmatch(number) is not None and luhn.is_valid(number) for number in alike)
    return len(alike) >= 2 and 2 * passed < len(alike)


def _wrapped(text: str) -> Iterator[Span]:
    """Yield the numbers that a line break divides."""
    for match in _BREAK.finditer(text):
        line = text.rfind("\n", 0, match.start()) + 1
        head = _HEAD.search(text, max(line, match.start() - 36), match.start() + 1)
        tail = _TAIL.match(text, match.end() - 1)
        if head and tail and not _BEFORE_WRAPPED.search(text, max(0, head.start() - 12), head.start()):
            groups = [len(group) for group in _GROUP.findall(text, head.start(), tail.end())]
            digits = "".join(_GROUP.findall(text, head.start(), tail.end()))
            if _is_layout(groups) and _has_issuer(digits):
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
            is_card = len(digits) >= 12 and whole and _is_layout(lengths) and _has_issuer(digits)
            if is_card and not _is_other_number(text, begin, group_end):
                yield begin, group_end


def _has_issuer(digits: str) -> bool:
    return _ISSUER.fullmatch(digits) is not None or _SELDOM.fullmatch(digits) is not None


def _is_layout(lengths: list[int]) -> bool:
    """Say whether groups of digits are printed as on a card: 4-6-n, or equal groups and a rest."""
    return lengths[:2] == [4, 6] or (len(set(lengths[:-1])) <= 1 and lengths[-1] <= lengths[0])


_BEFORE_POINT: Final = frozenset(("", *" \t\n=([{,:;+-<>*/|\"'"))
"""A fraction may have no digit before its point."""


def _is_other_number(text: str, start: int, end: int) -> bool:
    """Say whether the digits go on: as a fraction, in a hash or a name, or as the value of an id."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    point = before[-1:] == "." and (before[:-1].isdecimal() or before[:-1] in _BEFORE_POINT)
    if point or (after[:1] == "." and after[1:].isdecimal()):
        return True
    if _FRACTION.fullmatch(text, start, end) or _OF_VERSION.search(text, max(0, start - 3), start):
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


def card_codes(text: str, lowered: str) -> Iterator[Span]:
    """Yield the spans of card security codes, which a word announces."""
    for part in around(places(lowered, _CODE_GATES.open(lowered)), _LONGEST_CODE_NAME, _CODE_REACH):
        for match in _CARD_CODE.finditer(text, *part):
            if not _is_status(text, match):
                yield match.span(1)


def dated_codes(text: str, numbers: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans of codes that follow the number of a card and its date."""
    return (match.span(1) for _, end in numbers if (match := _DATED_CODE.match(text, end)))


def _is_status(text: str, match: re.Match[str]) -> bool:
    return match[0].lower().startswith("security") and _STATUS.match(text, match.end()) is not None


def ibans(text: str) -> Iterator[Span]:
    """Yield the spans of international bank account numbers (ISO 13616)."""
    candidates = (span for match in _IBAN.finditer(text) if (span := _cut(match)) is not None)
    return verified(candidates, lambda span: iban.is_valid(text[slice(*span)], check_country=False))


def _cut(match: re.Match[str]) -> Span | None:
    """Cut a candidate to the length that its country uses: the words after it look like parts of it."""
    start = match.start() - _COUNTRY
    candidate = match.string[start : match.end()]
    missing = _iban_length(candidate[:_COUNTRY].upper())
    for offset, character in enumerate(candidate):
        missing -= character not in " -"
        if missing == 0:
            return start, start + offset + 1
    return None


@lru_cache(maxsize=1024)
def _iban_length(country: str) -> int:
    structure = numdb.get("iban").info(country + "00")[0][1].get("bban", "")
    return 4 + sum(int(part) for part in _IBAN_PART.findall(structure)) if structure else 0
