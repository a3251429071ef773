"""The folder of `weir up`: one process holds it, for as long as it is the one that was begun with."""

import fcntl
import os
from pathlib import Path
from typing import IO

from streams.local.process import LocalServiceError

_LOCKS = ("weir.lock", "broker/lock", "clickhouse/weir.lock")
"""Of `weir up`, the embedded broker and store, each held open while it runs."""


class DataFolder:
    """Topics, tables and logs, in `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[bytes] | None = None
        self._begun: dict[Path, tuple[int, int]] = {}
        self.lost = False
        """Whether it is known to be gone, so that nothing can be finished."""

    def hold(self) -> None:
        """Keep every other `weir up` out; `LocalServiceError` names the one that is in it, or what fails."""
        if not self.path.parent.is_dir():
            raise LocalServiceError(f"no such folder: {self.path.parent}; create it or choose another --data")
        try:
            (self.path / "logs").mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.path)
        except OSError as error:
            raise LocalServiceError(
                f"cannot write to {self.path}: {error.strerror} ({error.filename or 'the disk'})"
            ) from None

    def note(self) -> None:
        """Remember which files lie in it once all has started."""
        self._begun = {file: _identity(file) for lock in _LOCKS if (file := self.path / lock).exists()}

    def require(self) -> None:
        """Raise `LocalServiceError` where it was removed or moved since: what is written goes nowhere."""
        for file, identity in self._begun.items():
            if not file.exists() or _identity(file) != identity:
                self.lost = True
                raise LocalServiceError(
                    f"{file.parent} was removed or moved while weir ran: what came in since is not kept. "
                    "Put the folder back, or begin with an empty one; then start `weir up` again"
                )

    def release(self) -> None:
        """Let others in."""
        if self._lock is not None:
            self._lock.close()


def _identity(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_dev, found.st_ino


def _locked(directory: Path) -> IO[bytes]:
    """Hold the folder until the process ends; `LocalServiceError` names the process that holds it."""
    lock = (directory / "weir.lock").open("ab+", buffering=0)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().decode().strip() or "unknown"
        raise LocalServiceError(
            f"`weir up` is running in {directory} already (process {holder}): "
            "stop it, or choose another folder with --data"
        ) from None
    try:
        lock.truncate(0)
        lock.write(str(os.getpid()).encode())
    except OSError:
        lock.close()
        raise
    return lock
