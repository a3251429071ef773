"""Lists and objects behind the name of a secret: several values, each of which may be one."""

import re
from collections.abc import Iterator
from typing import Final

from detectors.privacy.code import is_loop, items

VALUE: Final = (
    # In a string of JSON the quotes are escaped, both in the same way.
    r"(?:(?P<escape>\\+)(?P<inner>[\"'`])(?!(?P=escape)(?P=inner))(?P<escaped>[^\n]{1,255}?)(?<!\\)(?P=escape)(?P=inner)"
    r"|(?P<quote>[\"'`])(?P<quoted>(?:\\.|(?!(?P=quote))[^\\\n]){1,255}?)(?P=quote)"
    r"|(?P<bare>(?!\\+[\"'`])[^\s\"'`,;]{1,256}))"
)
# The rest of a word, in scripts that have blanks between words.
REST: Final = r"(?P<rest>[A-Za-z0-9_\u00b7-\u0dff\u1000-\u1cff\u200c\u200d-]{0,24}+)"
OPENING = re.compile(
    rf"{REST}\\*[\"'`]?\]?(?P<sign>\s?(?::=|=>|:|=))(?:\s{{0,3}}+(?P<bracket>[\[({{])"
    r"|[ \t]{0,3}+\r?\n(?=[ \t]*(?:-\s|[ \t][\w.-]+:)))"
)
_ITEM = re.compile(
    rf"(?P<sign>)[\[({{,]\s*(?>(?:\[\s*){{0,8}})(?:[\"']?(?P<key>[\w.-]{{1,40}})[\"']?\s{{0,2}}(?::|=>?)\s{{0,3}})?{VALUE}"
)
_LINE = re.compile(
    rf"(?P<sign>)[ \t]*(?:-\s{{1,4}}|[ \t](?P<key>[\w.-]{{1,40}}):\s{{1,3}}){VALUE}[ \t]*\r?(?:\n|\Z)"
)
_BLOCK: Final = 2_000
"""Characters of a list or an object that are searched."""


def listed(text: str, opening: re.Match[str]) -> Iterator[re.Match[str]]:
    """Return what a list or an object holds."""
    return _in_brackets(text, opening) if opening["bracket"] else _in_lines(text, opening.end())


def _in_brackets(text: str, opening: re.Match[str]) -> Iterator[re.Match[str]]:
    first, end = opening.start("bracket"), 0
    loop = is_loop(text, first)
    for start in items(text, first, _BLOCK):
        match = _ITEM.match(text, start) if start >= end else None
        if match and not (loop and match["bare"]):
            end = match.end()
            yield match


def _in_lines(text: str, start: int) -> Iterator[re.Match[str]]:
    """Yield the items of YAML, one a line, as long as they go on."""
    end = start + _BLOCK
    while start < end and (match := _LINE.match(text, start)):
        yield match
        start = match.end()
