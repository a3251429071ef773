"""Identity numbers of persons, taken only where a word announces them and their check digits are right."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.us import ssn

from detectors.privacy.findings import Finding, Span, verified

_REACH: Final = 48
"""Characters after the announcing word within which the number is looked for."""


class _Scheme(NamedTuple):
    kind: str
    words: tuple[str, ...]
    """In lower case, to skip quickly the texts that have none of them."""
    announcement: re.Pattern[str]
    number: re.Pattern[str]
    is_valid: Callable[[str], bool]


def _scheme(
    words: tuple[str, ...], number: str, is_valid: Callable[[str], bool], kind: str = "NATIONAL_ID"
) -> _Scheme:
    return _Scheme(kind, words, _whole("|".join(words)), _whole(number), is_valid)


def _whole(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)


def _is_ssn(number: str) -> bool:
    return bool(ssn.is_valid(number.replace(" ", "-")))


def _is_nino(_: str) -> bool:
    """A British national insurance number has no check digit: its pattern is all there is."""
    return True


_SCHEMES: Final = (
    _scheme(("ssn", "social security"), r"\d{3}([ -]?)\d\d\1\d{4}", _is_ssn, kind="US_SSN"),
    _scheme(("cpf",), r"\d{3}\.?\d{3}\.?\d{3}-?\d\d", cpf.is_valid),
    _scheme(("sin", "social insurance"), r"\d{3}[ -]?\d{3}[ -]?\d{3}", sin.is_valid),
    _scheme(("idnr", "steuer-id", "steuerid", "tax id"), r"\d\d ?\d{3} ?\d{3} ?\d{3}", idnr.is_valid),
    _scheme(("dni", "nif"), r"\d{8}-?[A-Z]", dni.is_valid),
    _scheme(("nie",), r"[XYZ]-?\d{7}-?[A-Z]", nie.is_valid),
    _scheme(("nir", "securite sociale", "sécurité sociale"), r"[12](?: ?\d){14}", nir.is_valid),
    _scheme(("nhs",), r"\d{3}[ -]?\d{3}[ -]?\d{4}", nhs.is_valid),
    _scheme(("national insurance", "nino"), r"[A-Z]{2} ?\d\d ?\d\d ?\d\d ?[A-D]", _is_nino),
    _scheme(("aadhaar", "aadhar"), r"\d{4}[ -]?\d{4}[ -]?\d{4}", aadhaar.is_valid),
    _scheme(
        ("codice fiscale", "fiscal code"),
        r"[A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z]",
        codicefiscale.is_valid,
    ),
    _scheme(("bsn", "burgerservicenummer"), r"\d{9}", bsn.is_valid),
    _scheme(("pesel",), r"\d{11}", pesel.is_valid),
)
_WORDS: Final = tuple((word, scheme) for scheme in _SCHEMES for word in scheme.words)


def national_ids(text: str) -> Iterator[Finding]:
    """Yield the identity numbers that stand within 48 characters after their name; they may overlap."""
    lowered = text.lower()
    for scheme in dict.fromkeys(scheme for word, scheme in _WORDS if word in lowered):
        for start, end in verified(_candidates(scheme, text), partial(_is_valid, scheme, text)):
            yield Finding(scheme.kind, start, end)


def _candidates(scheme: _Scheme, text: str) -> Iterator[Span]:
    for announced in scheme.announcement.finditer(text):
        for match in scheme.number.finditer(text, announced.end(), announced.end() + _REACH):
            yield match.span()


def _is_valid(scheme: _Scheme, text: str, span: Span) -> bool:
    return scheme.is_valid(text[slice(*span)])
