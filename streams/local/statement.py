"""What one HTTP request to ClickHouse asks for: a statement, or an INSERT and the rows behind it."""

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*"|--[^\n]*|/\*.*?\*/|[A-Za-z_]\w*|[()]""",
    re.DOTALL,
)
_FORMAT_NAME = re.compile(rb"\s+(\w+)[ \t\f]*(?:\r?\n)?")
_TRAILING_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*(?:SETTINGS\s[^;]*)?;?\s*\Z", re.IGNORECASE)
_ROW_SOURCES = {b"SELECT", b"WITH", b"INFILE", b"WATCH"}
_WITH_RESULT = {b"SELECT", b"WITH", b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN", b"CHECK"}

# Formats whose blocks can be joined: the engine streams each block as a document of its own.
_STREAMABLE = {"native", "tabseparated", "tsv", "csv", "rowbinary", "jsoneachrow"}


@dataclass(frozen=True)
class Insert:
    """`INSERT INTO ...` without its FORMAT clause, and the rows in that format."""

    head: str
    format: str
    data: memoryview


@dataclass(frozen=True)
class Query:
    """Any other statement, and the format of its result."""

    text: bytes
    format: str
    has_result: bool
    """Whether it answers with a table, which may be empty."""
    streams: bool
    """Whether the engine can hand out the result block by block."""

    def in_format(self, name: str) -> bytes:
        """Return the statement with another output format."""
        match = _TRAILING_FORMAT.search(self.text)
        text = self.text[: match.start()] if match else self.text.rstrip().rstrip(b";")
        return text + b"\nFORMAT " + name.encode()


def parse(text: bytes, default_format: str) -> Insert | Query:
    """Split `text`, the query and the request body joined as ClickHouse joins them."""
    words = _TOKEN.finditer(text)
    first = next((m for m in words if not m[0].startswith((b"--", b"/*", b"("))), None)
    keyword = first[0].upper() if first else b""
    if keyword == b"INSERT" and (insert := _with_rows(text)):
        return insert
    match = _TRAILING_FORMAT.search(text)
    name = match[1].decode() if match else default_format
    streams = keyword in {b"SELECT", b"WITH"} and name.lower() in _STREAMABLE
    return Query(text, name, keyword in _WITH_RESULT, streams)


def _with_rows(text: bytes) -> Insert | None:
    """Return the insert when its rows follow in `text`; None when a SELECT or a file gives them."""
    depth = 0
    for token in _TOKEN.finditer(text):
        word = token[0].upper()
        depth += (word == b"(") - (word == b")")
        if depth:
            continue
        if word == b"VALUES":
            return Insert(text[: token.start()].decode(), "Values", memoryview(text)[token.end() :])
        if word == b"FORMAT" and (name := _FORMAT_NAME.match(text, token.end())):
            return Insert(text[: token.start()].decode(), name[1].decode(), memoryview(text)[name.end() :])
        if word in _ROW_SOURCES:
            return None
    return None
