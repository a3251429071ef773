"""Tells what stands in a program for a secret: names, calls, slices, fields, the statement `pass`."""

import re
from collections.abc import Iterator
from typing import Final

from detectors.privacy.labels import Label

_CALL: Final = r"\((?>(?:[^()]++|\((?>(?:[^()]++|\((?>(?:[^()]++|\([^()]*+\)?+)*)\)?+)*)\)?+)*)\)?+"
_SLICE: Final = r"\[(?:[\w\"'.\[\]()+*/:=~-]*\]|:{0,2}[\w\"'.\[\]()-]*)"
# A value ends at a blank: so may what is in the last of its brackets.
_CHAIN = re.compile(
    rf"[-!&*~(\[]*(?:\$?[A-Za-z_]\w*|[\[(]\)?)"
    rf"(?>(?:{_CALL}|(?<![(\[]){_SLICE}|[?!]?\.#?[A-Za-z_]\w*|!(?=[.\[(]))+)[\])]*"
)
_CALLED = re.compile(
    r"[-~(\[]*(?:(?:[A-Za-z_]\w*\.)+[A-Za-z_]\w+|[A-Za-z_]\w{2,}(?=\((?:[rfb]{0,2}[\"']|\))))\("
    r"|[a-z_]{3,}\w*\([-(*]*[A-Za-z_]\w*(?:=|\.[a-z])|f[\"'][^\"']*\{"
    r"|[A-Za-z_][\w.]*\[~?[A-Za-z_][\w.]*(?:\]\Z|\[[\w\"'])"
)
# The last argument of a call, and what is done with what it returns: kernel).fit(X
_LAST = re.compile(r"[\w.]+(?:\[[\w.:-]*\])?\)+(?:\[-?[\w:]*\])?(?:\.[A-Za-z_]\w*(?:\(.*)?)+")
_NUMBER = re.compile(
    r"[-~(\[]*[0-9]+(?:\.[0-9]*)?(?:\*\*-?[0-9.]+|\.?e-[0-9]+)[)\]]*|[(\[]+-?[0-9]+\.?[0-9]*[)\]]*|-[0-9]+\.[0-9]+"
)
_OPERATOR = re.compile(r" (?:\+ [\"'(]|>> |<< |\*\* |& 0x|if [^\n]{1,80} else )")
_CONVERTED = re.compile(r"[A-Za-z_][\w.\[\]()]*=?![rsa](?::[^{}\s]*)?")
_NAME = re.compile(r"\$?[A-Za-z_]\w*")
_FIRST = re.compile(r"[\[({]+\*{0,2}[A-Za-z_]+")
_NUMBERED = re.compile(r"_?[0-9]{1,2}")
_OWNED = re.compile(r"(?<![\w.])(?:(?:self|this|cls)\.|(?:const|let|var)\s{1,4})[\w$]{0,24}\Z")
# Two blanks stand for the underscores of __init__, where those are read as emphasis.
_ARGUMENT = re.compile(
    r"[A-Za-z_]\w*(?:  )?\((?>(?:[^()\n\"']|\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\))*)(?<=[(,\s])\Z"
)
_STATEMENT = re.compile(r"(?:\A|\n)(?P<indent>[ \t]*)(?P<head>[^\n]{1,200}:[ \t]*)?\Z")
_INDENT = re.compile(r"(?:[ \t]*\r?\n)+(?P<indent>[ \t]*)")
_LOOP = re.compile(r"[^\n\"'`\])}]{1,200}\sfor\s[^\n\"'`]{1,80}\sin\s")
# In JSON within a string every quote is escaped: those open nothing here.
_BRACKET = re.compile(
    r"(?<!\\)\"(?:\\.|[^\"\\\n])*\"|(?:(?<![\\\w])|(?<![\\\w])[rbfuRBFU]{1,2})'(?:\\.|[^'\\\n])*'|[\[\](){},]"
)
_CLOSING: Final = {"[": "]", "(": ")", "{": "}"}
_DEEPEST: Final = 16
"""Brackets of a kind within each other, at most: text made of beginnings would be read once from each."""


def is_call(value: str) -> bool:
    """Say whether a value calls by a name with points, or with a string, as no password does: re.sub(x."""
    return _CALLED.match(value) is not None


def is_chain(value: str) -> bool:
    """Say whether a value is a number, or a name with calls or slices after it: str(uuid4())[:8]."""
    return any(pattern.fullmatch(value) for pattern in (_CHAIN, _LAST, _NUMBER))


def is_unclosed(value: str, after: str) -> bool:
    """Say whether a value with digits opens a bracket that the line `after` it never closes: hunter2[Win7."""
    if value[-1:] in {"", "(", "["} or after[:1] == "," or not any(map(str.isdigit, value)):
        return False
    pairs = (("(", ")"), ("[", "]"))
    return any(value.count(a) > value.count(b) and b not in after for a, b in pairs)


def is_field(value: str) -> bool:
    """Say whether a value is a name that a string is made with: password!r."""
    return _CONVERTED.fullmatch(value) is not None


def is_variable(value: str, label: Label, text: str, rest: str, sign: str) -> bool:
    """Say whether a bare value is a name of the program, by the line that it is assigned in.

    An ini file, too, may say "password = password1": that is one.
    """
    if "=" not in sign or not _NAME.fullmatch(value):
        return False
    if _OWNED.search(text, max(0, label.start - 40), label.start):
        return True
    own = value.lower().startswith(label.name) and _NUMBERED.fullmatch(value, len(label.name)) is not None
    if own and (sign == "==" or _NUMBERED.fullmatch(rest)):  # password1 = password2
        return True
    return (own or "_" in value) and is_argument(text, label.start)


def is_argument(text: str, start: int) -> bool:
    """Say whether the name at `start` is one of a call, whose values are names or in quotes."""
    return _ARGUMENT.search(text, max(0, start - 160, text.rfind("\n", 0, start)), start) is not None


def is_operand(text: str, value: str, end: int) -> bool:
    """Say whether a name is reckoned with, or one of several: mask1 if masked else mask2, (Series, Frame)."""
    if text.startswith(", ", end):
        return _FIRST.fullmatch(value) is not None
    return _NAME.fullmatch(value) is not None and _OPERATOR.match(text, end) is not None


def is_statement(text: str, start: int, end: int, value: str) -> bool:
    """Say whether `pass` at `start` is the statement of Python, after which another line begins."""
    line, after = _STATEMENT.search(text, max(0, start - 240), start), _INDENT.match(text, end)
    if line is None or after is None or text[start:end] != "pass":
        return False
    return bool(line["head"]) or len(after["indent"]) < len(line["indent"]) or is_chain(value)


def is_loop(text: str, start: int) -> bool:
    """Say whether brackets hold what a loop makes: what has no quotes in them is a name."""
    return _LOOP.match(text, start) is not None


def items(text: str, start: int, reach: int) -> Iterator[int]:
    """Yield where the items begin of the list at `start` and of those in it; at most `reach` after it.

    Where brackets lie too deep in each other, the list ends.
    """
    opened, depth = text[start], 0
    for match in _BRACKET.finditer(text, start, start + reach):
        depth += (match[0] == opened) - (match[0] == _CLOSING[opened])
        if not 0 < depth <= _DEEPEST:
            return
        if match[0] == "," or match.start() == start:
            yield match.start()
