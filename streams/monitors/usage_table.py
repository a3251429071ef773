"""What users, conversations, apps and tenants have used lately, a row each in one array. Pure: no I/O.

A window is kept in sixths, and the seventh part is the one that is being filled: so it holds all of its time,
and up to a sixth of its time more. What is added depends on the events alone, not on their order.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.fields import AMOUNTS, WINDOWS_S
from streams.monitors.snapshots import SnapshotError
from streams.monitors.watched import LATEST

PARTS: Final = 6
SLOTS: Final = PARTS + 1
WIDTHS: Final = np.array([1000 * seconds // PARTS for seconds in WINDOWS_S.values()], np.int64)
"""Of the parts of each window, milliseconds."""
HOUR_MS: Final = 1000 * WINDOWS_S["1h"]
DAY_MS: Final = 1000 * WINDOWS_S["1d"]
IDLE_MS: Final = 2 * DAY_MS
"""Who was idle for so long has used nothing, and is forgotten within an hour."""
MOST_AMOUNT: Final = 1e15
ROW: Final = np.dtype(
    [
        ("entity", "<u8"),
        ("partition", "<i4"),
        ("parts", "<i4", (len(WINDOWS_S), SLOTS)),  # which part of time is in the slot
        ("offset", "<i8"),
        ("active", "<i8"),
        ("unpublished", "<f8", (3,)),  # events, tokens and cost
        ("amounts", "<f8", (len(WINDOWS_S), SLOTS, len(AMOUNTS))),
    ]
)
"""Of one entity as one partition of `llm.scores` shows it: what it used is the sum over the partitions."""
LAYOUT: Final = b"\x01"
"""The format of packed rows; another one for every change of `ROW`."""
GROUPS: Final = 1_024
"""Rows of a partition are kept in so many groups, by entity: what changes together is written together."""
_SPREAD: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1
_FLAGGED: Final = slice(AMOUNTS.index("blocks"), AMOUNTS.index("injections") + 1)

Rows = npt.NDArray[np.void]
Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]


class _Used(Protocol):
    """An event, as far as it says whose it is."""

    @property
    def app(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def conversation_id(self) -> str: ...


def entity_of(of: str, event: _Used) -> int:
    """Return 64 bits that stand for the user, conversation, app or tenant of an event; 0 where it has none.

    The same name of a user means another one in another app or tenant.
    """
    if of == "app":
        return _hashed(of, event.app)
    if of == "tenant":
        return _hashed(of, event.tenant) if event.tenant else 0
    name = event.user if of == "user" else event.conversation_id
    return _hashed(of, event.app, event.tenant, name) if name else 0


@lru_cache(16_384)
def _hashed(*names: str) -> int:
    digest = hashlib.blake2b(msgspec.json.encode(names), digest_size=8, person=b"weir.usage").digest()
    return int.from_bytes(digest, "little") or 1


class UsageTable:
    """At most `most` rows; beyond that the least active are forgotten, a sixteenth at once.

    Who was blocked or tried an injection within a day counts as active for a day longer: so names that were
    made up do not push them out.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # The pages of rows that were never used take no memory.
        self._rows = np.zeros(most, ROW)
        self._index: dict[int, int] = {}
        self._free: list[int] = []
        self._used = 0
        self._changed: set[int] = set()
        self._hour = 0

    def __len__(self) -> int:
        return len(self._index)

    def add(
        self, partition: int, entities: Sequence[int], times: Longs, amounts: Floats, offsets: Longs
    ) -> Indices:
        """Count K shares of events; return the rows that they went to, each once.

        A share at an offset that its row has seen is being replayed, and changes nothing.

        Args:
            partition: of `llm.scores`.
            entities: whose they are, at most a quarter of the table.
            times: (K,) when they happened, milliseconds.
            amounts: (K, 5) as `AMOUNTS` has them.
            offsets: (K,) of their records.

        """
        self._forget_idle(int(times.max(initial=0)))
        rows = self._rows_of(partition, entities)
        new = offsets > self._rows["offset"][rows]
        rows, times, amounts, offsets = rows[new], times[new], amounts[new], offsets[new]
        for window, width in enumerate(WIDTHS.tolist()):
            parts = times // width
            place = rows, np.full(len(rows), window), parts % SLOTS
            before = self._rows["parts"][place]
            np.maximum.at(self._rows["parts"], place, parts.astype(np.int32))
            now = self._rows["parts"][place]
            began, counts = now > before, now == parts
            self._rows["amounts"][tuple(axis[began] for axis in place)] = 0.0
            np.add.at(self._rows["amounts"], tuple(axis[counts] for axis in place), amounts[counts])
        np.add.at(self._rows["unpublished"], rows, amounts[:, :3])
        np.maximum.at(self._rows["active"], rows, times)
        np.maximum.at(self._rows["offset"], rows, offsets)
        touched = np.unique(rows)
        self._changed.update(self._group(touched).tolist())
        return touched

    def find(self, partition: int, entities: Sequence[int]) -> list[int]:
        """Return the row of each entity; -1 for none."""
        return [self._index.get(_place(partition, entity), -1) for entity in entities]

    def totals(self, rows: Indices, now: int) -> Floats:
        """Return what is in the windows until `now`, milliseconds: (R, windows, amounts)."""
        live = self._rows["parts"][rows] > (now // WIDTHS - SLOTS)[:, None]
        totals: Floats = np.einsum("rwsa,rws->rwa", self._rows["amounts"][rows], live)
        return totals

    def copy(self, rows: Indices) -> Rows:
        """Return rows as they are now."""
        copied: Rows = self._rows[rows]
        return copied

    def unpublished(self, rows: Indices) -> Floats:
        """Return the events, tokens and cost that were added since `published`: (R, 3)."""
        added: Floats = self._rows["unpublished"][rows]
        return added

    def published(self, rows: Indices) -> None:
        """Note that readers will know of these rows."""
        self._rows["unpublished"][rows] = 0.0

    def put(self, rows: Rows) -> None:
        """Take rows from elsewhere; one that is older than ours changes nothing.

        Of a log an older row has a lower offset; of a log before it an earlier time.
        """
        for start in range(0, len(rows), step := max(1, self._most // 4)):
            piece = rows[start : start + step]
            self._forget_idle(int(piece["active"].max()))
            piece = piece[np.lexsort((piece["offset"], piece["active"]))]
            last = dict(zip(_places(piece), range(len(piece)), strict=True))
            piece = piece[list(last.values())]
            ours = self._rows_at(piece["partition"], piece["entity"])
            known = self._rows[ours]
            later = (piece["active"] > known["active"]) | (
                (piece["active"] == known["active"]) & (piece["offset"] >= known["offset"])
            )
            self._rows[ours[later]] = piece[later]

    def begin_log(self, partition: int) -> None:
        """Note that a partition counts its offsets from the start again."""
        self._rows["offset"][self._live()] = np.where(
            self._rows["partition"][self._live()] == partition, -1, self._rows["offset"][self._live()]
        )

    def changes(self) -> Iterator[tuple[int, int, Rows]]:
        """Yield partition, group and rows of groups that changed since `written`; none if all are gone."""
        live = self._live()
        numbers = self._group(live)
        order = np.argsort(numbers, kind="stable")
        live, numbers = live[order], numbers[order]
        for number in sorted(self._changed):
            first, last = np.searchsorted(numbers, [number, number + 1])
            yield number // GROUPS, number % GROUPS, self._rows[live[first:last]]

    def written(self) -> None:
        """Note that all of `changes` is durable."""
        self._changed.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._rows[: self._used] = np.zeros(1, ROW)
        self._index.clear()
        self._free.clear()
        self._changed.clear()
        self._used = self._hour = 0

    def _group(self, rows: Indices) -> Longs:
        partitions = self._rows["partition"][rows].astype(np.int64)
        return partitions * GROUPS + (self._rows["entity"][rows] % GROUPS).astype(np.int64)

    def _live(self) -> Indices:
        return np.fromiter(self._index.values(), np.intp, len(self._index))

    def _rows_of(self, partition: int, entities: Sequence[int]) -> Indices:
        found = np.array(entities, np.uint64)
        return self._rows_at(np.full(len(found), partition, np.int32), found)

    def _rows_at(self, partitions: Any, entities: Any) -> Indices:
        """Return the row of each entity, a new one where it has none."""
        places = _placed(partitions, entities)
        new = {place: number for number, place in enumerate(places) if place not in self._index}
        if new:
            self._make_room(len(new), [self._index[place] for place in places if place not in new])
            rows = [self._free.pop() if self._free else self._next() for _ in new]
            self._index.update(zip(new, rows, strict=True))
            numbers = list(new.values())
            self._rows["entity"][rows], self._rows["partition"][rows] = entities[numbers], partitions[numbers]
            self._rows["offset"][rows] = -1
        return np.fromiter(map(self._index.__getitem__, places), np.intp, len(places))

    def _next(self) -> int:
        self._used += 1
        return self._used - 1

    def _make_room(self, count: int, keep: Sequence[int]) -> None:
        if count <= len(self._free) + self._most - self._used:
            return
        live = self._live()
        flagged = self._rows["amounts"][live, -1, :, _FLAGGED].any(axis=(1, 2))
        worth = self._rows["active"][live] + DAY_MS * flagged
        worth[np.isin(live, keep)] = np.iinfo(np.int64).max
        # By name where they are alike: which go does not depend on where they lie.
        order = np.lexsort((self._rows["entity"][live], worth))
        self._drop(live[order[: max(count, self._most // 16)]])

    def _forget_idle(self, now: int) -> None:
        """Look once an hour, by the time of the events, milliseconds."""
        if now // HOUR_MS > self._hour:
            self._hour = now // HOUR_MS
            live = self._live()
            self._drop(live[self._rows["active"][live] < now - IDLE_MS])

    def _drop(self, gone: Indices) -> None:
        self._changed.update(self._group(gone).tolist())
        for place in _places(self._rows[gone]):
            del self._index[place]
        self._rows[gone] = np.zeros(1, ROW)
        self._free += gone.tolist()


def _place(partition: int, entity: int) -> int:
    return (entity + partition * _SPREAD) & _MASK


def _placed(partitions: Any, entities: Any) -> list[int]:
    places: list[int] = (entities + partitions.astype(np.uint64) * np.uint64(_SPREAD)).tolist()
    return places


def _places(rows: Rows) -> list[int]:
    return _placed(rows["partition"], rows["entity"])


def pack(rows: Rows) -> bytes:
    """Return rows as they travel."""
    return LAYOUT + rows.tobytes()


def unpack(*packed: tuple[int, bytes]) -> Rows:
    """Return the rows in some contents, each with its partition; raise `SnapshotError` for anything else."""
    sizes = [len(content) - 1 for _, content in packed]
    if not all(content[:1] == LAYOUT for _, content in packed) or any(size % ROW.itemsize for size in sizes):
        raise SnapshotError("the content is no usage of this layout")
    rows: Rows = np.frombuffer(b"".join(content[1:] for _, content in packed), ROW)
    partition = np.repeat([partition for partition, _ in packed], np.array(sizes) // ROW.itemsize)
    for name in ("amounts", "unpublished"):
        if not ((rows[name] >= 0) & (rows[name] <= MOST_AMOUNT)).all():
            raise SnapshotError("an amount is out of range")
    if not ((rows["partition"] == partition) & (rows["active"] >= 0) & (rows["active"] <= LATEST)).all():
        raise SnapshotError("a time is out of range, or a row of another partition")
    return rows
