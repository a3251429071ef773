"""Keys that are called after a service alone, STRIPE_KEY, or not at all, ?key=...: what is long, random."""

import re
from collections.abc import Iterator
from typing import Final

from detectors.privacy.findings import Span
from detectors.privacy.gates import BLANK, Gates, matches_at

_VALUE: Final = r"(?P<value>(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{32,64})(?![\w-])"
_NAME: Final = r"[A-Za-z][A-Za-z0-9]{0,20}(?:[_-][A-Za-z0-9]{1,20}){0,4}"
# From the word on that all have.
_KEY = re.compile(rf"[_-]key\\?[\"']?\s{{0,2}}(?::|=)\s{{0,2}}\\?[\"']?{_VALUE}", re.IGNORECASE)
_BEFORE = re.compile(rf"(?<![A-Za-z0-9]){_NAME}\Z")
_PARAMETER = re.compile(rf"[?&](?:key|appid)={_VALUE}", re.IGNORECASE)
_GATES: Final = Gates(
    {
        "setting": rf"[_-]key\\?[\"']?{BLANK}{{0,6}}[:=]{BLANK}{{0,6}}\\?[\"']?[a-z0-9]{{32}}",
        "parameter": "[?&](?:key|appid)=",
    }
)
_REACH: Final = 64
# What tells a row, a file or an answer from others; what everybody may know.
_NO_SECRETS = re.compile(
    r"(?:\A|[_-])(?:cache|public|pub|primary|foreign|sort|partition|idempotency|object|hash|row|index|lookup|dedup"
    r"|group|fingerprint|s3|etag|file|image|commit|map|dict|host|block|blob|storage|routing|shard|range|event|message"
    r"|msg|item|query|request|job|task|dataset|data|node|record|asset|content|checksum|digest|md5|sha1|sha256|issue"
    r"|version|build|unique|search|translation|i18n|react|state|store|site)\Z",
    re.IGNORECASE,
)


def vendor_keys(text: str, lowered: str) -> Iterator[Span]:
    """Yield the spans of keys of 32 characters and more, in settings and in addresses of pages."""
    shapes = _GATES.open(lowered) if "key" in lowered else ()
    for match in matches_at(_KEY, text, lowered, ("_key", "-key")) if "setting" in shapes else ():
        name = _BEFORE.search(text, max(0, match.start() - _REACH), match.start())
        if name and not _NO_SECRETS.search(name[0]):
            yield match.span("value")
    if "parameter" in shapes:
        yield from (match.span("value") for match in _PARAMETER.finditer(text))
