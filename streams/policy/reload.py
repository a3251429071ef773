"""Keeps the policy in force up to date with its file."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from streams.policy.file import PolicyError, Ranges, load
from streams.policy.rules import Policy

_Signature = tuple[int, ...] | None


class Policies:
    """The last good version of a policy file. Starts no thread: the caller asks now and then.

    Raises `PolicyError` where there is no good policy to start with.
    """

    def __init__(self, path: Path | str, metrics: Mapping[str, str], ranges: Ranges) -> None:
        self._path = Path(path)
        self._measure(metrics, ranges)
        self._taken = self._last = self._signature()
        self.current: Policy = self._load()
        """The policy in force."""
        self.error: PolicyError | None = None
        """What is wrong with the file as it is now; None where it is the policy in force."""

    def measure(self, metrics: Mapping[str, str], ranges: Ranges) -> None:
        """Take other metrics; a version that was refused is looked at again, it may name a new one."""
        self._measure(metrics, ranges)
        if self.error:
            self._taken = None

    def reload_if_changed(self) -> Literal["unchanged", "reloaded"] | PolicyError:
        """Look at the file, and put a new good version in force at the second look that finds it unchanged.

        Half of a file may be a good policy, with half of the rules: one that changed since the last look may
        still be being written. Only a file that is renamed into place is safe from a writer that pauses.

        Returns "reloaded" when the policy in force is a new one, and once for every broken version its
        error: the last good one stays in force, and `error` is set until the file is good again. A file
        whose content means the same as before is "unchanged".
        """
        # Taken before the file is read: a write in between shows as a change the next time.
        signature = self._signature()
        is_settled, self._last = signature == self._last, signature
        if signature == self._taken or not is_settled:
            return "unchanged"
        self._taken = signature
        try:
            policy = self._load()
        except PolicyError as error:
            self.error = error
            return error
        self.error = None
        if policy.sha256 == self.current.sha256:
            return "unchanged"
        self.current = policy
        return "reloaded"

    def _measure(self, metrics: Mapping[str, str], ranges: Ranges) -> None:
        self._load = partial(load, self._path, dict(metrics), ranges)

    def _signature(self) -> _Signature:
        try:
            stat = self._path.stat()
        except (OSError, ValueError):
            return None
        return (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
