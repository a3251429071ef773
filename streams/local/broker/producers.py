"""What a partition remembers of its producers: repeats are recognised, open transactions held back."""

import bisect
from dataclasses import dataclass, field
from typing import Any

from streams.local.broker.apis import Code, Fault
from streams.local.broker.batches import NO_PRODUCER, RecordBatch

REMEMBERED = 5
"""Batches of a producer by which a repeat is known: a client has no more under way."""
MOST = 10_000
"""Producers that are remembered: every start of a client is a new one."""
_SEQUENCES = 1 << 31


@dataclass
class Producer:
    """The last batches of one producer, each as first sequence, last sequence and base offset."""

    epoch: int
    batches: list[list[int]] = field(default_factory=list)


class Producers:
    """Follows from the log alone: `note` every batch in order, also while a log is read again."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        state = state or {"producers": {}, "open": {}, "aborted": []}
        self._known = {int(key): Producer(*value) for key, value in state["producers"].items()}
        self.open: dict[int, int] = {int(key): first for key, first in state["open"].items()}
        """The first offset of each producer's open transaction."""
        self._aborted: list[tuple[int, int, int]] = [tuple(each) for each in state["aborted"]]  # last first

    def state(self) -> dict[str, Any]:
        """Return what `__init__` takes, as plain data."""
        known = {producer: [each.epoch, each.batches] for producer, each in self._known.items()}
        return {"producers": known, "open": self.open, "aborted": self._aborted}

    def epochs(self) -> dict[int, int]:
        """Return the epoch of each producer."""
        return {producer: each.epoch for producer, each in self._known.items()}

    def repeated(self, batch: RecordBatch) -> int | None:
        """Return the offset at which a batch is already; raises `Fault` where it must not be appended."""
        known = self._known.get(batch.producer)
        if batch.producer == NO_PRODUCER or known is None:
            return None  # after a restart, or once forgotten, any sequence may come
        if batch.epoch < known.epoch:
            raise Fault(Code.INVALID_PRODUCER_EPOCH)
        if batch.epoch > known.epoch or not known.batches:
            return None
        last = (batch.sequence + batch.last_delta) % _SEQUENCES
        for first_sequence, last_sequence, base in known.batches:
            if (first_sequence, last_sequence) == (batch.sequence, last):
                return base
        if batch.sequence != (known.batches[-1][1] + 1) % _SEQUENCES:
            raise Fault(Code.OUT_OF_ORDER_SEQUENCE)
        return None

    def note(self, batch: RecordBatch, *, commit: bool = False) -> None:
        """Take in a batch of the log; `commit` says so of a control batch."""
        if batch.producer == NO_PRODUCER:
            return
        known = self._known.get(batch.producer)
        if known is None or known.epoch != batch.epoch:
            known = self._known[batch.producer] = Producer(batch.epoch)
            if len(self._known) > MOST:
                del self._known[next(iter(self._known))]
        if batch.control:
            first = self.open.pop(batch.producer, None)
            if first is not None and not commit:
                bisect.insort(self._aborted, (batch.last, first, batch.producer))
            return
        last = (batch.sequence + batch.last_delta) % _SEQUENCES
        known.batches = [*known.batches[1 - REMEMBERED :], [batch.sequence, last, batch.base]]
        if batch.transactional:
            self.open.setdefault(batch.producer, batch.base)

    def aborted(self, start: int, end: int) -> list[dict[str, int]]:
        """Return the aborted transactions with records between two offsets."""
        begin = bisect.bisect_left(self._aborted, (start,))
        found = [(first, producer) for _, first, producer in self._aborted[begin:] if first < end]
        return [{"producer": producer, "first": first} for first, producer in found]

    def forget_before(self, start: int) -> None:
        """Forget aborted transactions whose records are gone."""
        del self._aborted[: bisect.bisect_left(self._aborted, (start,))]
