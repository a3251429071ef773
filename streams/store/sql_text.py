"""SQL text taken apart: statements, definitions, words, without being misled by quotes and comments."""

import re
from typing import Final

_COMMENT: Final = r"--[^\n]*|/\*.*?(?:\*/|\Z)"
"""One that nobody ends goes to the end of the text."""
_QUOTED: Final = r"""'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*\""""
# Comments and quotes in one pass, whichever begins first: a quote in a comment opens nothing.
_NOT_CODE: Final = re.compile(rf"{_COMMENT}|{_QUOTED}", re.DOTALL)
_COMMENT_OR_QUOTED: Final = re.compile(rf"(?P<comment>{_COMMENT})|{_QUOTED}", re.DOTALL)
_FORMAT: Final = re.compile(r"\bFORMAT\s+\w+\s*(?:\bSETTINGS\b.*)?\Z", re.IGNORECASE | re.DOTALL)


def statements(text: str) -> list[str]:
    """Return the statements of `text`, without the `;` between them; what holds only comments is none."""
    return [each for each in _split(text, ";") if without_comments(each)]


def split(text: str, separator: str) -> list[str]:
    """Split a part of a statement at a character; one inside brackets counts as text."""
    return _split(text, separator, bracketed=False)


def without_comments(text: str) -> str:
    """Return SQL with a blank in place of each comment."""
    # A blank, so that the words on both sides stay two.
    return _COMMENT_OR_QUOTED.sub(lambda found: " " if found["comment"] else found[0], text).strip()


def has_format(statement: str) -> bool:
    """Return whether a statement ends with a FORMAT clause."""
    return _FORMAT.search(_NOT_CODE.sub(" ", statement).strip()) is not None


def _split(text: str, separator: str, *, bracketed: bool = True) -> list[str]:
    tokens = re.compile(rf"{_COMMENT}|{_QUOTED}|[(){re.escape(separator)}]", re.DOTALL)
    ends, depth = [], 0
    for token in tokens.finditer(text):
        depth += (token[0] == "(") - (token[0] == ")")
        if token[0] == separator and (bracketed or not depth):
            ends.append(token.start())
    begins = [0, *(end + 1 for end in ends)]
    return [text[begin:end].strip() for begin, end in zip(begins, [*ends, None], strict=True)]
