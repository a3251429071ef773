"""What finders see in all that events carry: each text is searched once by each, for scores and redaction."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, Self

from detectors.privacy.credentials import credentials
from detectors.privacy.findings import PLACEHOLDER, Finding, merge, outside
from detectors.privacy.json_numbers import BETWEEN, OPENINGS
from detectors.privacy.json_strings import within_strings
from detectors.privacy.personal_data import personal_data
from detectors.privacy.views import Find, Views, found_in, views
from detectors.steps.lanes import beat
from schemas.events import Event

FINDERS: Final[tuple[Find, ...]] = (credentials, personal_data)
"""What redaction never goes without. Of findings that overlap, the first finder gives the kind."""

_KIND = re.compile(r"[A-Z_]{2,32}")
_NOTHING: Final[Sequence[Finding]] = ()


# Names by which a value is known for what it is: what has no form (a password, a passport's number) and what
# a word must announce (a phone's number in digits alone).
_GIVES_MEANING = re.compile(
    r"pass|pw|pin|secret|token|key|cred|auth|phone|mobile|tel|fax|ssn|social|card|cvv|cvc|iban|account|konto"
    r"|licen|medical|health|insur|tax|national|identity|mail|cookie|[^\x00-\x7f]",
    re.IGNORECASE,
)


class FinderError(Exception):
    """A finder raised, or gave what is no finding: it is not known what the text holds."""


def carried(event: Event) -> Iterator[str]:
    """Yield every text that an event carries and that may be kept; its prompt never is."""
    yield event.text
    if event.tool_calls or event.system_prompt or event.contexts or event.metadata:
        yield from (call.arguments for call in event.tool_calls)
        yield event.system_prompt
        yield from event.contexts
        for name, value in event.metadata.items():
            yield name
            yield value
            if _GIVES_MEANING.search(name):
                yield _entry(name, value)


def said(event: Event) -> Iterator[str]:
    """Yield the texts that count as the event's own: what a model hands to a tool leaves by it."""
    yield event.text
    for call in event.tool_calls:
        yield call.arguments


class Found:
    """What one finder sees in texts, sorted and free of overlaps."""

    def __init__(self, by_text: Mapping[str, Sequence[Finding]], failed: frozenset[str]) -> None:
        self._by_text = by_text
        """Only texts with findings."""
        self.failed = failed
        """Texts over which the finder stumbled."""

    @classmethod
    def search(cls, find: Find, texts: Mapping[str, Views]) -> Self:
        """Return what `find` sees in texts, each given with the ways to read it."""
        by_text, failed = {}, []
        # Ours take a time that the length of a text bounds; what others take must stay within one budget.
        is_bounded = find in FINDERS
        for text, ways in texts.items():
            try:
                if found := checked(text, found_in(find, ways)):
                    by_text[text] = found
            except Exception:  # whatever a finder stumbles over: one text must not stop the stream
                failed.append(text)
            if is_bounded:
                beat()
        return cls(by_text, frozenset(failed))

    @property
    def notable(self) -> frozenset[str]:
        """Texts with findings, and those over which the finder stumbled."""
        return self.failed.union(self._by_text)

    def __bool__(self) -> bool:
        return bool(self.notable)

    def of(self, text: str) -> Sequence[Finding]:
        """Return what is in a text; raises `FinderError` where that is not known."""
        if text in self.failed:
            raise FinderError
        return self._by_text.get(text, _NOTHING)

    def said(self, event: Event) -> list[Finding]:
        """Return what is in an event's text, and then, without a span, what is in its tool calls."""
        own, *handed = map(self.of, said(event))
        return [*own, *(Finding(found.kind, -1, -1) for found in chain.from_iterable(handed))]


class Findings:
    """What is to be protected in the texts of a batch, by all finders together.

    `founds` are None where a finder failed as a whole, and nothing was `searched`: then nothing is known of
    any text.
    """

    def __init__(self, founds: Sequence[Found] | None, searched: Mapping[str, Views]) -> None:
        self._founds = founds
        self._searched = searched
        self._merged: dict[str, Sequence[Finding]] = {}
        # Most texts hold nothing: one look tells.
        self._notable = frozenset[str]().union(*(found.notable for found in founds or ()))

    def of(self, text: str) -> Sequence[Finding] | None:
        """Return the findings, free of overlaps and of placeholders; None where they are not known."""
        if not text:
            return _NOTHING
        if text not in self._notable:
            return _NOTHING if text in self._searched else None
        if text not in self._merged:
            try:
                self._merged[text] = together(text, [each.of(text) for each in self._founds or ()])
            except FinderError:
                return None
        return self._merged[text]

    def of_entry(self, name: str, value: str) -> Sequence[Finding] | None:
        """Return what is found in a value of the metadata, or told by its name; None if that is not known."""
        known = self.of(value)
        if known is None or not _GIVES_MEANING.search(name):
            return known
        if (told := self.of(entry := _entry(name, value))) is None:
            return None
        start = len(entry) - len(value)
        return merge(
            [
                *known,
                *(Finding(f.kind, max(f.start - start, 0), f.end - start) for f in told if f.end > start),
            ]
        )

    def kinds(self, event: Event) -> tuple[str, ...]:
        """Return the kinds of all that is known of the texts of an event, sorted."""
        return tuple(sorted({found.kind for text in carried(event) for found in self.of(text) or ()}))


def _entry(name: str, value: str) -> str:
    """Return a value with its name before it, as finders know it."""
    return f"{name}: {value}"


def together(text: str, found: Iterable[Iterable[Finding]]) -> list[Finding]:
    """Return the findings of several finders, sorted and free of overlaps, placeholders left out."""
    merged = merge(chain.from_iterable(found))
    if merged and text.lstrip(BETWEEN)[:1] in OPENINGS:
        merged = within_strings(text, merged)
    if not merged or "[" not in text:
        return merged
    return list(outside(merged, [match.span() for match in PLACEHOLDER.finditer(text)]))


def find_all(text: str, finders: Sequence[Find] = FINDERS) -> list[Finding]:
    """Return what all finders see in a text; raises what they raise, and `FinderError`."""
    ways = views(text)
    return together(text, [checked(text, found_in(find, ways)) for find in finders])


def checked(text: str, findings: Sequence[Finding]) -> Sequence[Finding]:
    """Return findings as they are; raises `FinderError` where one could not be replaced by a placeholder."""
    for kind, start, end in findings:
        if not (0 <= start < end <= len(text) and _KIND.fullmatch(kind)):
            raise FinderError
    return findings
