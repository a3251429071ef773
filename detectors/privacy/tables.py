"""Tables with a row of names on top (Markdown, CSV, tabs, SQL), read as if each cell had its name before it.

What has no form is known by its name alone, and that stands rows above it: so the columns that may hold
something are read once more, as lines of "name: value".
"""

import re
from collections.abc import Generator, Iterator
from typing import Final, NamedTuple

from detectors.privacy.findings import Finding, Span
from detectors.privacy.gates import Gates
from detectors.privacy.secret_values import is_said
from detectors.privacy.turned import Turned

_LONGEST_CELL: Final = 256
_SHORTEST_CELL: Final = 3
_SHORTEST_LETTERS: Final = 10
_READ_AGAIN: Final = 2
"""Characters that are read once more, at most, for each of a text."""
# By what the names of such columns have in common: a text with none of these has none of them.
SIGNS: Final = (
    "pass", "pwd", "kennwort", "contras", "clave", "senha", "woord", "hasło", "haslo", "парол",
    "şifre", "sifre", "密码", "密碼", "パスワード", "비밀번호", "رمز", "كلمة", "pin", "secret", "token",
    "key", "phone", "mobil", "tel", "fax", "телефон", "电话", "電話", "手机", "전화", "ssn", "social", "iban",
    "account", "konto", "cvv", "cvc", "licen", "tax", "cpf", "dni", "nif", "national", "security", "身份证",
)  # fmt: skip
_GATES: Final = Gates.of_strings(SIGNS)
_DELIMITERS: Final = "|\t;,"
_DELIMITER = re.compile(f"[{_DELIMITERS}]")
_NAME = re.compile(r"[^\W\d_](?:[\w-]|[ ./](?=[\w(])|\([\w ]{1,20}\)){0,39}:?")
_EDGES = re.compile(r"\A[^\w(]+|[^\w)]+\Z")
# A column that counts or describes such things, and one that other things are named after.
_TELLS_OF = re.compile(
    r"\b(?:per|most|least|used|common|top|price|cost|count|total|max|min|limit|length|size|type|format|hash|hashing"
    r"|algorithm|policy|strength|usage|required|ids?|expir\w{1,6}|created|updated|rate|budget|requirements?)\b"
    r"|passag|passen|passi[vo]|keyb|keyw|keyn|keyf|monkey|turkey|hotel|taxi|taxon|spin|opin|compass|bypass",
    re.IGNORECASE,
)
_OF_PARTS = re.compile(
    r"(?:functions?|signals?|gpio|direction|voltage|net|wire"
    r"|colou?r|mode|region|zone|environment|tokens? used)",
    re.IGNORECASE,
)
_COUNTED_OF_PARTS = re.compile(r"\A\W*(?:pins?|accounts?)(?![a-z])", re.IGNORECASE)
_HEADER = re.compile(r"[\w \t|,;.()/:\"'`*\r#?!\u2116\u2600-\u27bf\ufe0f\U0001f300-\U0001faff-]{3,400}")
_LONGEST_HEADER: Final = 400
_RULE = re.compile(r"[ \t|:+=\r-]+")
_QUOTED = {
    delimiter: re.compile(
        rf"[ \t]{{0,3}}\"(?:[^\"\n]|\"\")*\"[ \t\r]{{0,3}}(?=[{delimiter}]|\Z)|[^{delimiter}]*+"
    )
    for delimiter in "\t;,"
}
_INSERT = re.compile(
    r"insert\s{1,9}(?:ignore\s{1,9})?into\s{1,9}[\w.\"`\[\]]{1,80}\s{0,9}\((?P<names>[\w\s,\"`\[\]]{1,400})\)"
    r"\s{0,9}values\s{0,9}",
    re.IGNORECASE,
)
_LONGEST_ROW: Final = 4_096
# In a string of JSON the quotes of the statement are escaped.
_STRING: Final = (
    r"(?:'(?P<value>(?>(?:[^'\\]|''|\\.)*))'|(?P<escape>\\*+)\"(?P<double>[^\"\\]*+)(?P=escape)\")"
)
_ROW = re.compile(
    r"\s{0,9}\((?P<row>(?>(?:'(?>(?:[^'\\]|''|\\.)*)'|\"[^\"]*+\"|\([^()]*+\)|[^()'\"])*))\)\s{0,9}(?:,|)"
)
_ITEM = re.compile(rf"\s*+(?:{_STRING}|(?>(?:\"[^\"]*+\"|\([^()]*+\)|[^,()'\"])*))[^,]*+,?")
_QUOTES: Final = "\"'`"
_ESCAPED = re.compile(rf"(?<!\\)\\*+[{_QUOTES}]")
_DEEPEST: Final = 4
"""Strings within strings, at most, in which a table is looked for."""
_OPENING: Final = (":", "=", "(", "[", ",")
"""What stands before a string."""
_BARE = " \t\"'`*\r"
_ESCAPED_QUOTE = re.compile(r"(?<!\\)\\++(?=\")")
# In Markdown a bar behind a backslash parts no cells.
_BAR = re.compile(r"(?<!\\)\|")
_SHOWN_BAR = re.compile(r"\s?\\\|\s?")


class _Line(NamedTuple):
    start: int
    end: int


class _Table(NamedTuple):
    header: _Line
    delimiter: str
    quote: str
    """What opens the string that the table is in, where its first line tells; else empty."""


def tables(text: str) -> list[Turned]:
    """Return the columns of tables that may hold something, all together; none where there are none."""
    lowered = text.lower()
    found = _GATES.open(lowered) if len(lowered) == len(text) else ()
    signs = [sign for sign in SIGNS if sign in found]
    cells: list[tuple[str, Span]] = []
    left = _READ_AGAIN * len(text)
    for name, span in _all_cells(text, lowered, signs):
        left -= len(name) + span[1] - span[0]
        if left < 0:
            break
        cells.append((name, span))
    return [_named(text, cells)] if cells else []


def _all_cells(text: str, lowered: str, signs: list[str]) -> Iterator[tuple[str, Span]]:
    """Yield the cells of all tables; a line within one is no header of another."""
    end = 0
    for start in _starts(lowered, signs):
        line = _line_at(text, start)
        if start < end or not _DELIMITER.search(text, *line):
            continue
        line, quote = _opened(text, line)
        if delimiter := _delimiter(text, line, quote):
            end = yield from _cells(text, _Table(line, delimiter, quote), signs)
    if signs and "insert" in lowered:
        yield from _inserted(text, signs)


def _inserted(text: str, signs: list[str]) -> Iterator[tuple[str, Span]]:
    """Yield the strings that a statement of SQL puts into columns that may hold something."""
    for insert in _INSERT.finditer(text):
        names = [_EDGES.sub("", name) for name in insert["names"].split(",")]
        wanted = [_is_wanted(name, names, signs) for name in names]
        position = insert.end()
        while any(wanted) and (row := _ROW.match(text, position, position + _LONGEST_ROW)):
            position = row.end()
            items = _ITEM.finditer(text, row.start("row"), row.end("row"))
            for name, is_wanted, item in zip(names, wanted, items, strict=False):
                group = "double" if item["value"] is None else "value"
                if is_wanted and item[group] and _may_hold(item[group]):
                    yield name, item.span(group)


def _starts(lowered: str, signs: list[str]) -> list[int]:
    """Return where the lines begin that hold one of the signs."""
    found: set[int] = set()
    for sign in signs:
        position = lowered.find(sign)
        while position >= 0:
            start = lowered.rfind("\n", 0, position) + 1
            found.add(start)
            position = lowered.find(sign, _line_at(lowered, start).end)
    return sorted(found)


def _line_at(text: str, start: int) -> _Line:
    end = text.find("\n", start)
    return _Line(start, end if end >= 0 else len(text))


def _opened(text: str, line: _Line) -> tuple[_Line, str]:
    """Return a line from where a string begins in it, and the quote that opens that: {"csv": "a,b."""
    found = ""
    for _ in range(_DEEPEST):
        place = _last_quote(text, line)
        head = text[line.start : place] if place > line.start else ""
        if not head.rstrip(text[place] + "\\").rstrip(" ").endswith(_OPENING):
            break
        # Of JSON within JSON: the quotes of the inner string are escaped once more.
        found = head[len(head.rstrip("\\")) :] + text[place]
        line = _Line(place + 1, line.end)
        if text.find("\\", *line) < 0:
            break
    return line, found


def _last_quote(text: str, line: _Line) -> int:
    """Return where the last of the quotes with the fewest backslashes before them stands; -1: nowhere."""
    if text.find("\\", *line) < 0:
        return max(text.rfind(quote, *line) for quote in _QUOTES)
    quotes = list(_ESCAPED.finditer(text, *line))
    fewest = min((len(quote[0]) for quote in quotes), default=0)
    return max((quote.end() - 1 for quote in quotes if len(quote[0]) == fewest), default=-1)


def _row_at(text: str, start: int, table_quote: str) -> _Line:
    """Return a line up to where the string ends that the table is in; a cell may be quoted itself."""
    line = _line_at(text, start)
    place = _end(text, line, table_quote) if table_quote else -1
    is_end = place > line.start and text[place - 1] not in "\t;,|"
    return _Line(line.start, place) if is_end else line


def _end(text: str, line: _Line, table_quote: str) -> int:
    """Return where a quote with no more backslashes than that of the table stands; -1: nowhere."""
    quotes = (quote for quote in _ESCAPED.finditer(text, *line) if quote[0][-1] == table_quote[-1])
    return next((quote.start() for quote in quotes if len(quote[0]) <= len(table_quote)), -1)


def _delimiter(text: str, line: _Line, quote: str) -> str:
    """Return what parts the cells of a line and of the next; empty where nothing does."""
    if line.end == len(text) or line.end - line.start > _LONGEST_HEADER:
        return ""
    delimiter = next((each for each in _DELIMITERS if text.count(each, *line)), "")
    if not delimiter or (delimiter != "|" and not _HEADER.fullmatch(_unescaped(text[slice(*line)]))):
        return ""
    # A list in a program is indented, or ends each line with its sign.
    if delimiter in ",;" and (text[line.start] in " \t" or text[line.end - 1] in ",;"):
        return ""
    following = _row_at(text, line.end + 1, quote)
    if _RULE.fullmatch(text, *following):
        following = _row_at(text, following.end + 1, quote)
    count = len(list(_split(text, line, delimiter)))
    return delimiter if len(list(_split(text, following, delimiter))) == count else ""


def _cells(text: str, table: _Table, signs: list[str]) -> Generator[tuple[str, Span], None, int]:
    """Yield the cells below the names that have a sign in them; return where the table ends."""
    header, delimiter, quote = table
    names = [
        _EDGES.sub("", _SHOWN_BAR.sub("/", text[slice(*span)])) for span in _split(text, header, delimiter)
    ]
    if not all(_NAME.fullmatch(name) for name in names if name):
        return header.end
    wanted = [_is_wanted(name, names, signs) for name in names]
    line = _row_at(text, header.end + 1, quote)
    while line.start < len(text):
        if not _RULE.fullmatch(text, *line):
            spans = list(_split(text, line, delimiter))
            if len(spans) != len(names):
                break
            for name, is_wanted, span in zip(names, wanted, spans, strict=True):
                if is_wanted and _may_hold(text[slice(*span)]):
                    yield name, span
        if quote and text.startswith(quote, line.end):
            return line.end
        line = _row_at(text, line.end + 1, quote)
    return line.start


def _is_wanted(name: str, names: list[str], signs: list[str]) -> bool:
    if not any(sign in name.lower() for sign in signs) or _TELLS_OF.search(name):
        return False
    return not (_COUNTED_OF_PARTS.match(name) and any(map(_OF_PARTS.fullmatch, names)))


def _may_hold(cell: str) -> bool:
    """Say whether a cell may hold a value: no word, and nothing that is said of one."""
    if not _SHORTEST_CELL <= len(cell) <= _LONGEST_CELL:
        return False
    return not (cell.isalpha() and len(cell) < _SHORTEST_LETTERS) and not is_said(cell)


def _split(text: str, line: _Line, delimiter: str) -> Iterator[Span]:
    start = line.start
    for part in _parts(_unescaped(text[slice(*line)]), delimiter):
        end = start + len(part)
        shown = part.strip(_BARE)
        first = start + part.find(shown) if shown else start
        yield first, first + len(shown)
        start = end + len(delimiter)


def _unescaped(line: str) -> str:
    """Return a line of the same length with blanks for the backslashes before its quotes."""
    return _ESCAPED_QUOTE.sub(lambda match: " " * len(match[0]), line) if '\\"' in line else line


def _parts(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line; a delimiter within quotes parts none, nor does a bar behind a backslash."""
    if delimiter == "|" and "\\|" in line:
        return _BAR.split(line)
    if delimiter == "|" or '"' not in line:
        return line.split(delimiter)
    parts: list[str] = []
    position = 0
    while position <= len(line) and (match := _QUOTED[delimiter].match(line, position)):
        parts.append(match[0])
        position = match.end() + 1
    return parts


def _named(text: str, cells: list[tuple[str, Span]]) -> Turned:
    parts: list[str] = []
    places: list[int] = []
    for name, (start, end) in cells:
        parts.append(f"{name}: {text[start:end]}\n")
        places += [*[start] * (len(name) + 2), *range(start, end), end - 1]

    def back(finding: Finding) -> Finding:
        return Finding(finding.kind, places[finding.start], places[finding.end - 1] + 1)

    return Turned("".join(parts), back)
