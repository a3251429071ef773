"""Credentials in the headers of HTTP: Authorization in its schemes, cookies."""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

from detectors.privacy.findings import Finding, Span, verified
from detectors.privacy.gates import matches_at
from detectors.privacy.secret_values import is_placeholder, looks_random

_TO_VALUE: Final = r"[\"'`]?\]?\s{0,3}+(?::|=>?|,)\s{0,3}+\\?[\"'`]?"
_BEARER = re.compile(
    r"(?<!\w)(?:bearer|(?P<basic>basic))\s{1,3}+(?P<value>(?(basic)[\w.~+/=-]{8,4096}|[\w.~+/=-]{16,4096}))",
    re.IGNORECASE,
)
_AUTHORIZATION = re.compile(
    rf"(?<![A-Za-z:])authorization{_TO_VALUE}(?:(?P<scheme>[A-Za-z][\w-]{{2,31}})[ \t]{{1,3}}+)?"
    r"(?P<value>[^\s\"'`\\,;]{4,4096})",
    re.IGNORECASE,
)
# As in a list of settings, where a blank would end it.
_ENCODED_SCHEME = re.compile(r"(?:bearer|basic|token)(?:%20|\+)", re.IGNORECASE)
# Digest, OAuth 1, signatures of AWS: of their parameters those that prove something.
_PARAMETER = re.compile(
    r"(?:response|c?nonce|opaque|signature|oauth_(?:token|signature)|mac|credential)=[\"']?(?P<value>[^\s\"',]{8,512})",
    re.IGNORECASE,
)
_PARAMETERS: Final = 1_000
"""Characters after a scheme in which its parameters are looked for."""
_COOKIES = re.compile(
    rf"(?:(?:set-)?cookie{_TO_VALUE}|(?<=\s)(?:-b|--cookie)[ =][\"']?)"
    r"(?P<value>[\w.$-]{1,64}=[^\r\n\"']{1,8192})",
    re.IGNORECASE,
)
_COOKIE_BEGINNINGS: Final = ("set-cookie", "cookie", "-b ", "-b=", "--cookie")
_COOKIE = re.compile(r"(?:\A|;\s{0,3})(?P<name>[\w.$-]{1,64})=(?P<value>[^;\s]{1,4096})")
_SESSION = re.compile(r"sess|sid\b|auth|token|jwt|login|remember|[cx]srf", re.IGNORECASE)
_ATTRIBUTES: Final = frozenset({"path", "expires", "max-age", "domain", "samesite", "priority", "version"})


def header_credentials(text: str, lowered: str) -> Iterator[Finding]:
    """Yield what headers carry; findings may overlap."""
    if "bearer" in lowered or "basic" in lowered:
        known = matches_at(_BEARER, text, lowered, ("bearer", "basic"))
        bearers = {match.span("value"): match for match in known}
        for span in verified(bearers, lambda span: _is_of_bearer(bearers[span])):
            yield Finding("BEARER_TOKEN", *span)
    if "authorization" in lowered:
        yield from _authorizations(text, lowered)
    if "cookie" in lowered or "-b" in lowered:
        for header in matches_at(_COOKIES, text, lowered, _COOKIE_BEGINNINGS):
            yield from _cookies(text, header.span("value"))


def _is_of_bearer(match: re.Match[str]) -> bool:
    return looks_random(match["value"], 16) or (match["basic"] is not None and is_basic(match["value"]))


def _authorizations(text: str, lowered: str) -> Iterator[Finding]:
    known = matches_at(_AUTHORIZATION, text, lowered, ("authorization",))
    headers = {match.span("value"): match for match in known}
    for span in verified(headers, lambda span: _is_credential(headers[span])):
        yield Finding("BEARER_TOKEN", *span)
    for match in headers.values():
        if match["scheme"] and "=" in match["value"]:
            start = match.start("value")
            line = text.find("\n", start, start + _PARAMETERS)
            for found in _PARAMETER.finditer(text, start, line if line >= 0 else start + _PARAMETERS):
                if not is_placeholder(found["value"]):
                    yield Finding("BEARER_TOKEN", *found.span("value"))


def _is_credential(match: re.Match[str]) -> bool:
    scheme, value = (match["scheme"] or "").lower(), match["value"]
    if scheme == "basic":
        return is_basic(value)
    value = _ENCODED_SCHEME.sub("", value)
    return "=" not in value.rstrip("=") and looks_random(value, 12)


def is_basic(value: str) -> bool:
    """Say whether a value is a name and a password in base64 (RFC 7617)."""
    try:
        decoded = base64.b64decode(value + "=" * (-len(value) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return False
    return ":" in decoded and decoded.isprintable()


def _cookies(text: str, header: Span) -> Iterator[Finding]:
    found = [
        (match["name"], (header[0] + match.start("value"), header[0] + match.end("value")))
        for match in _COOKIE.finditer(text[slice(*header)])
    ]
    spans = {span: name for name, span in found if name.lower() not in _ATTRIBUTES}
    for span in verified(spans, lambda span: _is_session(spans[span], text[slice(*span)])):
        yield Finding("SECRET", *span)


def _is_session(name: str, value: str) -> bool:
    return looks_random(value, 8 if _SESSION.search(name) else 16)
