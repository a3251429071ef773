"""Tables with a row of names on top (Markdown, CSV, tabs), read as if each cell had its name before it.

What has no form is known by its name alone, and that stands rows above it: so the columns that may hold
something are read once more, as lines of "name: value".
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from detectors.privacy.findings import Finding, Span
from detectors.privacy.turned import Turned

REACH: Final = 2_000
"""Characters from the first row on that are read."""
_LONGEST_CELL: Final = 256
_MOST_HEADERS: Final = 64
# By what the names of such columns have in common: a text with none of these has none of them.
SIGNS: Final = (
    "pass", "pwd", "kennwort", "contras", "clave", "senha", "woord", "hasło", "haslo", "парол",
    "şifre", "sifre", "密码", "密碼", "パスワード", "비밀번호", "رمز", "كلمة", "pin", "secret", "token",
    "key", "phone", "mobil", "tel", "fax", "телефон", "电话", "電話", "手机", "전화", "ssn", "social", "iban",
    "account", "konto", "cvv", "cvc", "licen", "tax", "cpf", "dni", "nif", "national", "security", "身份证",
)  # fmt: skip
_DELIMITERS: Final = "|\t;,"
_NAME = re.compile(r"[^\W\d_](?:[\w-]|[ ./](?=[\w(])|\([\w ]{1,20}\)){0,39}:?")
_HEADER = re.compile(r"[\w \t|,;.()/:\"'`*\r-]{3,400}")
_RULE = re.compile(r"[ \t|:+-]+")
_BARE = " \t\"'`*\r"


class _Line(NamedTuple):
    start: int
    end: int


def tables(text: str) -> list[Turned]:
    """Return the columns of tables that may hold something, all together; none where there are none."""
    lowered = text.lower()
    signs = [sign for sign in SIGNS if sign in lowered] if len(lowered) == len(text) else []
    cells = [cell for header in _headers(lowered, signs) for cell in _cells(text, lowered, header, signs)]
    return [_named(text, cells)] if cells else []


def _headers(lowered: str, signs: list[str]) -> list[_Line]:
    """Return the lines that hold one of the signs and are followed by one with as many delimiters."""
    found: list[_Line] = []
    seen: dict[int, _Line] = {}
    for sign in signs:
        position = lowered.find(sign)
        while position >= 0 and len(found) < _MOST_HEADERS:
            start = lowered.rfind("\n", 0, position) + 1
            line = seen.get(start) or _line_at(lowered, start)
            if start not in seen and _delimiter(lowered, line):
                found.append(line)
            seen[start] = line
            position = lowered.find(sign, line.end)
    return found


def _line_at(text: str, start: int) -> _Line:
    end = text.find("\n", start)
    return _Line(start, end if end >= 0 else len(text))


def _delimiter(text: str, line: _Line) -> str:
    """Return what parts the cells of a line and of the next; empty where nothing does."""
    if line.end == len(text) or not _HEADER.fullmatch(text, *line):
        return ""
    # A list in a program is indented, or ends each line with its sign.
    is_list = text[line.start] in " \t" or text[line.end - 1] in ",;"
    following = _line_at(text, line.end + 1)
    for delimiter in _DELIMITERS:
        count = text.count(delimiter, *line)
        if count:
            is_table = text.count(delimiter, *following) == count and not (is_list and delimiter in ",;")
            return delimiter if is_table else ""
    return ""


def _cells(text: str, lowered: str, header: _Line, signs: list[str]) -> Iterator[tuple[str, Span]]:
    """Yield the cells below the names that have a sign in them: the name, and where the cell stands."""
    delimiter = _delimiter(lowered, header)
    names = [text[slice(*span)] for span in _split(text, header, delimiter)]
    if not all(_NAME.fullmatch(name) for name in names if name):
        return
    wanted = [any(sign in name.lower() for sign in signs) for name in names]
    line = _line_at(text, header.end + 1)
    while line.start < min(len(text), header.start + REACH):
        spans = list(_split(text, line, delimiter))
        if len(spans) != len(names):
            return
        if not _RULE.fullmatch(text, *line):
            for name, is_wanted, span in zip(names, wanted, spans, strict=True):
                if is_wanted and 0 < span[1] - span[0] <= _LONGEST_CELL:
                    yield name, span
        line = _line_at(text, line.end + 1)


def _split(text: str, line: _Line, delimiter: str) -> Iterator[Span]:
    start = line.start
    for part in text[slice(*line)].split(delimiter):
        end = start + len(part)
        shown = part.strip(_BARE)
        first = start + part.find(shown) if shown else start
        yield first, first + len(shown)
        start = end + len(delimiter)


def _named(text: str, cells: list[tuple[str, Span]]) -> Turned:
    parts: list[str] = []
    places: list[int] = []
    for name, (start, end) in cells:
        parts.append(f"{name}: {text[start:end]}\n")
        places += [*[start] * (len(name) + 2), *range(start, end), end - 1]

    def back(finding: Finding) -> Finding:
        return Finding(finding.kind, places[finding.start], places[finding.end - 1] + 1)

    return Turned("".join(parts), back)
