"""The time by which records grow old."""

import time

_BEGAN = time.time() - time.monotonic()


def now() -> float:
    """Return the time, seconds since 1970, as far as it has passed since this process began.

    A clock that jumps ahead would delete all at once, also what nobody has read.
    """
    return min(time.time(), _BEGAN + time.monotonic())
