"""Replaces personal data and credentials by placeholders that say what was there, not what it was."""

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from detectors.errors import DetectorError
from detectors.limits import SCAN_LIMIT
from detectors.privacy.finders import FINDERS, find_all
from detectors.privacy.findings import Finding, merge
from detectors.privacy.json_numbers import JsonNumbers, Number
from detectors.privacy.views import Find

MARGIN: Final = 512
"""Characters before `SCAN_LIMIT` at which a longer text is cut: a value that begins before the cut lies
within what was searched, so that no half of one is kept."""

_PASSES: Final = 8
_EXACT: Final = frozenset({"PASSWORD", "SECRET", "BEARER_TOKEN", "CONNECTION_STRING", "PRIVATE_KEY", "JWT"})


class Redactor:
    """Makes placeholders such as `[EMAIL_a1b2c3]`.

    The six hex digits are a keyed BLAKE2b (RFC 7693) of salt, kind and normalised value: the same value
    has the same placeholder where the salt (the conversation) is the same, and without the key nobody
    can try out values. Raises `DetectorError` for a key of less than 16 bytes.
    """

    def __init__(self, key: bytes, finders: Sequence[Find] = FINDERS) -> None:
        if len(key) < 16:
            raise DetectorError(f"the redaction key has {len(key)} bytes: give it at least 16")
        self._key = hashlib.sha256(key).digest()
        self._finders = finders

    def redact(self, text: str, findings: Iterable[Finding], salt: str = "") -> str:
        """Return `text` with `findings` (of `find_all`) replaced, and nothing left in it that would be found.

        A replacement may uncover a value that the text around it hid, so the search is repeated; a text
        made so that this goes on is withheld as a whole. What lies near or beyond `SCAN_LIMIT`, where nothing
        was searched, is cut off. Raises what a finder raises.
        """
        wanted = merge(findings)
        if not wanted and len(text) <= SCAN_LIMIT:
            return text
        redacted = self.replace(text, wanted, salt)
        for _ in range(_PASSES):
            uncovered = find_all(redacted, self._finders)
            if not uncovered and len(redacted) <= SCAN_LIMIT:
                return redacted
            redacted = self.replace(redacted, uncovered, salt)
        return f"[WITHHELD {len(text)} characters]"

    def replace(self, text: str, findings: list[Finding], salt: str = "") -> str:
        """Return `text` with findings replaced, which are sorted and free of overlaps, and no more."""
        cut = len(text) if len(text) <= SCAN_LIMIT else SCAN_LIMIT - MARGIN
        numbers = JsonNumbers(text)
        parts: list[str] = []
        position = 0
        for finding in findings:
            if finding.start >= cut:
                break
            if finding.start < position:  # within a number that was replaced as a whole
                continue
            placeholder = self._placeholder(text, finding, salt)
            number = numbers.of(finding)
            if number is None or number.start < position:
                number = Number(finding.start, finding.end, "")
            start, end, quote = number
            parts += text[position:start], f"{quote}{placeholder}{quote}"
            position = end
        parts.append(text[position:cut])
        if dropped := len(text) - max(position, cut):
            parts.append(f"[TRUNCATED {dropped} characters]")
        return "".join(parts)

    def _placeholder(self, text: str, finding: Finding, salt: str) -> str:
        value = text[finding.start : finding.end]
        parts = (salt, finding.kind, value if finding.kind in _EXACT else _normalise(value))
        digest = hashlib.blake2b(key=self._key, digest_size=3)
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return f"[{finding.kind}_{digest.hexdigest()}]"


def _normalise(value: str) -> str:
    """Return the value as it is compared: one spelling for case, width and separators."""
    folded = unicodedata.normalize("NFKC", value).casefold()
    return "".join(character for character in folded if character.isalnum() or character in "@+")
