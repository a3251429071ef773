"""How long messages wait with the broker, by our own clock: their timestamps are up to who publishes."""


class Pace:
    """How long messages take lately."""

    def __init__(self) -> None:
        self._handled = 0
        self._busy_s = 0.0
        self._each_s = 0.0

    def took(self, messages: int, seconds: float) -> None:
        """Note that so many were handled in so long."""
        self._handled += messages
        self._busy_s += seconds

    def behind_s(self, lag: int) -> float:
        """Return how long `lag` messages will take, each as those since the last call; 0: not known."""
        if self._handled:
            self._each_s = self._busy_s / self._handled
            self._handled, self._busy_s = 0, 0.0
        return lag * self._each_s
