"""Personal data of fixed form: found by pattern, confirmed by checksum or numbering plan.

Names and postal addresses have no fixed form and are not looked for.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Final

import numpy as np
import phonenumbers
from stdnum import bitcoin, iban, luhn, numdb
from stdnum.us import ssn

from detectors.base import FloatMatrix
from detectors.batch import Batch
from detectors.privacy.findings import EVIDENCE_LIMIT, Finding, Span, merge, plain, verified
from detectors.privacy.national_ids import national_ids
from schemas.events import Evidence

STRONG: Final = frozenset({"CREDIT_CARD", "CARD_CODE", "IBAN", "US_SSN", "NATIONAL_ID"})
"""Kinds that give access to money or stand for a person at an office; counted by `pii_strong`."""

PHONE_REGIONS: Final = ("US", "GB")
"""Numbering plans in which a number without a country code is looked up, where no word announces it."""

_DIGIT = re.compile(r"\d")
_MANY_DIGITS = re.compile(r"\d(?:[^\w\n]{0,3}+\d){5}")

_DOMAIN = re.compile(r"@(?:[^\W_][\w-]{0,62}+\.){1,8}(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24})")
_LOCAL_REVERSED = re.compile(r"[\w.%+'-]{1,64}+")

_USERINFO = re.compile(r"://[^\s/@]{0,128}:$")
_CARD_CODE = re.compile(
    r"\b(?:cvv2?|cvc2?|card security code)\b(?:\s{1,3}is)?[\s:=#]{1,3}(\d{3,4})(?!\w)", re.IGNORECASE
)

_CARD_RUN = re.compile(r"\d(?:[ .-]{0,2}+\d){11,}+")
_CARD_GROUP = re.compile(r"\d+")
# Issuer ranges and lengths: https://en.wikipedia.org/wiki/Payment_card_number
_CARD_ISSUER = re.compile(
    r"4\d{12}(?:\d{3}){0,2}"  # Visa
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[68]\d)\d{11}(?:\d\d)?"  # Diners Club
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}(?:\d{3})?"  # Discover
    r"|(?:2131|1800)\d{11}|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|(?:50(?:18|20|38)|5893|6304|6759|676[1-3])\d{8,15}"  # Maestro
)

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d\d(?:[ -]?[A-Za-z0-9]){11,30}+")
_IBAN_PART = re.compile(r"(\d+)!")
_SSN = re.compile(r"(?<![\w-])\d{3}-\d\d-\d{4}(?![\w-])")

_PHONE = re.compile(
    r"(?<![\w.,@#/=+-])(?:\((?=\+?\d{1,5}\)))?\+?(?:\((?=\d{1,5}\)))?"  # a bracket only around a prefix
    r"\d(?:[ ()./-]{0,3}+\d){6,16}+(?: ?(?:x|ext\.?) ?\d{1,5})?(?!\w)"
)
_PHONE_LOCAL = re.compile(
    r"(?:1[ .-])?\(?\d{3}\)?[ .-]{1,2}\d{3}[ .-]\d{4}|\(?0\d{2,4}\)?[ -]\d{3,4}[ -]?\d{3,6}"
)
_PHONE_WORD = re.compile(
    r"\b(?:(?:tele)?phones?|tel|call(?:ing)?|mobile|cell|fax|whatsapp|sms|dial)\b", re.IGNORECASE
)
_DATE = re.compile(r"(?:19|20)\d\d[./-]\d{1,2}[./-]\d{1,2}|\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d")

# What must not stand before is looked up after the first character: re skips faster to a known one.
_IPV4 = re.compile(r"\d(?<![\w.-].)\d{0,2}(?:\.\d{1,3}){3}(?!\w|\.\d)", re.DOTALL)
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{3,4}(?::[0-9A-Fa-f]{0,4}){2,7}+(?![\w:])")
_VERSION_WORD = re.compile(r"(?:version|release|build|firmware|ver|rev|v)[\s.:=-]{0,3}$", re.IGNORECASE)
_MAC = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:-])")
_CRYPTO = re.compile(
    r"[0bB13](?<!\w.)(?:(?<=0)x[0-9A-Fa-f]{40}|(?<=[bB])(?:c1|C1)[A-Za-z0-9]{11,87}"
    r"|(?<=[13])[1-9A-HJ-NP-Za-km-z]{25,34})(?!\w)",
    re.DOTALL,
)


class PiiDetector:
    """Counts findings: `pii` all kinds, `pii_strong` those of `STRONG`."""

    name = "pii"
    version = "2"
    metrics = ("pii", "pii_strong")
    cheap_to_explain = True

    def score(self, batch: Batch) -> FloatMatrix:
        """Return counts, shape (N, 2)."""
        scores = np.zeros((len(batch), 2), dtype=np.float32)
        for row, text in enumerate(batch.texts):
            if found := find(text):
                scores[row] = len(found), sum(finding.kind in STRONG for finding in found)
        return scores

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return kind and span of each finding, never its value; strong kinds first."""
        found = sorted(find(batch.texts[row]), key=lambda f: (f.kind not in STRONG, f.start))[:EVIDENCE_LIMIT]
        return [
            Evidence(detector=self.name, metric=metric, label=f.kind, start=f.start, end=f.end)
            for f in found
            for metric in (("pii", "pii_strong") if f.kind in STRONG else ("pii",))
        ]


def find(text: str) -> list[Finding]:
    """Return the personal data in the first `SCAN_LIMIT` characters, sorted and free of overlaps."""
    if "@" not in text and not _DIGIT.search(text):
        return []
    text = plain(text)
    many_digits = bool(_MANY_DIGITS.search(text))
    found: list[Finding] = []
    # Of findings that overlap, the first gives the kind: what is more certain comes first.
    if "@" in text:
        found += _of_kind("EMAIL", _emails(text))
    if many_digits:
        found += _of_kind("CREDIT_CARD", _cards(text))
        found += _of_kind("IBAN", _ibans(text))
        found += _of_kind("US_SSN", _ssns(text))
    if "cv" in text.lower() or "ecurity code" in text:
        found += _of_kind("CARD_CODE", (match.span(1) for match in _CARD_CODE.finditer(text)))
    found += national_ids(text)
    if text.count(".") >= 3 or text.count(":") >= 2:
        found += _of_kind("IP_ADDRESS", _ip_addresses(text))
    if text.count(":") >= 5 or text.count("-") >= 5:
        found += _of_kind("MAC_ADDRESS", (match.span() for match in _MAC.finditer(text)))
    if len(text) >= 14:
        found += _of_kind("CRYPTO_ADDRESS", _crypto_addresses(text))
    if many_digits:
        found += _of_kind("PHONE", _phones(text))
    return merge(found)


def _of_kind(kind: str, spans: Iterator[Span]) -> Iterator[Finding]:
    return (Finding(kind, start, end) for start, end in spans)


def _emails(text: str) -> Iterator[Span]:
    for match in _DOMAIN.finditer(text):
        at = match.start()
        # Backwards from the @: forwards, a long word without one would be tried from each character.
        local = _LOCAL_REVERSED.match(text[max(0, at - 64) : at][::-1])
        if local is None:
            continue
        name = local.group()[::-1].lstrip(".%+'-")
        if not name or name == "git":  # git@host is the address of a repository
            continue
        if not _USERINFO.search(text, max(0, at - 196), at - len(name)):  # scheme://user:password@host
            yield at - len(name), match.end()


def _cards(text: str) -> Iterator[Span]:
    candidates = (span for run in _CARD_RUN.finditer(text) for span in _card_windows(text, *run.span()))
    end = 0
    for span in verified(candidates, lambda span: luhn.is_valid(_digits(text, span))):
        if span[0] >= end:
            yield span
            end = span[1]


def _card_windows(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the runs of whole digit groups that have the prefix and the length of a card."""
    groups = [match.span() for match in _CARD_GROUP.finditer(text, start, end)]
    for first, (begin, begin_end) in enumerate(groups):
        if first and begin_end - begin < 3:
            continue  # single digits are a card only from the start: each of them would be tried otherwise
        digits = ""
        lengths: list[int] = []
        for group_start, group_end in groups[first : first + 19]:
            digits += text[group_start:group_end]
            lengths.append(group_end - group_start)
            if len(digits) > 19:
                break
            if len(digits) >= 12 and _is_card_layout(lengths) and _CARD_ISSUER.fullmatch(digits):
                yield begin, group_end


def _is_card_layout(lengths: list[int]) -> bool:
    """Say whether groups of digits are printed as on a card: 4-6-n, or equal groups and a rest."""
    return lengths[:2] == [4, 6] or (len(set(lengths[:-1])) <= 1 and lengths[-1] <= lengths[0])


def _ibans(text: str) -> Iterator[Span]:
    candidates = (span for match in _IBAN.finditer(text) if (span := _iban_span(match)) is not None)
    return verified(candidates, lambda span: iban.is_valid(text[slice(*span)], check_country=False))


def _iban_span(match: re.Match[str]) -> Span | None:
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


def _ssns(text: str) -> Iterator[Span]:
    candidates = (match.span() for match in _SSN.finditer(text))
    return verified(candidates, lambda span: ssn.is_valid(text[slice(*span)]))


def _phones(text: str) -> Iterator[Span]:
    return verified((match.span() for match in _PHONE.finditer(text)), partial(_is_phone, text))


def _is_phone(text: str, span: Span) -> bool:
    candidate = text[slice(*span)]
    if candidate.startswith(("+", "(+")):
        return _parses(candidate, None, phonenumbers.is_possible_number)
    if _DATE.match(candidate):
        return False
    if _PHONE_WORD.search(text, max(0, span[0] - 40), span[0]):
        return 7 <= sum(map(str.isdigit, candidate)) <= 20  # 15 (E.164) and an extension
    if candidate.startswith("00"):
        return _parses("+" + candidate[2:], None, phonenumbers.is_valid_number)
    if not _PHONE_LOCAL.fullmatch(candidate):
        return False
    return any(_parses(candidate, region, phonenumbers.is_valid_number) for region in PHONE_REGIONS)


def _parses(candidate: str, region: str | None, accept: Callable[[phonenumbers.PhoneNumber], bool]) -> bool:
    try:
        return accept(phonenumbers.parse(candidate, region))
    except phonenumbers.NumberParseException:
        return False


def _ip_addresses(text: str) -> Iterator[Span]:
    candidates = (match.span() for pattern in (_IPV4, _IPV6) for match in pattern.finditer(text))
    return verified(candidates, partial(_is_ip_address, text))


def _is_ip_address(text: str, span: Span) -> bool:
    candidate = text[slice(*span)]
    if not _DIGIT.search(candidate) or _VERSION_WORD.search(text, max(0, span[0] - 12), span[0]):
        return False
    try:
        address = ipaddress.ip_address(candidate)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def _crypto_addresses(text: str) -> Iterator[Span]:
    candidates = (match.span() for match in _CRYPTO.finditer(text))
    return verified(candidates, lambda span: _is_crypto_address(text[slice(*span)]))


def _is_crypto_address(candidate: str) -> bool:
    # The checksum of an Ethereum address is in its letter case, which is often lost.
    return candidate.startswith("0x") or bool(bitcoin.is_valid(candidate))


def _digits(text: str, span: Span) -> str:
    return "".join(_CARD_GROUP.findall(text, *span))
