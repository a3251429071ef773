"""Patterns by RE2, which reads a text in linear time whatever the pattern is."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import re2

from detectors.terms.sets import TermSet, TermSetError
from detectors.terms.words import Hit

_MOST_HITS: Final = 100
"""Places of one pattern that are looked for in one text: each may take a pass over it."""


class Patterns:
    """The patterns of all sets; one pass over a text tells which of them it holds."""

    def __init__(self, sets: Mapping[str, TermSet]) -> None:
        """Raises TermSetError for a pattern that RE2 cannot read, or that the empty text matches."""
        options = re2.Options()
        options.case_sensitive = False
        options.log_errors = False
        self._found: list[tuple[str, str, Any]] = []
        self._any = re2.Set.SearchSet(options)
        for name, one in sets.items():
            for pattern in one.patterns:
                self._found.append((name, pattern, _compiled(name, pattern, options)))
                self._any.Add(pattern)
        if self._found:
            self._any.Compile()

    def find(self, text: str) -> Iterator[Hit]:
        """Yield where the patterns match, each up to `_MOST_HITS` times."""
        if not self._found:
            return
        data = text.encode("utf-8", "replace")
        for number in sorted(self._any.Match(data) or ()):
            name, pattern, compiled = self._found[number]
            for match in islice(compiled.finditer(data), _MOST_HITS):
                start, end = match.span()
                if start < end:
                    first = len(data[:start].decode("utf-8", "ignore"))
                    yield Hit(name, pattern, first, first + len(data[start:end].decode("utf-8", "ignore")))


def _compiled(name: str, pattern: str, options: Any) -> Any:
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if error.args else "unknown"
        raise TermSetError(
            f"the set of terms {name!r}: RE2 cannot read the pattern {pattern!r}: {reason}"
        ) from None
    if compiled.search(b"") is not None:
        raise TermSetError(f"the set of terms {name!r}: the pattern {pattern!r} matches every text")
    return compiled
