"""Redacts a text while it grows: what can no longer become a part of a finding goes out, the rest waits."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from detectors.deobfuscation.readings import Reading, readings
from detectors.limits import SCAN_LIMIT
from detectors.privacy.beginnings import (
    FORGOTTEN,
    LONGEST_NAME,
    REACH,
    announced_from,
    is_calm,
    names,
    open_from,
)
from detectors.privacy.finders import find_all
from detectors.privacy.findings import Finding, ascii_twins
from detectors.privacy.json_numbers import BETWEEN, OPENINGS, may_be_item
from detectors.privacy.labels import Label
from detectors.privacy.redaction import MARGIN, Redactor

CONTEXT: Final = 512
"""Characters around a piece that a finder is shown with it: it looks no further back."""
_NEAR: Final = 160
"""The same where no name announces a value: what says that a number is none stands nearer."""
_PASSES: Final = 8
_STEP: Final = 24
_FOREIGN_STEP: Final = 4
"""Of characters that have two or three bytes."""
_BEGINNING: Final = 64
"""Characters at the beginning that go out as soon as they can: a reader waits for the first ones."""
_SHORT: Final = 1_024
_SHARE: Final = 16
"""What waits is looked at again once it has grown by a sixteenth: a long value costs linear time."""

Find = Callable[[str], Sequence[Finding] | None]
"""Returns findings sorted and free of overlaps; None where a finder failed."""


class Tail:
    """Takes a text by increments, and gives its redaction by increments.

    What it has given, joined, is the redaction of the whole text by `Redactor.redact`; no increment holds a
    value. A text in which a later part says how an earlier one is to be read (`reversed`, the third of three
    escapes) may be redacted in smaller parts than as a whole: see `diverged`. The text itself is kept, up to
    `SCAN_LIMIT` characters, to be searched as a whole at the end.

    Args:
        redactor: makes the placeholders.
        salt: of the placeholders, such as the id of the conversation.
        find: finds what is to be redacted, in pieces of the text as in the whole.
        reach: characters that are held back in any case, for finders whose values begin in ways that
            `detectors.privacy.beginnings` does not know: as many as their longest value and its name have.

    """

    def __init__(self, redactor: Redactor, salt: str = "", find: Find = find_all, reach: int = 0) -> None:
        self.diverged = False
        """The whole text is redacted in another way than what was given before it was known."""
        self._redactor = redactor
        self._salt = salt
        self._find = find
        self._reach = reach
        self._parts: list[str] = []
        self._first = ""
        """The first character that is no blank."""
        self._length = 0
        """Of all that has come, also of what is beyond the limit and not kept."""
        self._settled = 0
        self._before = ""
        """The end of what is settled, as it came."""
        self._held = ""
        self._next_look = 0
        self._searched = 0
        """How far `_before` and `_held` were searched for names."""
        self._names: list[Label] = []
        """Their places count from the start of `_held`."""
        self._stuck = False
        """Nothing more is given before the end."""
        self._given = 0
        self._given_end = ""
        self._given_hash = hashlib.blake2b()

    @property
    def held(self) -> int:
        """Characters that have come and are not settled."""
        return self._length - self._settled

    @property
    def given(self) -> int:
        """Characters that were given, of the redacted text."""
        return self._given

    def feed(self, text: str, *, at_once: bool = False) -> str:
        """Take the next piece of the text; return what is settled by it, redacted.

        What is held is looked at when it has grown by some characters, as a look costs more than to wait for
        the next one; `at_once`: now, for a text that comes slowly.
        """
        kept = text[: max(0, SCAN_LIMIT - self._length)]
        self._length += len(text)
        if kept:
            self._parts.append(kept)
            self._first = self._first or kept.lstrip(BETWEEN)[:1]
            self._held += kept
        is_due = len(self._held) >= self._next_look or (at_once and len(self._held) <= _SHORT)
        if self._stuck or not is_due:
            return ""
        given = self._give(self._cut())
        step = _STEP if self._held.isascii() else _FOREIGN_STEP
        if self._settled < _BEGINNING:
            step = 1
        self._next_look = len(self._held) + max(step, len(self._held) // _SHARE)
        return given

    def finish(self) -> str:
        """Return the rest, after a search of the whole text."""
        whole = "".join(self._parts)
        whole += " " * (self._length - len(whole))
        found = self._find(whole)
        if found is None:
            return self._recorded(f"[WITHHELD {self.held} characters]")
        try:
            redacted = self._redactor.redact(whole, found, self._salt)
        except Exception:  # a finder failed over what is left
            return self._recorded(f"[WITHHELD {self.held} characters]")
        if _hash(redacted[: self._given]) == self._given_hash.digest():
            return self._recorded(redacted[self._given :])
        self.diverged = True
        rest = self._give(len(self._held))
        dropped = self._length - self._settled
        return rest + (self._recorded(f"[TRUNCATED {dropped} characters]") if dropped else "")

    def _cut(self) -> int:
        """Return how much of what is held cannot change any more, as far as its shape tells."""
        self._search_names()
        text = self._before + self._held
        recent = [name._replace(end=name.end + len(self._before)) for name in self._names]
        return min(
            open_from(self._held),
            announced_from(text, recent) - len(self._before),
            len(self._held) - self._reach,
            SCAN_LIMIT - MARGIN - self._settled,
        )

    def _search_names(self) -> None:
        start = max(-len(self._before), self._searched - LONGEST_NAME)
        text = self._before[start:] if start < 0 else ""
        text += self._held[max(0, start) :]
        known = set(self._names)
        found = (name._replace(start=name.start + start, end=name.end + start) for name in names(text))
        self._names += [name for name in found if name not in known]
        self._searched = len(self._held)

    def _give(self, cut: int) -> str:
        """Settle `cut` characters, or fewer where a finding goes beyond them; return them redacted."""
        if cut <= 0:
            return ""
        piece = self._held[:cut]
        if self._names or self._reach or not is_calm(ascii_twins(self._held[: cut + 1])):
            piece, cut = self._redacted(cut)
        self._settle(cut)
        return self._recorded(piece)

    def _settle(self, cut: int) -> None:
        self._before = (self._before + self._held[:cut])[-FORGOTTEN:]
        self._held = self._held[cut:]
        self._settled += cut
        self._searched -= cut
        moved = (name._replace(start=name.start - cut, end=name.end - cut) for name in self._names)
        self._names = [name for name in moved if name.end > -REACH]

    def _redacted(self, cut: int) -> tuple[str, int]:
        """Return the first characters of what is held, redacted, and how many of them these are."""
        before = self._before[-(CONTEXT if self._names else _NEAR) :]
        text, start, end = before + self._held, len(before), len(before) + cut
        found = self._find(text)
        if found is None:
            self._stuck = True
            return "", 0
        end = self._whole(text, found, start, end)
        if end <= start:
            return "", 0
        own, later = _within(found, start, end), _within(found, end, len(text))
        # What stands beside a placeholder, or between two, may be found only now.
        if not own and not later and "[" not in self._given_end:
            return text[start:end], end - start
        rest = self._redactor.replace(text, later, self._salt)[end:]
        piece, over = self._uncovered(self._piece(text, own, end)[start:], rest)
        if not over:
            return piece, end - start
        # As far as the piece is the text itself, less of it can be given.
        is_plain = end - over > start and text[:end].endswith(piece[len(piece) - over :])
        return self._redacted(end - over - start) if is_plain else ("", 0)

    def _piece(self, text: str, own: list[Finding], end: int) -> str:
        replaced = self._redactor.replace(text, own, self._salt)
        return replaced[: len(replaced) - (len(text) - end)]

    def _uncovered(self, piece: str, rest: str) -> tuple[str, int]:
        """Return a redacted piece without what only redaction uncovers, of it or of what stands around it.

        And how many of its last characters are to wait: they begin such a value, which goes on in the `rest`.
        """
        before = self._given_end
        for _ in range(_PASSES):
            text, start = before + piece + rest, len(before)
            end = start + len(piece)
            found = self._find(text)
            if found is None:
                break
            if not found:
                return piece, 0
            if over := [each.start for each in found if each.start < end < each.end]:
                return piece, end - max(start, over[0])
            rest = self._redactor.replace(text, _within(found, end, len(text)), self._salt)[end:]
            piece = self._piece(text, _within(found, start, end), end)[start:]
            before = self._piece(text, _within(found, 0, start), start)
        self._stuck = True  # what redaction makes of that is known at the end of the text
        return "", SCAN_LIMIT

    def _whole(self, text: str, found: Sequence[Finding], start: int, end: int) -> int:
        """Return where to end so that no finding is cut, and none given that the whole text may undo."""
        if not _within(found, start, end):
            return end
        read = readings(text)
        for finding in found:
            if finding.end <= start:
                continue
            if finding.start >= end:
                break
            if finding.end > end or self._is_unsure(text, finding, read):
                return finding.start
        return end

    def _is_unsure(self, text: str, finding: Finding, read: Sequence[Reading]) -> bool:
        """Say whether only the end of the text decides on a finding; then all from it on is held back.

        That is so for what is found in another reading of the text, and for numbers in what may be JSON.
        """
        in_json = self._first in OPENINGS and may_be_item(text, finding.start)
        in_reading = any(finding.start <= each.start and each.end <= finding.end for each in read)
        self._stuck = in_json or in_reading
        return self._stuck

    def _recorded(self, piece: str) -> str:
        self._given += len(piece)
        self._given_end = (self._given_end + piece)[-CONTEXT:]
        self._given_hash.update(piece.encode("utf-8", "surrogatepass"))
        return piece


def _within(found: Sequence[Finding], start: int, end: int) -> list[Finding]:
    """Return the parts of findings between two places."""
    return [
        finding._replace(start=max(start, finding.start), end=min(end, finding.end))
        for finding in found
        if finding.end > start and finding.start < end
    ]


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).digest()
