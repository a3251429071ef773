"""Ctrl-C: at once and quietly by default; with an end of their own for commands that need one."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as shells count it."""


def leave(status: int) -> NoReturn:
    """End the process now, without what libraries do at the end."""
    with contextlib.suppress(OSError, RuntimeError):  # a closed pipe; a write that was interrupted itself
        sys.stdout.flush()
    os._exit(status)


def end_at_once() -> None:
    """From now on Ctrl-C ends the process where it is.

    An exception would be lost, or become another one, where it hits an import of native code, and clients
    would finish what nobody waits for. A process that ignores Ctrl-C, as in the background, goes on to.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: leave(INTERRUPTED))


@contextlib.contextmanager
def orderly() -> Iterator[None]:
    """Within it Ctrl-C raises `KeyboardInterrupt`, for a command that has something to say or to stop."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
