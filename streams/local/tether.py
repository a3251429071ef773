"""Run a command that dies with the process that asked for it.

`python tether.py PARENT_PID SIGNAL COMMAND ...` asks Linux to send SIGNAL when the parent ends, however
it ends, and becomes the command. A program of its own rather than a `preexec_fn`: code between fork
and exec is unsafe in a parent with threads. Only the standard library: it runs before anything else.
"""

import contextlib
import ctypes
import os
import resource
import sys

_PR_SET_PDEATHSIG = 1
_FILES = 16_384
"""May be open where the system allows it. Some begin with 256, and a broker opens a hundred for itself."""


def main(argv: list[str]) -> None:
    """Become the command in `argv[2:]`; does not return unless the command cannot be run."""
    parent, death_signal = int(argv[0]), int(argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal)
    # A parent that died before the request above can no longer be noticed by it.
    if os.getppid() != parent:
        sys.exit(1)
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if wanted > allowed != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError, ValueError):  # then it goes on with what it has
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    os.execv(argv[2], argv[2:])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
