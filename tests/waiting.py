"""Waiting for what comes later."""

import time
from collections.abc import Callable
from typing import Any

LONG_S = 90.0
"""Longer than anything takes on a busy machine, and shorter than the time limit of a test."""


def wait_until(condition: Callable[[], Any], what: str, timeout: float = LONG_S) -> Any:
    """Return the condition's first true value; AssertionError after `timeout` seconds.

    It looks for half of the time at most: what is waited for needs the CPU, too.
    """
    deadline = time.monotonic() + timeout
    while True:
        began = time.monotonic()
        if value := condition():
            return value
        ended = time.monotonic()
        assert ended < deadline, f"not within {timeout:.0f} s: {what}"
        time.sleep(max(0.05, ended - began))
