"""What a worker needs of a role."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol, runtime_checkable

from streams.kafka.records import Record


class Role(Protocol):
    """What one role does with records; everything it produces is durable when `handle` returns."""

    name: str
    topics: tuple[str, ...]
    batch_records: int
    """Records handed to `handle` at once, at most (a single poll is never split); of one lane only."""
    linger_s: float
    """How long to collect records before a batch that is not full is handled."""

    async def start(self) -> None:
        """Connect; raise an error with a user-readable message when that is impossible."""
        ...

    async def handle(self, records: Sequence[Record]) -> bool:
        """Process records in order; return whether their offsets may be committed now.

        False keeps them pending: they are committed with the next batch that returns True. Without
        records it is called when there was nothing new for a second and at the end, while some are
        pending: make them durable now and return True.
        """
        ...

    async def assigned(self, partitions: frozenset[tuple[str, int]]) -> None:
        """The partitions were given out anew; called before their first records, never during `handle`."""
        ...

    async def stop(self) -> None:
        """Release everything."""
        ...


@runtime_checkable
class Overtaking(Protocol):
    """A role of which some records need not wait for those before them, as long as no key is overtaken."""

    def goes_ahead(self, records: Sequence[Record]) -> Sequence[bool]:
        """Return which records of a live poll are handled before what waits; `handle` gets these first."""
        ...

    newcomers: Callable[[Collection[bytes | None]], list[Record]]
    """Of such records, those that came while a live batch is handled, none of a key that is given: those of
    what is left of the batch. Set by the worker."""


@runtime_checkable
class Stateful(Protocol):
    """A role that writes state of its partitions elsewhere, and must not once they are another's."""

    holds: Callable[[], Awaitable[bool]]
    """Whether what is being handled is of partitions that are still ours; set by the worker."""
    draining: bool
    """Set when the worker stops: what is pending should be made durable now."""
