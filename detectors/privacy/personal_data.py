"""Personal data of fixed form: found by pattern, confirmed by checksum, numbering plan or the word before.

Names and postal addresses have no fixed form and are not looked for.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from stdnum.us import ssn

from detectors.privacy.email import emails, spelt_emails
from detectors.privacy.findings import Finding, Span, lower, verified
from detectors.privacy.gates import BLANK, Gates
from detectors.privacy.national_ids import national_ids
from detectors.privacy.network import ip_addresses, mac_addresses
from detectors.privacy.payment import card_codes, cards, dated_codes, ibans
from detectors.privacy.phones import phones
from detectors.privacy.things import is_of_goods
from detectors.privacy.wallets import wallets

STRONG: Final = frozenset({
    "CREDIT_CARD", "CARD_CODE", "IBAN", "BANK_ACCOUNT",
    "US_SSN", "NATIONAL_ID", "PASSPORT", "DRIVER_LICENSE", "MEDICAL_ID",
})  # fmt: skip
"""Kinds that give access to money or stand for a person at an office."""

PII_KINDS: Final = ("EMAIL", *sorted(STRONG), "IP_ADDRESS", "MAC_ADDRESS", "CRYPTO_ADDRESS", "PHONE")

_DIGIT = re.compile(r"\d")
_MANY_DIGITS = re.compile(r"\d(?:[^A-Za-z0-9\n]{0,3}+\d){5}")
_SSN = re.compile(r"[0-9](?<![A-Za-z0-9_-].)[0-9]{2}-[0-9]{2}-[0-9]{4}(?![A-Za-z0-9_-])", re.DOTALL)
# Of what each looks for: a text without it is not searched.
_GATES: Final = Gates(
    {
        "SPELT": rf"[\[({{<]{BLANK}{{0,3}}(?i:at|@|\xc3[\x84\xa4]t|arroba|chiocciola)"
        rf"{BLANK}{{0,3}}[\])}}>]|{BLANK}AT{BLANK}[^\n]*DOT",
        "CREDIT_CARD": r"[0-9](?:[ .*_/>\t\r\n-]{0,15}[0-9]){11}",
        "US_SSN": r"[0-9]{3}-[0-9]{2}-[0-9]{4}",
        "IBAN": r"(?:\A|[^A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11}",
        "IPV4": r"[0-9](?:\.[0-9]{1,3}){3}",
        "IPV6": r"[0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:",
        "MAC_ADDRESS": r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}",
        "PHONE": r"[0-9](?:[ ()./-]{0,3}[0-9]){6}",
    }
)


def personal_data(text: str) -> list[Finding]:
    """Return the personal data of a text as it stands, digits in ASCII; findings may overlap."""
    shapes = _GATES.open(text)
    if not shapes and "@" not in text and not _DIGIT.search(text):
        return []
    many_digits = bool(_MANY_DIGITS.search(text))
    found: list[Finding] = []
    # Of findings that overlap, the first gives the kind: what is more certain comes first.
    found += _of_kind("EMAIL", emails(text))
    if "SPELT" in shapes:
        found += _of_kind("EMAIL", spelt_emails(text))
    if "CREDIT_CARD" in shapes:
        numbers = list(cards(text))
        found += _of_kind("CREDIT_CARD", numbers)
        found += _of_kind("CARD_CODE", dated_codes(text, numbers))
    if "US_SSN" in shapes:
        found += _of_kind("US_SSN", _ssns(text))
    if "IBAN" in shapes:
        found += _of_kind("IBAN", ibans(text))
    lowered = lower(text)
    found += _of_kind("CARD_CODE", card_codes(text, lowered))
    found += national_ids(text, lowered)
    found += _of_kind("IP_ADDRESS", ip_addresses(text, old="IPV4" in shapes, new="IPV6" in shapes))
    if "MAC_ADDRESS" in shapes:
        found += _of_kind("MAC_ADDRESS", mac_addresses(text))
    if len(text) >= 14:
        found += _of_kind("CRYPTO_ADDRESS", wallets(text))
    if "PHONE" in shapes and many_digits:
        found += _of_kind("PHONE", phones(text))
    return found


def _of_kind(kind: str, spans: Iterable[Span]) -> Iterator[Finding]:
    return (Finding(kind, start, end) for start, end in spans)


def _ssns(text: str) -> Iterator[Span]:
    candidates = (match.span() for match in _SSN.finditer(text))
    return verified(
        candidates, lambda span: ssn.is_valid(text[slice(*span)]) and not is_of_goods(text, span[0])
    )
