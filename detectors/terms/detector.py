"""Counts the terms of each set in a text and in its tool calls."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np

from detectors.base import COUNT, FloatMatrix
from detectors.batch import Batch
from detectors.limits import EVIDENCE_LIMIT
from detectors.privacy.finders import said
from detectors.privacy.findings import ascii_twins
from detectors.privacy.views import View, Views
from detectors.terms.patterns import Patterns
from detectors.terms.sets import TermSet, check
from detectors.terms.words import Hit, WordIndex
from schemas.events import Evidence

PREFIX: Final = "terms_"
_NO_SETS: Final[Mapping[str, TermSet]] = {}
_ENCODING: Final = frozenset("%=&\\")


class TermsDetector:
    """Counts the terms of each set, `terms_<set>`, in text and tool calls.

    A word is found whole, in any case, in a style, with invisible characters, among look-alikes, with signs
    for letters, spaced out, and in what `detectors.deobfuscation` reads. In scripts without blanks, where
    nothing shows where a word ends, it is found wherever it stands. Patterns see the text as it stands and
    what is read of it. Places that overlap count once.
    """

    name = "terms"
    needs = ("views",)
    cheap_to_explain = True

    def __init__(self, sets: Mapping[str, TermSet] = _NO_SETS) -> None:
        """Take the sets by name. Raises TermSetError."""
        check(sets)
        self._sets = tuple(sets)
        self._words = WordIndex.of(sets)
        self._patterns = Patterns(sets)
        self.version = f"1-{hashlib.sha256(repr(sorted(sets.items())).encode()).hexdigest()[:8]}"
        self.metrics = tuple(f"{PREFIX}{name}" for name in sets)
        self.ranges = dict.fromkeys(self.metrics, COUNT)

    def score(self, batch: Batch) -> FloatMatrix:
        """Return counts, shape (N, sets)."""
        scores = np.zeros((len(batch), len(self.metrics)), dtype=np.float32)
        columns = {name: column for column, name in enumerate(self._sets)}
        for row, event in enumerate(batch.events):
            for text in said(event):
                for hit in self._hits(text, batch.views):
                    scores[row, columns[hit.set]] += 1
        return scores

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return the term as its file has it and where it stands; in a tool call there is no span."""
        text, *handed = said(batch.events[row])
        found = [self._evidence(hit, text) for hit in self._hits(text, batch.views)]
        found += [self._evidence(hit) for other in handed for hit in self._hits(other, batch.views)]
        return found[:EVIDENCE_LIMIT]

    def _evidence(self, hit: Hit, text: str = "") -> Evidence:
        span = (hit.start, hit.end) if text else (-1, -1)
        return Evidence(
            detector=self.name,
            metric=f"{PREFIX}{hit.set}",
            label=hit.term,
            start=span[0],
            end=span[1],
            text=text[slice(*span)] if text else "",
        )

    def _hits(self, text: str, views: Mapping[str, Views]) -> list[Hit]:
        return list(apart(self._found(text, views[text]))) if text else []

    def _found(self, text: str, ways: Views) -> Iterator[Hit]:
        """Yield what is found in a text in any way to read it."""
        plain = list(self._search(ways.text))
        yield from plain
        if ways.decoded:
            yield from self._decoded(ways.text, ways.decoded)
        known = {(hit.set, hit.term) for hit in plain}
        for reading in ways.others:
            for hit in self._search(ascii_twins(reading.text)):
                if (hit.set, hit.term) not in known:
                    yield hit._replace(start=reading.start, end=reading.end)

    def _decoded(self, text: str, view: View) -> Iterator[Hit]:
        # What a view undoes beside encodings is undone of each word already, and with more care for accents.
        words = [] if _ENCODING.isdisjoint(text) else self._words.find(view.text)
        for hit in words:
            start, end = view.starts[hit.start], view.ends[hit.end - 1]
            if not _ENCODING.isdisjoint(text[start:end]):
                yield hit._replace(start=start, end=end)
        for hit in self._patterns.find(view.text):
            start, end = view.starts[hit.start], view.ends[hit.end - 1]
            if text[start:end] != view.text[hit.start : hit.end]:
                yield hit._replace(start=start, end=end)

    def _search(self, text: str) -> Iterator[Hit]:
        yield from self._words.find(text)
        yield from self._patterns.find(text)


def apart(hits: Iterable[Hit]) -> Iterator[Hit]:
    """Yield the hits in order, of those of a set that overlap the first and longest."""
    ends: dict[str, int] = {}
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        if hit.start >= ends.get(hit.set, 0):
            ends[hit.set] = hit.end
            yield hit
