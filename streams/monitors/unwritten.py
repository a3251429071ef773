"""What of a table is not in `llm.state` yet. Pure: no I/O."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from streams.monitors import snapshots
from streams.monitors.snapshots import Name

K = TypeVar("K", bound=Name)


class Unwritten(Generic[K]):
    """The keys that changed or were forgotten since the last snapshots that are durable."""

    def __init__(self) -> None:
        self._changed: set[K] = set()
        self._forgotten: dict[K, int] = {}
        """And the partition of `llm.scores` in which each was counted."""
        self._stored: set[K] = set()
        """Those that may have a snapshot in the topic: only these are deleted there."""

    def __len__(self) -> int:
        """How many snapshots there are to write."""
        return len(self._changed) + len(self._forgotten)

    def change(self, key: K) -> None:
        """Note that a key is new, or counts more than its snapshot does."""
        self._forgotten.pop(key, None)
        self._changed.add(key)

    def forget(self, key: K, partition: int) -> None:
        """Note that nothing is known of a key any more; `partition` is where it was counted."""
        self._changed.discard(key)
        if key in self._stored:
            self._forgotten[key] = partition

    def restored(self, key: K) -> None:
        """Note that a key is just as its snapshot says."""
        self._stored.add(key)

    def changes(
        self, snapshot: Callable[[K], tuple[int, bytes]]
    ) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Yield what is to be written: partition, key and snapshot; None if forgotten.

        Args:
            snapshot: gives partition and snapshot of a key that changed.

        """
        for key, partition in self._forgotten.items():
            yield partition, snapshots.encode_key(key), None
        for key in self._changed:
            self._stored.add(key)
            partition, value = snapshot(key)
            yield partition, snapshots.encode_key(key), value

    def written(self) -> None:
        """Note that all of `changes` is durable."""
        self._stored.difference_update(self._forgotten)
        self._forgotten.clear()
        self._changed.clear()

    def clear(self) -> None:
        """Know of no key."""
        self._changed.clear()
        self._forgotten.clear()
        self._stored.clear()
