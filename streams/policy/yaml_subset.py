"""A small, safe subset of YAML, read with the line of every value.

The values are built from the parser's events, so no YAML constructor ever runs: no tag can make a
Python object, no alias can blow up, and every scalar stays as it was written. That last point is what
lets a policy say `mode: off` and `version: 1.10`, which YAML 1.1 reads as `False` and `1.1`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20

Value = str | bool | None | list["Value"] | dict[str, "Value"]
Path = tuple[str | int, ...]

_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True)
class Problem:
    """What is wrong, and in which line (from 1; 0 where no line can be given)."""

    line: int
    message: str


class YamlError(Exception):
    """The text cannot be read at all; holds the one `problem` that stopped the reader."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(line, message)


@dataclass
class Document:
    """A value of text, booleans, None, lists and dicts, with the line of each path in it."""

    value: Value = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    """Keys that stand twice in one mapping; the first one counts."""

    def line_of(self, location: Path) -> int:
        """Return the line of the deepest part of `location` that the document has.

        Parts that it does not have are skipped: pydantic puts the tag of a union into its locations,
        and the key of a missing value.
        """
        path: Path = ()
        for part in location:
            if (*path, part) in self.lines:
                path = (*path, part)
        return self.lines.get(path, 1)


def read(data: bytes) -> Document:
    """Return the one document in `data` (UTF-8); raise `YamlError` where it cannot be read."""
    if len(data) > MAX_BYTES:
        raise YamlError(0, f"the file is larger than {MAX_BYTES // 1024} KiB, the most a policy may have")
    try:
        # Editors on Windows put a mark before the first character.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise YamlError(line, "not UTF-8 text: save the file as UTF-8") from None
    try:
        return _Builder(text).document()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(
            line, f"the character U+{ord(text[error.position]):04X} is not allowed in YAML"
        ) from None


def _syntax_error(error: yaml.MarkedYAMLError) -> YamlError:
    mark = error.problem_mark or error.context_mark
    what = (error.problem or error.context or "cannot be read").strip()
    if "'\\t'" in what:
        what = "a tab: YAML is indented with blanks"
    elif what == "mapping values are not allowed here":
        what = "a ':' that does not belong here: put text with ': ' in quotes, check the indentation"
    return YamlError(mark.line + 1 if mark else 0, f"not YAML: {what}")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


class _Builder:
    """Turns parser events into one `Document`."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._result = Document()

    def document(self) -> Document:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if self._result.lines:
                    raise YamlError(_line(event), "a second document: a policy is one document")
                self._result.value = self._node(next(self._events), ())
        if self._result.value is None:
            raise YamlError(1, "the file is empty: a policy needs version, name and rules")
        return self._result

    def _node(self, event: Any, path: Path) -> Value:
        line = _line(event)
        if len(path) > MAX_DEPTH:
            raise YamlError(line, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent):
            raise YamlError(
                line, f"the alias *{event.anchor} is not allowed in a policy: write the value out"
            )
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise YamlError(line, f"the tag {tag} is not allowed in a policy")
        self._result.lines.setdefault(path, line)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        return self._mapping(path)

    def _scalar(self, event: yaml.ScalarEvent) -> Value:
        if any("\ud800" <= character <= "\udfff" for character in event.value):
            raise YamlError(_line(event), "half of a surrogate pair: write the character itself")
        # A word in quotes is text: "null" is a name, null is nothing.
        plain = event.style is None
        return _WORDS.get(event.value, event.value) if plain else str(event.value)

    def _sequence(self, path: Path) -> Value:
        items: list[Value] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> Value:
        entries: dict[str, Value] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise YamlError(line, "a key must be a word")
            key = str(event.value)
            if key in entries:
                first = self._result.lines[*path, key]
                self._result.problems.append(
                    Problem(line, f"the key '{key}' stands twice (first in line {first})")
                )
                # Read all the same, to get past it, under a path that nobody asks for.
                self._node(next(self._events), (*path, f"{key}\0{line}"))
                continue
            self._result.lines[*path, key] = line
            entries[key] = self._node(next(self._events), (*path, key))
        return entries
