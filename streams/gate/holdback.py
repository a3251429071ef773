"""How much of a growing text must be held back: for callers that send all of it again as it grows."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from detectors.privacy.tail import Tail
from schemas.events import Event

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

    def of(self, event: Event, shown: str) -> int:
        """Return how many characters at the end of `shown`, the event's text or its redaction, to hold back.

        What stands before them is the beginning of what is shown of any text that begins with the event's.
        """
        key = event.app, event.event_id
        seen, tail = self._growing.pop(key, ("", None))
        if tail is None or not event.text.startswith(seen):
            seen, tail = "", self._tail(event.conversation_id)
        tail.feed(event.text[len(seen) :])
        self._growing[key] = event.text, tail
        while len(self._growing) > _REMEMBERED:
            self._growing.popitem(last=False)
        return tail.held if shown == event.text else max(0, len(shown) - tail.given)
