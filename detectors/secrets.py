"""Credentials: keys of known form, and values that are assigned to a name such as `password`."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from detectors.base import FloatMatrix
from detectors.batch import Batch
from detectors.privacy.findings import EVIDENCE_LIMIT, SCAN_LIMIT, Finding, Span, merge, verified
from schemas.events import Evidence


class _Form(NamedTuple):
    kind: str
    hints: tuple[str, ...]
    """A text with none of these strings is not searched."""
    pattern: re.Pattern[str]
    """The group `value`, or the whole match, is the secret."""


def _form(kind: str, hints: str, pattern: str) -> _Form:
    return _Form(kind, tuple(hints.split()), re.compile(pattern))


# The forms are the issuers' own, as they document them for secret scanning.
_FORMS: Final = (
    _form("AWS_KEY", "AKIA ASIA", r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _form(
        "AWS_SECRET",
        "AKIA ASIA",
        r"(?:AKIA|ASIA)[A-Z0-9]{16}[\s,;:|/\"'-]{1,20}(?P<value>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    _form("GITHUB_TOKEN", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{36,255}"),
    _form("GITHUB_TOKEN", "github_pat_", r"github_pat_[A-Za-z0-9_]{22,255}"),
    _form("GITLAB_TOKEN", "glpat-", r"glpat-[\w-]{20,255}"),
    _form("SLACK_TOKEN", "xox", r"xox[abeoprs]-[A-Za-z0-9-]{10,255}"),
    _form("SLACK_WEBHOOK", "hooks.slack.com", r"hooks\.slack\.com/services/(?P<value>[A-Za-z0-9/]{20,128})"),
    _form("STRIPE_KEY", "sk_ rk_", r"(?<![A-Za-z0-9])[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}"),
    _form("ANTHROPIC_KEY", "sk-ant-", r"sk-ant-[\w-]{20,255}"),
    _form(
        "OPENAI_KEY", "sk-", r"(?<![A-Za-z0-9])sk-(?!ant-)(?:[a-z]{3,10}-)?(?=[\w-]{0,60}?\d)[\w-]{20,255}"
    ),
    _form("GOOGLE_KEY", "AIza", r"(?<![A-Za-z0-9])AIza[\w-]{35}"),
    _form("HUGGINGFACE_TOKEN", "hf_", r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{30,64}"),
    _form("NPM_TOKEN", "npm_", r"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{36}"),
    _form("PYPI_TOKEN", "pypi-", r"pypi-[\w-]{50,255}"),
    _form("SENDGRID_KEY", "SG.", r"(?<![A-Za-z0-9])SG\.[\w-]{16,64}\.[\w-]{16,64}"),
    _form("JWT", "eyJ", r"(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*)?"),
    _form(
        "CONNECTION_STRING",
        "://",
        r"(?<=://)(?P<value>[^\s:/@\[\]\"'<>]{0,128}+:[^\s/@\[\]\"'<>]{1,128}+)@",
    ),
)
_HINTS: Final = tuple((hint, form) for form in _FORMS for hint in form.hints if "_" not in hint)
_HINTS_WITH_UNDERSCORE: Final = tuple((hint, form) for form in _FORMS for hint in form.hints if "_" in hint)

_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")

_NAMES: Final = ("pass", "pwd", "secret", "token", "key", "credential", "bearer", "auth")
_ASSIGNMENT = re.compile(
    r"(?P<name>passw(?:or)?d|passphrase|passcode|pwd|secret|token|credentials?|api[ _-]?key|access[ _-]?key"
    r"|private[ _-]?key|account[ _-]?key|auth[ _-]?key)"
    r"[\w-]{0,24}+[\"'`]?\s{0,3}+(?::=|=>|==?|:|\bis\b|\bwas\b)\s{0,3}+(?:(?:bearer|basic)\s{1,3}+)?"
    r"(?P<quote>[\"'`])?(?P<value>(?(quote)[^\"'`\n\s,;)][^\"'`\n]{5,255}|[^\s\"'`,;<>()\[\]{}]{6,256}))",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?<!\w)(?:bearer|basic)\s{1,3}+(?P<value>[\w.~+/=-]{16,4096})", re.IGNORECASE)
_PASSWORD_NAMES: Final = ("pass", "pwd")

_EXAMPLE = re.compile(
    r"^[/~.]\w*/|[$%<{*]|x{4}|\.{3}|your|example|placeholder|changeme|redacted|process\.env|os\.environ|getenv|https?://",
    re.IGNORECASE,
)


class SecretsDetector:
    """Counts the credentials in a text."""

    name = "secrets"
    version = "2"
    metrics = ("secrets",)
    cheap_to_explain = True

    def score(self, batch: Batch) -> FloatMatrix:
        """Return counts, shape (N, 1)."""
        counts = np.fromiter((len(find(text)) for text in batch.texts), dtype=np.float32, count=len(batch))
        return counts.reshape(-1, 1)

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return kind and span of each finding, never its value."""
        return [
            Evidence(detector=self.name, metric="secrets", label=f.kind, start=f.start, end=f.end)
            for f in find(batch.texts[row])[:EVIDENCE_LIMIT]
        ]


def find(text: str) -> list[Finding]:
    """Return the credentials in the first `SCAN_LIMIT` characters, sorted and free of overlaps."""
    text = text[:SCAN_LIMIT]
    hints = _HINTS_WITH_UNDERSCORE + _HINTS if "_" in text else _HINTS
    forms = dict.fromkeys([form for hint, form in hints if hint in text])
    found = [Finding(form.kind, *span) for form in forms for span in _values(form.pattern, text)]
    if "-----BEGIN " in text:
        found += [Finding("PRIVATE_KEY", *span) for span in _private_keys(text)]
    lowered = text.lower()
    if any(name in lowered for name in _NAMES):
        found += _assigned(text)
    return merge(found)


def _values(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    group = "value" if "value" in pattern.groupindex else 0
    return (match.span(group) for match in pattern.finditer(text))


def _private_keys(text: str) -> Iterator[Span]:
    position = 0
    while begin := _KEY_BEGIN.search(text, position):
        end = _KEY_END.search(text, begin.end())
        # Without an end the key may have been cut off: all that follows may belong to it.
        position = end.end() if end else len(text)
        yield begin.start(), position


def _assigned(text: str) -> Iterator[Finding]:
    matches = {match.span("value"): match["name"].lower() for match in _ASSIGNMENT.finditer(text)}
    for span in verified(matches, partial(_is_secret, text, matches)):
        yield Finding("PASSWORD" if matches[span].startswith(_PASSWORD_NAMES) else "SECRET", *span)
    for span in verified(_values(_BEARER, text), lambda span: _looks_random(text[slice(*span)], 16)):
        yield Finding("BEARER_TOKEN", *span)


def _is_secret(text: str, names: dict[Span, str], span: Span) -> bool:
    value = text[slice(*span)]
    if names[span].startswith(_PASSWORD_NAMES):
        # People choose short ones, and digits alone.
        return not _EXAMPLE.search(value) and _has_sign(value) and _entropy(value) >= 1.5
    return _looks_random(value, 12)


def _looks_random(value: str, shortest: int) -> bool:
    """Say whether a value is long, has letters and digits, and repeats little."""
    value = value.rstrip(".!?:")[:256]
    if len(value) < shortest or _EXAMPLE.search(value):
        return False
    return any(map(str.isalpha, value)) and any(map(str.isdigit, value)) and _entropy(value) >= 2.0


def _has_sign(value: str) -> bool:
    return any(not character.isalpha() and character not in "_-. " for character in value.rstrip(".!?:"))


def _entropy(value: str) -> float:
    """Return the Shannon entropy of the characters, in bits per character."""
    total = len(value)
    return -sum(count / total * math.log2(count / total) for count in Counter(value).values())
