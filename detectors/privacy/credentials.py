"""Credentials: keys of known form, private keys, and values assigned to a name such as `password`."""

import re
from collections.abc import Iterator
from typing import Final

from detectors.privacy.assignments import assigned
from detectors.privacy.commands import command_passwords
from detectors.privacy.findings import Finding, Span, lower
from detectors.privacy.gates import BLANK, Gates, matches_at
from detectors.privacy.headers import header_credentials
from detectors.privacy.providers import TOKEN_KINDS, provider_tokens
from detectors.privacy.secret_values import has_letters_and_digits, is_placeholder, looks_random
from detectors.privacy.vendor_keys import vendor_keys

CREDENTIAL_KINDS: Final = tuple(
    sorted({"PASSWORD", "SECRET", "BEARER_TOKEN", "CONNECTION_STRING", "PRIVATE_KEY", "JWT", *TOKEN_KINDS})
)

_VALUE_SIGNS: Final = ('value"', "value'", "value=", "value:", "value =")
_SHORTEST_SECRET: Final = 16
_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# What belongs to a key that was cut off: lines of base64, headers such as "Proc-Type: 4,ENCRYPTED", line
# breaks that are themselves escaped.
_KEY_BODY = re.compile(
    r"(?:(?:\s|\\[nr])*(?:[A-Za-z0-9+/=]{16,}+|[A-Za-z-]{4,20}: [\w,.-]{1,80}(?=\s|\\n|\Z)))*"
    r"(?:(?:\s|\\[nr])*[A-Za-z0-9+/=]{1,64}(?=\s*\Z|\\n|\"))?"
)

_AFTER_NAME: Final = (
    r"[\"']?[\s,;]{1,40}(?:[A-Za-z-]{1,20}=[\"'][^\"'<>\n]{0,40}[\"']\s{1,9}){0,4}[\"']?value[\"']?\s{0,2}[:=]\s{0,2}"
    r"(?:[\"'](?P<a>[^\"'\n\\]{4,255})[\"']|(?P<b>[^\s\"',;}{\\]{4,255}))"
)
# {"name": "password", "value": "..."}, and the same in YAML.
_NAMED = re.compile(
    r"name[\"']?\s{0,2}[:=]\s{0,2}[\"']?[A-Za-z0-9_-]{0,24}(?:passw(?:or)?d|secret|token|api[_-]?key|pwd)"
    rf"{_AFTER_NAME}",
    re.IGNORECASE,
)
# {"key": "password", "value": "..."}, <input type="password" value="...">: of these the value must look it.
_TYPED = re.compile(
    rf"(?:key|type|id|field)[\"']?\s{{0,2}}[:=]\s{{0,2}}[\"']?[A-Za-z0-9_.:-]{{0,24}}"
    rf"(?P<name>passw(?:or)?d|pwd|secret|token|api[_-]?key){_AFTER_NAME}",
    re.IGNORECASE,
)
_SAID: Final = (
    rf"[\"']?{BLANK}{{0,6}}[:=]{BLANK}{{0,6}}[\"']?[a-z0-9_.:-]{{0,24}}"
    r"(?:passw|pwd|secret|token|api[_-]?key)"
)
_GATES: Final = Gates({"named": f"name{_SAID}", "typed": f"(?:key|type|id|field){_SAID}"})


def credentials(text: str) -> list[Finding]:
    """Return the credentials of a text as it stands; they may overlap."""
    found = list(provider_tokens(text))
    if "-----BEGIN " in text:
        found += [Finding("PRIVATE_KEY", *span) for span in _private_keys(text)]
    lowered = lower(text)
    found += assigned(text, lowered)
    found += (Finding("SECRET", *span) for span in vendor_keys(text, lowered))
    found += header_credentials(text, lowered)
    if "value" in lowered:
        found += _with_values(text, lowered)
    found += command_passwords(text, lowered)
    return found


def _with_values(text: str, lowered: str) -> Iterator[Finding]:
    """Yield the values that stand beside a name, in another field than it."""
    shapes = _GATES.open(lowered)
    for match in matches_at(_NAMED, text, lowered, ("name",)) if "named" in shapes else ():
        span = match.span(match.lastgroup or 0)
        if not is_placeholder(text[slice(*span)]):
            yield Finding("SECRET", *span)
    is_typed = "typed" in shapes and any(sign in lowered for sign in _VALUE_SIGNS)
    for match in matches_at(_TYPED, text, lowered, ("key", "type", "id", "field")) if is_typed else ():
        span = match.span("a" if match["a"] is not None else "b")
        value, password = text[slice(*span)], match["name"].lower().startswith("p")
        if not is_placeholder(value) and (
            has_letters_and_digits(value) if password else looks_random(value, _SHORTEST_SECRET)
        ):
            yield Finding("PASSWORD" if password else "SECRET", *span)


def _private_keys(text: str) -> Iterator[Span]:
    position = 0
    end = _KEY_END.search(text)
    while begin := _KEY_BEGIN.search(text, position):
        # The next end is looked for once, not from each beginning before it.
        if end and end.start() < begin.end():
            end = _KEY_END.search(text, begin.end())
        # Without an end the key may have been cut off: as far as it looks like one.
        body = _KEY_BODY.match(text, begin.end())
        assert body is not None  # it matches nothing, too
        position = end.end() if end and not _KEY_BEGIN.search(text, begin.end(), end.start()) else body.end()
        if position > begin.end():
            yield begin.start(), position
        position = max(position, begin.end())
