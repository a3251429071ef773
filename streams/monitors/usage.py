"""Usage as watch counts it: each event once, and what readers have to know of it. Pure: no I/O."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from schemas.fields import AMOUNTS, USAGE, USAGE_OF
from streams.kafka.records import Record
from streams.monitors import snapshots, usage_table
from streams.monitors.snapshots import Newest, SnapshotError, UsageGroup
from streams.monitors.usage_table import MOST_AMOUNT, Indices, UsageTable, entity_of
from streams.monitors.watched import Counted, WatchedScores, happened

Keyed = tuple[bytes, bytes]
"""Key, without the prefix of the group, and value of a record of `llm.usage`."""
PIECE: Final = 256
"""Events counted at once: their entities must fit into the smallest table."""
STEPS: Final = np.array([8.0, 8_192.0, 0.1])
"""Events, tokens and US dollars by which readers may be behind. Or by an eighth of the last minute, if that
is more: who uses much is not published with every event."""
SHARE: Final = 1 / 8
_BLOCKS: Final = AMOUNTS.index("blocks")
MOST_ADDED: Final = MOST_AMOUNT / 1e6
"""By one event: whatever somebody writes into `llm.scores`, sums stay numbers."""


class UsageMonitor:
    """What users, conversations, apps and tenants have used, per partition of `llm.scores`.

    Args:
        most: entities in memory.
        injection: score from which an event is an attempt.

    """

    def __init__(self, most: int, injection: float) -> None:
        self._table = UsageTable(most)
        self._injection = injection
        self._ends: dict[int, tuple[int, int]] = {}
        """By partition: the last offset that is counted, and the highest timestamp."""

    def __len__(self) -> int:
        return len(self._table)

    def update(self, items: Sequence[Counted], partitions: int) -> list[Keyed]:
        """Count events, none of which was counted at another offset; return what readers have to know.

        Blocks and injections are in it at once, the rest from time to time: see `STEPS`.

        Args:
            items: events and their records.
            partitions: how many `llm.scores` has.

        """
        messages: dict[bytes, Keyed] = {}
        pending: list[Counted] = []
        for item, record in items:
            begins = self._begins_log(record)
            if pending and (begins or len(pending) == PIECE or record.partition != pending[0][1].partition):
                messages |= self._count(pending, partitions)
                pending = []
            if begins:
                self._table.begin_log(record.partition)
                self._ends.pop(record.partition)
            self._note(record)
            pending.append((item, record))
        if pending:
            messages |= self._count(pending, partitions)
        return list(messages.values())

    def _begins_log(self, record: Record) -> bool:
        """Whether the topic was made anew: nothing that was read before is newer than all that was read."""
        offset, timestamp = self._ends.get(record.partition, (-1, -1))
        return record.offset <= offset and record.timestamp > timestamp

    def _note(self, record: Record) -> None:
        offset, timestamp = self._ends.get(record.partition, (-1, -1))
        self._ends[record.partition] = max(offset, record.offset), max(timestamp, record.timestamp)

    def _count(self, items: Sequence[Counted], partitions: int) -> dict[bytes, Keyed]:
        entities: list[int] = []
        numbers: list[int] = []
        answered: list[bool] = []
        for number, (item, _) in enumerate(items):
            for of in USAGE_OF:
                if found := entity_of(of, item.event):
                    entities.append(found)
                    numbers.append(number)
                    answered.append(of == "user" and item.event.kind == "completion")
        amounts = np.clip([self._amounts(item) for item, _ in items], 0.0, MOST_ADDED)[numbers]
        # What an app answers is no doing of its user's: nobody is locked out for it.
        amounts[answered, _BLOCKS] = 0.0
        times = np.array([happened(item, record) for item, record in items], np.int64)
        offsets = np.array([record.offset for _, record in items], np.int64)
        partition = items[0][1].partition
        rows = self._table.add(partition, entities, times[numbers], amounts, offsets[numbers])
        grave = {entities[n] for n in np.flatnonzero(amounts[:, _BLOCKS:].any(axis=1)).tolist()}
        due = self._due(partition, rows, sorted(grave), int(times.max()))
        return self._messages(due, partitions)

    def _due(self, partition: int, rows: Indices, grave: Sequence[int], now: int) -> Indices:
        minute = self._table.totals(rows, now)[:, 0, :3]
        behind = self._table.unpublished(rows) >= np.maximum(STEPS, SHARE * minute)
        urgent = np.isin(rows, self._table.find(partition, grave))
        due: Indices = rows[behind.any(axis=1) | urgent]
        self._table.published(due)
        return due

    def _messages(self, rows: Indices, partitions: int) -> dict[bytes, Keyed]:
        found = self._table.copy(rows)
        messages: dict[bytes, Keyed] = {}
        for number, row in enumerate(found):
            partition, offset, active = int(row["partition"]), int(row["offset"]), int(row["active"])
            key = partition.to_bytes(4, "big") + int(row["entity"]).to_bytes(8, "big")
            content = usage_table.pack(found[number : number + 1])
            messages[key] = key, snapshots.encode(partition, partitions, offset, active, content)
        return messages

    def _amounts(self, item: WatchedScores) -> tuple[float, ...]:
        """Return what an event adds, as `AMOUNTS` has it."""
        event = item.event
        tokens = event.prompt_tokens if event.kind == "prompt" else event.completion_tokens
        is_injection = item.scores.get("injection", 0.0) >= self._injection
        return 1.0, float(tokens or 0), event.cost or 0.0, float(_is_blocked(item)), float(is_injection)

    def changes(self, partitions: int) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Yield what changed since `written`: partition of `llm.scores`, key and snapshot; None if forgotten.

        Each row says up to where it has counted, so a part of them written is no harm.
        """
        for partition, group, rows in self._table.changes():
            key = snapshots.encode_key(UsageGroup(partition, group))
            if not len(rows):
                yield partition, key, None
                continue
            offset, timestamp = self._ends.get(partition, (-1, -1))
            content = usage_table.pack(rows)
            yield partition, key, snapshots.encode(partition, partitions, offset, timestamp, content)

    def written(self) -> None:
        """Note that all of `changes` is durable."""
        self._table.written()

    def restore(self, newest: Newest) -> None:
        """Begin with these snapshots, taking them out; one that cannot be read is left out and counted."""
        self.clear()
        for _, envelope in newest.taken(UsageGroup):
            try:
                self._table.put(usage_table.unpack((envelope.partition, snapshots.unpack(envelope))))
            except SnapshotError as error:
                newest.skip(error)
                continue
            offset, timestamp = self._ends.get(envelope.partition, (-1, -1))
            self._ends[envelope.partition] = max(offset, envelope.offset), max(timestamp, envelope.timestamp)

    def clear(self) -> None:
        """Forget everything, for partitions that moved to another worker."""
        self._table.clear()
        self._ends.clear()


def _is_blocked(item: WatchedScores) -> bool:
    """Tell blocks for what the event was: to be blocked for earlier blocks is none, or it would never end."""
    return any(
        (hit.action, hit.mode) == ("block", "enforce") and hit.metric not in USAGE
        for hit in item.decision.rules
    )
