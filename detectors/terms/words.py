"""Finds words and phrases whole, all of them in one pass over a text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from detectors.terms.sets import TermSet, TermSetError
from detectors.terms.spelling import (
    Word,
    begins_within_hangul,
    is_disguised,
    skeleton,
    spaced_out,
    spellings,
    undisguised,
    words,
)

SHORTEST_DISGUISED: Final = 4
"""Letters of a term that is also found in signs or spaced out: `s3` and `a b c` disguise nothing."""
_MOST_WORDS: Final = 50
"""Words of a phrase."""
_BETWEEN: Final = 2
"""Signs between two words of a phrase."""
_BLANKS: Final = 16
"""Characters between two words of a phrase, blanks and line breaks among them."""
_SPACED_LETTERS: Final = 64
_ONE: Final = (1).__eq__


class Hit(NamedTuple):
    """A term of a set that was found: the set, the term as it is written in its file, and the span."""

    set: str
    term: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Term:
    set: str
    term: str
    before: str
    """Signs that it begins with: they must stand there, too."""
    after: str


@dataclass(slots=True)
class _Node:
    """What has been read of phrases so far: those that end here, and how others go on."""

    terms: list[_Term] = field(default_factory=list)
    on: dict[str, "_Node"] = field(default_factory=dict)

    def add(self, path: Iterable[str], term: _Term) -> None:
        node = self
        for word in path:
            node = node.on.setdefault(word, _Node())
        node.terms.append(term)


class WordIndex:
    """The words and phrases of all sets, found in time linear in the text."""

    def __init__(self) -> None:
        self._plain, self._skeletons = _Node(), _Node()
        self._joined: dict[str, list[_Term]] = {}
        self._heads: set[str] = set()
        """How `_joined` begin."""

    @classmethod
    def of(cls, sets: Mapping[str, TermSet]) -> Self:
        """Return the index; raises TermSetError for a term without a letter, digit or picture."""
        index = cls()
        for name, one in sets.items():
            for text in one.words:
                index._add(name, text)
        return index

    def _add(self, name: str, text: str) -> None:
        found = words(text)
        if not found:
            raise TermSetError(f"the set of terms {name!r}: {text!r} is of signs only: write it as a pattern")
        if len(found) > _MOST_WORDS:
            raise TermSetError(f"the set of terms {name!r}: more than {_MOST_WORDS} words in {text[:40]!r}…")
        path = [each.word for each in found]
        term = _Term(name, text, text[: found[0].start], text[found[-1].end :])
        self._plain.add(path, term)
        joined = "".join(path)
        if len(joined) >= SHORTEST_DISGUISED:
            self._skeletons.add(map(skeleton, path), term)
            if len(joined) <= _SPACED_LETTERS:
                self._joined.setdefault(joined, []).append(term)
                self._heads.add(joined[:SHORTEST_DISGUISED])

    def find(self, text: str) -> Iterator[Hit]:
        """Yield the terms in a text as it stands, and those in signs, look-alikes or spaced out."""
        if not self._plain.on:
            return
        found = spellings(text)
        if _holds(self._plain, found):
            yield from _walk(self._plain, text, words(text))
        if self._joined:
            shown = undisguised(text)
            if shown and _holds(self._skeletons, spellings(shown)):
                hits = _walk(self._skeletons, text, words(shown))
                yield from (hit for hit in hits if is_disguised(text[hit.start : hit.end]))
            if sum(map(_ONE, map(len, found))) >= SHORTEST_DISGUISED:
                for letters in spaced_out(text):
                    yield from self._in_letters(letters)

    def _in_letters(self, letters: Sequence[Word]) -> Iterator[Hit]:
        run, position = "".join(each.word for each in letters), 0
        if len(run) != len(letters):  # a letter that folds to two
            return
        while position <= len(run) - SHORTEST_DISGUISED:
            size = 0
            if run[position : position + SHORTEST_DISGUISED] in self._heads:
                sizes = range(min(len(run) - position, _SPACED_LETTERS), SHORTEST_DISGUISED - 1, -1)
                size = next((size for size in sizes if run[position : position + size] in self._joined), 0)
            for term in self._joined.get(run[position : position + size], ()):
                yield Hit(term.set, term.term, letters[position].start, letters[position + size - 1].end)
            position += size or 1


def _holds(root: _Node, found: Sequence[str]) -> bool:
    """Return whether a phrase stands in the words, whatever is between them: fast, and mostly no."""
    if root.on.keys().isdisjoint(found):
        return False
    for position, word in enumerate(found):
        node, number = root.on.get(word), position + 1
        while node is not None and not node.terms and number < len(found):
            node, number = node.on.get(found[number]), number + 1
        if node is not None and node.terms:
            return True
    return False


def _walk(root: _Node, text: str, found: Sequence[Word]) -> Iterator[Hit]:
    """Yield, from each word on, the terms that stand there."""
    for position in range(len(found)):
        node, start = root, found[position].start
        for number in range(position, len(found)):
            if number > position and not _is_near(text[found[number - 1].end : found[number].start]):
                break
            following = node.on.get(found[number].word)
            if following is None:
                break
            node = following
            if node.terms:
                yield from _whole(node.terms, text, start, found[number].end)


def _whole(terms: Iterable[_Term], text: str, start: int, end: int) -> Iterator[Hit]:
    for term in terms:
        first, last = start - len(term.before), end + len(term.after)
        if (
            first >= 0
            and text.startswith(term.before, first)
            and text.startswith(term.after, end)
            and not begins_within_hangul(text, start)
        ):
            yield Hit(term.set, term.term, first, last)


def _is_near(between: str) -> bool:
    return len(between) <= _BLANKS and len("".join(between.split())) <= _BETWEEN
