"""Files that are taken up while they change: a version counts when two looks find it the same."""

from abc import ABC, abstractmethod
from typing import Generic, Literal, TypeVar

Value = TypeVar("Value")
Problem = TypeVar("Problem", bound=Exception)


class Settled(ABC, Generic[Value, Problem]):
    """The last good version of what is in files. Starts no thread: the caller asks now and then.

    Raises `refusal` where there is no good version to start with.
    """

    refusal: type[Problem]
    """What `_load` raises for a broken version."""

    def __init__(self) -> None:
        self._taken: object = self._signature()
        self._last = self._taken
        self.current: Value = self._load()
        """The version in force."""
        self.error: Problem | None = None
        """What is wrong with the files as they are now; None where they are the version in force."""

    def reload_if_changed(self) -> Literal["unchanged", "reloaded"] | Problem:
        """Look at the files, and put a new good version in force at the second look that finds it unchanged.

        Half of a file may be a good version, with half of what is meant: one that changed since the last look
        may still be being written. Only a file that is renamed into place is safe from a writer that pauses.

        Returns "reloaded" when the version in force is a new one, and once for every broken version its
        error: the last good one stays in force, and `error` is set until the files are good again. A version
        that means the same as before is "unchanged".
        """
        # Taken before the files are read: a write in between shows as a change the next time.
        signature = self._signature()
        is_settled, self._last = signature == self._last, signature
        if signature == self._taken or not is_settled:
            return "unchanged"
        self._taken = signature
        try:
            found = self._load()
        except self.refusal as error:
            self.error = error
            return error
        self.error = None
        if self._meaning(found) == self._meaning(self.current):
            return "unchanged"
        self.current = found
        return "reloaded"

    def look_again(self) -> None:
        """Let a version that was refused be tried again."""
        if self.error:
            self._taken = None

    @abstractmethod
    def _signature(self) -> object:
        """Return what differs when a file was written; None where there is none."""

    @abstractmethod
    def _load(self) -> Value:
        """Return what is in the files. Raises `refusal`."""

    @abstractmethod
    def _meaning(self, value: Value) -> str:
        """Return what is the same for versions that mean the same."""
