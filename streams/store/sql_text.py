"""SQL text of a user: several statements, and a clause that is not for users."""

import re
from typing import Final

_COMMENT: Final = r"--[^\n]*|/\*.*?(?:\*/|\Z)"
_QUOTED: Final = r"""'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*\""""
_TOKEN: Final = re.compile(rf"{_COMMENT}|{_QUOTED}|;", re.DOTALL)
_NOT_CODE: Final = re.compile(rf"{_COMMENT}|{_QUOTED}", re.DOTALL)
_ONLY_COMMENTS: Final = re.compile(rf"(?:\s|{_COMMENT})*", re.DOTALL)
_FORMAT: Final = re.compile(r"\bFORMAT\s+\w+\s*(?:\bSETTINGS\b.*)?\Z", re.IGNORECASE | re.DOTALL)


def split(text: str) -> list[str]:
    """Return the statements of `text`, without the `;` between them; those inside quotes and comments count
    as text.
    """
    ends = [token.start() for token in _TOKEN.finditer(text) if token[0] == ";"]
    pieces = [
        text[begin:end] for begin, end in zip([0, *(end + 1 for end in ends)], [*ends, None], strict=True)
    ]
    return [piece.strip() for piece in pieces if not _ONLY_COMMENTS.fullmatch(piece)]


def has_format(statement: str) -> bool:
    """Return whether a statement ends with a FORMAT clause."""
    return _FORMAT.search(_NOT_CODE.sub(" ", statement).strip()) is not None
