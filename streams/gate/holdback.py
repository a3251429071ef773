"""How much of a growing text must be held back: for callers that send all of it again as it grows."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from detectors.privacy.tail import Tail
from schemas.events import Decision

AT_ONCE: Final = 4_096
"""Characters of texts that are searched on the event loop; more are searched in a thread."""
_REMEMBERED: Final = 256
"""Texts that are still growing: of those only what is new is searched."""
_MOST_CHARS: Final = 16 << 20
"""Of all of them."""


class Holdbacks:
    """Tells of each text how many of its last characters may still change; from any thread.

    Args:
        tail: makes what redacts a growing text, given its conversation.

    """

    def __init__(self, tail: Callable[[str], Tail]) -> None:
        self._tail = tail
        self._growing: OrderedDict[tuple[str, str], tuple[str, Tail]] = OrderedDict()
        self._chars = 0
        self._lock = threading.Lock()

    def of(self, decision: Decision, text: str, shown: str) -> int:
        """Return how many characters at the end of `shown`, the text or its redaction, to hold back.

        What stands before them is the beginning of what is shown of any text that begins with this one.
        `decision`, on the text, says of whom it is: the text that a caller names may be another's.
        """
        key = decision.app, decision.event_id
        with self._lock:
            seen, tail = self._growing.pop(key, ("", None))
            self._chars -= len(seen)
        if tail is None or not text.startswith(seen):
            seen, tail = "", self._tail(decision.conversation_id)
        tail.feed(text[len(seen) :])
        with self._lock:
            self._keep(key, text, tail)
        return tail.held if shown == text else max(0, len(shown) - tail.given)

    def _keep(self, key: tuple[str, str], text: str, tail: Tail) -> None:
        before, _ = self._growing.pop(key, ("", None))
        self._growing[key] = text, tail
        self._chars += len(text) - len(before)
        while len(self._growing) > _REMEMBERED or self._chars > _MOST_CHARS:
            _, (forgotten, _) = self._growing.popitem(last=False)
            self._chars -= len(forgotten)
