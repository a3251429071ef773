"""Tells by one pass over a text which of many shapes it may have: what it has none of is not looked for.

RE2 reads a text once, however many shapes are asked for; `re`, and `in` for each string, read it each time.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Self

import re2

BLANK: Final = r"[^!-~]"
"""What `re` takes for a blank is this, in the bytes of UTF-8, and more."""
_ANY: Final = ""


class Gates:
    """Shapes by name: patterns of RE2 over the bytes of UTF-8, each as wide as what it stands for."""

    def __init__(self, shapes: Mapping[str, str]) -> None:
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.log_errors = False
        self._names = tuple(shapes)
        self._all = frozenset(shapes)
        self._set = re2.Set.SearchSet(options)
        # The last one matches every text: where it does not, RE2 gave up.
        for shape in (*shapes.values(), _ANY):
            self._set.Add(shape.encode())
        self._set.Compile()

    @classmethod
    def of_strings(cls, strings: Iterable[str]) -> Self:
        """Return the gates of strings, each named by itself."""
        return cls({string: re2.escape(string.encode()).decode() for string in strings})

    def open(self, text: str) -> frozenset[str]:
        """Return the names of the shapes that a text may have."""
        found = self._set.Match(text.encode("utf-8", "surrogatepass")) or ()
        last = len(self._names)
        if last not in found:
            return self._all
        return frozenset([self._names[number] for number in found if number != last])


def matches_at(
    pattern: re.Pattern[str], text: str, lowered: str, beginnings: Iterable[str]
) -> Iterator[re.Match[str]]:
    """Yield what a search would find of a pattern that begins, in lower case, with one of some strings.

    A search that knows no case tries every character.
    """
    end = 0
    for position in places(lowered, beginnings):
        if position >= end and (match := pattern.match(text, position)):
            yield match
            end = match.end()


def places(lowered: str, strings: Iterable[str]) -> list[int]:
    """Return where one of some strings stands, sorted."""
    found: list[int] = []
    for string in strings:
        position = lowered.find(string)
        while position >= 0:
            found.append(position)
            position = lowered.find(string, position + 1)
    return sorted(found)


def around(positions: Iterable[int], before: int, after: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a text so near to sorted places, joined where they meet."""
    start = end = -1
    for position in positions:
        if end < 0 or position - before > end:
            if end >= 0:
                yield start, end
            start = max(0, position - before)
        end = position + after
    if end >= 0:
        yield start, end
