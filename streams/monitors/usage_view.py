"""Usage as the policy asks for it: what watch published, until now. Pure: no I/O."""

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np

from schemas.events import Event
from schemas.fields import AMOUNTS, USAGE_OF, WINDOWS_S
from streams.monitors import snapshots, usage_table
from streams.monitors.snapshots import SnapshotError
from streams.monitors.usage_table import Floats, UsageTable, entity_of
from streams.policy.columns import Numbers

MOST_PARTITIONS: Final = 1_000
PIECE: Final = 500
"""Values that are unpacked at once."""


class UsageView:
    """The last that is known of at most `most` entities; any thread may ask.

    What is in a window ends with it by the clock of whoever asks: a watch that is silent locks nobody out.
    """

    def __init__(self, most: int) -> None:
        self._table = UsageTable(most)
        self._partitions: set[int] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._table)

    def take(self, values: Sequence[bytes | None]) -> int:
        """Take values of `llm.usage`; return how many of them cannot be read."""
        return sum(self._take(values[start : start + PIECE]) for start in range(0, len(values), PIECE))

    def _take(self, values: Sequence[bytes | None]) -> int:
        try:
            packed = [_packed(value) for value in values]
            rows = usage_table.unpack(*packed)
        except SnapshotError:
            return 1 if len(values) == 1 else sum(self._take([value]) for value in values)
        with self._lock:
            self._table.put(rows)
            self._partitions |= set(rows["partition"].tolist())
            if len(self._partitions) > MOST_PARTITIONS:  # no topic of ours has so many
                self._partitions = set()
                self._table.clear()
        return 0

    def __call__(self, names: Collection[str], events: Sequence[Event], now: int) -> Mapping[str, Numbers]:
        """Return what was used until `now`, milliseconds: (N,) by name; NaN where nobody is named."""
        asked: dict[str, list[tuple[str, int, int]]] = {}
        for name in names:
            of, amount, window = name.split("_")
            place = list(WINDOWS_S).index(window), AMOUNTS.index(amount)
            asked.setdefault(of, []).append((name, *place))
        found: dict[str, Numbers] = {}
        for of in USAGE_OF:
            if of not in asked:
                continue
            entities = [entity_of(of, event) for event in events]
            different = {entity: number for number, entity in enumerate(dict.fromkeys(entities))}
            totals = self._totals(list(different), now)
            if 0 in different:
                totals[different[0]] = np.nan
            rows = [different[entity] for entity in entities]
            found |= {name: totals[rows, window, amount] for name, window, amount in asked[of]}
        return found

    def _totals(self, entities: Sequence[int], now: int) -> Floats:
        """Return the windows of each entity, over all partitions: (E, windows, amounts)."""
        totals = np.zeros((len(entities), len(WINDOWS_S), len(AMOUNTS)))
        with self._lock:
            for partition in self._partitions:
                rows = np.array(self._table.find(partition, entities), np.intp)
                known = rows >= 0
                totals[known] += self._table.totals(rows[known], now)
        return totals


def _packed(value: bytes | None) -> tuple[int, bytes]:
    envelope = snapshots.decode(value or b"")
    return envelope.partition, snapshots.unpack(envelope)
