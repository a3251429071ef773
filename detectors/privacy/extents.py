"""Where a value without quotes ends: passwords have signs in them that end a sentence or an argument."""

import re
from typing import Final

from detectors.privacy.findings import PLACEHOLDER, Span
from detectors.privacy.secret_values import is_code, is_mixed, is_placeholder, is_scribbled

ENDS: Final = ".:,;\\\"'`»”“’›」』"
"""What ends a sentence, a quote or an item and is no part of the value before it."""
_LONGEST: Final = 256
_BEFORE: Final = 200
"""Characters before a value in which a quote may have been opened."""
_TOKEN = re.compile(rf"\S{{1,{_LONGEST}}}")
# The next setting in a row of them: Password=x1y2;Server=db, password:x1,user:y
_NEXT_SETTING = re.compile(r"[,;][\"'`]?[A-Za-z_][\w.-]{1,30}[\"'`]?(?:=|:)")
_CLOSED = re.compile(r"\\*(?P<quote>[\"'`])(?=[\s,;:.!?)\]}>\\<]|\Z)")
# A string of a program: N'...', b"..."
_LITERAL = re.compile(r"[bfnru]{1,2}([\"'])[^\s\"']*\1(?!\w)", re.IGNORECASE)
_ITEM = re.compile(r"[^,;]+")
# The sentence goes on without a blank, in a script that has none.
UNSPACED: Final = re.compile(r"[\u0e00-\u0eff\u3000-\u9fff\uac00-\ud7a3]")
_BACKSLASHES = re.compile(r"\\{2,}")
_IN_LINK = re.compile(r"[?&#][\w.-]{0,24}\Z")
_NEXT_FIELD = re.compile(r"[^&]{5,}[A-Za-z0-9]&[A-Za-z_]{2,24}=")  # client_secret=...&grant_type=...
_MIXED_ITEM = re.compile(r"(?=.*[A-Za-z]).*[0-9]")


def whole(text: str, span: Span, *, has_sign: bool) -> Span:
    """Return where a value stands that goes on behind a comma, a semicolon or a quote, up to a blank.

    `span` is what stands before the first of those signs; it is returned as it is where what follows is
    another item, the end of a quote that was opened before the value, or the sentence.
    """
    start, end = span
    token = _TOKEN.match(text, start)
    if token is None or PLACEHOLDER.match(text, start) or _LITERAL.match(text, start):
        return span
    value = _trimmed(text, start, token[0])
    if start + len(value) <= end:
        return span
    is_one = is_scribbled(value) or _goes_on(text[start:end], value, has_sign)
    return (start, start + len(value)) if is_one else span


def _trimmed(text: str, start: int, value: str) -> str:
    if following := _NEXT_SETTING.search(value, 1):
        value = value[: following.start()]
    if value[:1].isascii():
        value = UNSPACED.split(value, maxsplit=1)[0]
    line = text[max(text.rfind("\n", 0, start) + 1, start - _BEFORE) : start]
    for closed in _CLOSED.finditer(value, 1):
        if _is_opened(line, closed["quote"]):
            value = value[: closed.start()]
            break
    return value.rstrip(ENDS)


def _is_opened(line: str, quote: str) -> bool:
    """Say whether there is such a quote before, other than the apostrophe in a word."""
    return re.search(rf"(?<!\w){quote}|{quote}(?!\w)", line) is not None


def _goes_on(base: str, value: str, has_sign: bool) -> bool:
    """Say whether a value has letters and digits, and is no list of names and numbers."""
    if is_code(base) or is_placeholder(base):
        return False
    return is_mixed(base) or (has_sign and any(map(_MIXED_ITEM.match, _ITEM.findall(value))))


def first_field(text: str, name: int, value: str, sign: str) -> str:
    """Return a value without what follows it in a link or a form, by where its name begins; 0: nowhere."""
    in_link = name and _IN_LINK.search(text, max(0, name - 26), name)
    return value.partition("&")[0] if in_link or (sign == "=" and _NEXT_FIELD.match(value)) else value


def shown(text: str, span: Span) -> str:
    """Return a value with one backslash where JSON within JSON has several."""
    return _BACKSLASHES.sub(r"\\", text[slice(*span)])
