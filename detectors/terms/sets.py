"""A set of terms: what it may hold, and what is wrong with one that cannot be used."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from detectors.errors import DetectorError

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
MOST_TERMS: Final = 100_000
"""Words and phrases of all sets together: some 60 MB."""
MOST_PATTERNS: Final = 500
"""Patterns of all sets together: every text is searched for each of them at once."""
LONGEST: Final = 500
"""Characters of a term or a pattern."""


class TermSetError(DetectorError):
    """A set of terms that cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class TermSet:
    """Words and phrases to be found whole, and patterns of RE2."""

    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


def check(sets: Mapping[str, TermSet]) -> None:
    """Raise TermSetError unless the sets and their names can be used."""
    for name, one in sets.items():
        if not NAME.fullmatch(name):
            raise TermSetError(
                f"the set of terms {name!r}: use at most 40 lower-case letters, digits and _, "
                "beginning with a letter"
            )
        if not one.words and not one.patterns:
            raise TermSetError(f"the set of terms {name!r}: no terms in it")
        for term in (*one.words, *one.patterns):
            if len(term) > LONGEST:
                raise TermSetError(f"{term[:40]!r}… is longer than {LONGEST} characters, the most of a term")
    _check_number("words and phrases", sum(len(one.words) for one in sets.values()), MOST_TERMS)
    _check_number("patterns", sum(len(one.patterns) for one in sets.values()), MOST_PATTERNS)


def _check_number(what: str, count: int, most: int) -> None:
    if count > most:
        raise TermSetError(f"{count:,} {what} in all sets together: {most:,} are the most")
