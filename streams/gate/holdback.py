"""How much of a growing text must be held back: for callers that send all of it again as it grows."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from detectors.privacy.tail import Tail
from schemas.events import Decision

_REMEMBERED: Final = 256
"""Texts that are still growing: of those only what is new is searched."""


class Holdbacks:
    """Tells of each text how many of its last characters may still change.

    Args:
        tail: makes what redacts a growing text, given its conversation.

    """

    def __init__(self, tail: Callable[[str], Tail]) -> None:
        self._tail = tail
        self._growing: OrderedDict[tuple[str, str], tuple[str, Tail]] = OrderedDict()

    def of(self, decision: Decision, text: str, shown: str) -> int:
        """Return how many characters at the end of `shown`, the text or its redaction, to hold back.

        What stands before them is the beginning of what is shown of any text that begins with this one.
        `decision`, on the text, says of whom it is: the text that a caller names may be another's.
        """
        key = decision.app, decision.event_id
        seen, tail = self._growing.pop(key, ("", None))
        if tail is None or not text.startswith(seen):
            seen, tail = "", self._tail(decision.conversation_id)
        tail.feed(text[len(seen) :])
        self._growing[key] = text, tail
        while len(self._growing) > _REMEMBERED:
            self._growing.popitem(last=False)
        return tail.held if shown == text else max(0, len(shown) - tail.given)
