"""Keeps the policy in force up to date with its file."""

from collections.abc import Mapping
from pathlib import Path

from streams.policy.file import PolicyError, Ranges, load
from streams.policy.rules import Policy
from streams.policy.settled import Settled


class Policies(Settled[Policy, PolicyError]):
    """The last good version of a policy file."""

    refusal = PolicyError

    def __init__(self, path: Path | str, metrics: Mapping[str, str], ranges: Ranges) -> None:
        self._path = Path(path)
        self._metrics, self._ranges = dict(metrics), ranges
        super().__init__()

    def measure(self, metrics: Mapping[str, str], ranges: Ranges) -> None:
        """Take other metrics; a version that was refused is looked at again, it may name a new one."""
        self._metrics, self._ranges = dict(metrics), ranges
        self.look_again()

    def _signature(self) -> tuple[int, ...] | None:
        try:
            stat = self._path.stat()
        except (OSError, ValueError):
            return None
        return (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)

    def _load(self) -> Policy:
        return load(self._path, self._metrics, self._ranges)

    def _meaning(self, value: Policy) -> str:
        return value.sha256
