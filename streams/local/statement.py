"""What one HTTP request to ClickHouse asks for: a statement, or an INSERT and the rows behind it."""

import re
from collections.abc import Callable
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*"|--[^\n]*|"""
    rb"""\#[!\ ][^\n]*|/\*.*?\*/|[A-Za-z_]\w*|[()]""",
    re.DOTALL,
)
# As many values at once as memory is no matter of, or what ends them: a quote that none closes, too.
_VALUES = re.compile(rb"(?:[^';]++|'[^'\\]*+(?:\\.[^'\\]*+)*'){1,1000}|(?P<end>[';])", re.DOTALL)
_FORMAT_NAME = re.compile(rb"\s+(\w+)[ \t\f]*(?:\r?\n)?")
_TRAILING_FORMAT = re.compile(r"\sFORMAT\s+(\w+)\s*(?:SETTINGS\s[^;]*)?\Z")
_SETTINGS_OF_INSERT = re.compile(r"\s(SETTINGS\s.*)\Z", re.DOTALL)
_ROW_SOURCES = {b"SELECT", b"WITH", b"INFILE", b"WATCH"}
_WITH_RESULT = {"SELECT", "WITH", "SHOW", "DESCRIBE", "EXISTS", "EXPLAIN", "CHECK"}
_SHORT = {"SHOW", "DESCRIBE", "EXISTS", "USE", "SET"}

# Formats whose blocks can be joined: the engine streams each block as a document of its own.
_STREAMABLE = {"native", "tabseparated", "tsv", "csv", "rowbinary", "jsoneachrow"}
_READS = re.compile(r"\b(?:FROM|JOIN)\s+(?!system\.(?:tables|columns|databases|settings|functions)\b)")

Canonical = Callable[[bytes], str]
"""Writes a statement as the engine's parser reads it."""


@dataclass(frozen=True)
class Insert:
    """`INSERT INTO ...` without its FORMAT clause, and the rows in that format."""

    text: str
    format: str
    data: memoryview

    def from_file(self, path: str) -> str:
        """Return the statement that takes the rows from a file."""
        settings = _SETTINGS_OF_INSERT.search(self.text)
        head = self.text[: settings.start()] if settings else self.text
        clause = f" {settings[1]}" if settings else ""
        return f"{head} FROM INFILE '{path}' COMPRESSION 'none'{clause} FORMAT {self.format}"


@dataclass(frozen=True)
class Query:
    """Any other statement, and the format of its result."""

    text: str
    format: str

    @property
    def keyword(self) -> str:
        """Its first word."""
        return self.text.lstrip("( \n").split(None, 1)[0]

    @property
    def has_result(self) -> bool:
        """Whether it answers with a table, which may be empty."""
        return self.keyword in _WITH_RESULT

    @property
    def streams(self) -> bool:
        """Whether the engine can hand out the result block by block."""
        return self.keyword in {"SELECT", "WITH"} and self.format.lower() in _STREAMABLE

    @property
    def is_short(self) -> bool:
        """Whether it reads nothing but what the engine knows of its tables."""
        return self.keyword in _SHORT or (self.keyword == "SELECT" and not _READS.search(self.text))

    def in_format(self, name: str) -> str:
        """Return the statement with another output format."""
        match = _TRAILING_FORMAT.search(self.text)
        return f"{self.text[: match.start()] if match else self.text}\nFORMAT {name}"


def parse(text: bytes, default_format: str, canonical: Canonical) -> Insert | Query:
    """Split `text`, the query and the request body joined as ClickHouse joins them."""
    words = _TOKEN.finditer(text)
    first = next((m for m in words if not m[0].startswith((b"--", b"#", b"/*", b"("))), None)
    if first and first[0].upper() == b"INSERT" and (insert := _with_rows(text, canonical)):
        return insert
    statement = canonical(text)
    match = _TRAILING_FORMAT.search(statement)
    return Query(statement, match[1] if match else default_format)


def _with_rows(text: bytes, canonical: Canonical) -> Insert | None:
    """Return the insert when its rows follow in `text`; None when a SELECT or a file gives them."""
    depth = 0
    for token in _TOKEN.finditer(text):
        word = token[0].upper()
        depth += (word == b"(") - (word == b")")
        if depth:
            continue
        if word == b"VALUES":
            end = next((m.start() for m in _VALUES.finditer(text, token.end()) if m["end"]), len(text))
            if text[end : end + 1] == b";":
                canonical(b"SELECT 1" + text[end:])  # refuses a second statement, takes a comment
            return _insert(text[: token.start()], "Values", memoryview(text)[token.end() :], canonical)
        if word == b"FORMAT" and (name := _FORMAT_NAME.match(text, token.end())):
            data = memoryview(text)[name.end() :]
            return _insert(text[: token.start()], name[1].decode(), data, canonical)
        if word in _ROW_SOURCES:
            return None
    return None


def _insert(head: bytes, name: str, data: memoryview, canonical: Canonical) -> Insert:
    # A line break before FORMAT: a comment may end the head.
    statement = canonical(head + b"\nFORMAT " + name.encode())
    match = _TRAILING_FORMAT.search(statement)
    assert match, "the parser keeps the format of an insert"
    return Insert(statement[: match.start()], match[1], data)
