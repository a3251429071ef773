"""E-mail addresses: one script to a local part, and a domain that ends in a top-level domain that exists."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from publicsuffixlist import PublicSuffixList

from detectors.privacy.findings import Span

_LATIN = "A-Za-z0-9\u00c0-\u024f"
_LABEL = rf"[{_LATIN}][{_LATIN}-]{{0,62}}+"
_DOMAIN = re.compile(
    rf"@(?:{_LABEL}\.){{1,8}}(?:xn--[A-Za-z0-9-]{{2,59}}+|[A-Za-z]{{2,24}}+)(?![A-Za-z0-9_-])"
)
_FOREIGN_DOMAIN = re.compile(r"@(?:[^\W_][\w-]{0,62}+\.){1,8}[^\W\d_]{2,24}")

# Backwards from the @. Of other scripts one at a time: a sentence that has no blanks would come along.
_LOCAL_REVERSED = re.compile(
    r"\"[^\"@\s]{1,64}\"(?![A-Za-z0-9=:])"
    r"|[0-9._-]*[\u0400-\u052f][\u0400-\u052f0-9._-]{0,63}"  # Cyrillic
    r"|[0-9._-]*[\u0370-\u03ff][\u0370-\u03ff0-9._-]{0,63}"  # Greek
    r"|[0-9._-]*[\u0590-\u06ff][\u0590-\u06ff0-9._-]{0,63}"  # Hebrew, Arabic
    r"|[0-9._-]*[\u0900-\u0dff][\u0900-\u0dff0-9._-]{0,63}"  # scripts of India
    rf"|[{_LATIN}.%+'_-]{{1,64}}+"
    r"|[0-9._-]*[\u3400-\u9fff][\u3400-\u9fff0-9._-]{0,15}"  # Han
    r"|[0-9._-]*[\u3040-\u30ff][\u3040-\u30ff0-9._-]{0,15}"  # Kana
    r"|[0-9._-]*[\uac00-\ud7a3][\uac00-\ud7a30-9._-]{0,15}"  # Hangul
)
# jane [at] example [dot] com; without brackets only in capitals, as "at" is a word of every sentence.
_OPEN, _CLOSE = r"\s{0,3}[\[({<]\s?", r"\s?[\])}>]\s{0,3}"
_SPELT_AT = rf"(?:{_OPEN}(?:at|@|ät|arroba|chiocciola){_CLOSE}|\s(?-i:AT)\s(?=[^\n]{{1,64}}\s(?-i:DOT)\s))"
_SPELT_DOT = rf"(?:{_OPEN}(?:dot|punkt|punto|ponto|point|\.){_CLOSE}|\s(?-i:DOT)\s|\.)"
# In scripts that have blanks between words: of others the sentence before would come along.
_SPELT_SIGN = rf"[{_LATIN}\u0370-\u06ff\u0900-\u0dff_.+-]"
_SPELT = re.compile(
    rf"(?<!{_SPELT_SIGN}){_SPELT_SIGN}{{1,64}}+{_SPELT_AT}(?:[\w-]{{1,63}}+{_SPELT_DOT}){{1,6}}"
    r"(?P<last>[A-Za-z]{2,24})(?![A-Za-z0-9_])",
    re.IGNORECASE,
)
_NO_METHODS: Final = (".com", ".org", ".net", ".edu", ".gov")
_USERINFO = re.compile(r"://[^\s/@]{0,128}:$")
_SCALE = re.compile(r"[0-9]x\Z")  # icon@2x.ai

# RFC 2606, RFC 6761, RFC 6762, and what companies call their own networks.
_SPECIAL: Final = frozenset({
    "test", "example", "invalid", "localhost", "local", "onion", "private",
    "internal", "intranet", "lan", "corp", "home",
})  # fmt: skip
_SUFFIXES: Final = PublicSuffixList(accept_unknown=False)


def emails(text: str) -> Iterator[Span]:
    """Yield the spans of addresses, as far as they are sure to belong to it."""
    position = 0
    while (at := text.find("@", position)) >= 0:
        position = at + 1
        end = _domain_end(text, at)
        local = _LOCAL_REVERSED.match(text[max(0, at - 64) : at][::-1]) if end else None
        name = local[0][::-1].lstrip(".%+'-") if local else ""
        if not name or name == "git":  # git@host is the address of a repository
            continue
        if not _USERINFO.search(text, max(0, at - 196), at - len(name)):  # scheme://user:password@host
            yield at - len(name), end
        position = max(position, end)


def spelt_emails(text: str) -> Iterator[Span]:
    """Yield the spans of addresses that are spelt out, in a text that may hold one."""
    for match in _SPELT.finditer(text):
        if is_top_level(match["last"]):
            yield match.span()


def _domain_end(text: str, at: int) -> int:
    """Return where the domain after the @ ends; 0 where none follows, or code that looks like one."""
    if match := _DOMAIN.match(text, at):
        end = _known_end(match[0], match.start())
        # What is called is a method: q@k.to(device).
        called = text[match.end() : match.end() + 1] == "("
        return 0 if called and not text.endswith(_NO_METHODS, 0, end) else end
    match = _FOREIGN_DOMAIN.match(text, at)
    return _foreign_end(match[0], match.start()) if match else 0


def _known_end(domain: str, start: int) -> int:
    labels = domain[1:].split(".")
    if _SCALE.match(labels[0]):
        return 0
    # The next sentence may follow without a blank: "jane@example.com.Then".
    while len(labels) > 1 and not is_top_level(labels[-1]) and labels[-1][:1].isupper():
        domain = domain[: -len(labels.pop()) - 1]
    return start + len(domain) if len(labels) > 1 and is_top_level(labels[-1]) else 0


def _foreign_end(domain: str, start: int) -> int:
    """Cut the last label to one that exists: in scripts without blanks the words after it come along."""
    head, _, last = domain.rpartition(".")
    for length in range(len(last), 1, -1):
        if is_top_level(last[:length]):
            return start + len(head) + 1 + length
    ascii_head = re.match(r"[A-Za-z]{2,24}", last)
    return start + len(head) + 1 + len(ascii_head[0]) if ascii_head and is_top_level(ascii_head[0]) else 0


@lru_cache(maxsize=4096)
def is_top_level(label: str) -> bool:
    """Say whether a label, in Unicode or as xn--, is a top-level domain or one set apart for private use."""
    label = label.lower()
    return label in _SPECIAL or _SUFFIXES.publicsuffix(f"a.{label}") is not None
