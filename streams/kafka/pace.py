"""How long messages wait with the broker, by our own clock: their timestamps are up to who publishes."""

from typing import Final

FEW: Final = 32
"""Messages of a batch below which it says little of many at once: most of its time is what any batch takes,
and two hundred messages would seem to take as long as two hundred batches."""


class Pace:
    """How long messages take lately."""

    def __init__(self) -> None:
        self._squares = 0.0
        self._products = 0.0
        self._each_s = 0.0

    def took(self, messages: int, seconds: float) -> None:
        """Note that a batch of so many was handled in so long."""
        self._squares += messages * messages
        self._products += messages * seconds

    def behind_s(self, lag: int) -> float:
        """Return how long `lag` messages will take, each as those since the last call; 0: not known.

        By least squares through zero, so that large batches count for more, and `FEW` messages that took
        none.
        """
        if self._squares:
            self._each_s = self._products / (self._squares + FEW * FEW)
            self._squares, self._products = 0.0, 0.0
        return lag * self._each_s
