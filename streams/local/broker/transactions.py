"""Producer ids and transactions. What is open follows from the logs; who may end it is in a file."""

import json
import time
from pathlib import Path
from typing import Any

from streams.local.broker import batches
from streams.local.broker.apis import Code, Fault
from streams.local.broker.offsets import Committed, Offsets, Place
from streams.local.broker.state_files import damaged, read_json, write_atomically
from streams.local.broker.topics import Topics

_LAST_EPOCH = 32_767
"""An epoch has 16 bits on the wire: after the last one the name gets another producer id."""


class Transactions:
    """Gives out producer ids, ends transactions with markers, and aborts those that take too long."""

    def __init__(self, path: Path, topics: Topics, offsets: Offsets) -> None:
        self._path = path
        self._topics = topics
        self._offsets = offsets
        state = _state(path)
        self._next: int = state["next"]
        self._ids: dict[str, list[int]] = state["ids"]  # producer, epoch, time-out in ms
        self._pending: dict[str, dict[str, list[list[Any]]]] = state["pending"]  # by id and group
        self._go_beyond_what_is_in_the_logs()
        # When they began is not kept: after a restart each has its whole time-out again.
        now = time.monotonic()
        self._begun = {name: now for name, (producer, *_) in self._ids.items() if self._open(producer)}

    def new_producer(self, name: str | None, timeout_ms: int) -> tuple[int, int]:
        """Return producer id and epoch; with a transactional id whoever had it before is shut out."""
        if name is None:
            producer, epoch = self._new_id(), 0
        else:
            producer, epoch, _ = self._ids.get(name, (self._new_id(), -1, 0))
            if epoch == _LAST_EPOCH:
                producer, epoch = self._new_id(), -1
            epoch += 1
            self._ids[name] = [producer, epoch, timeout_ms]
            self._end(name, commit=False)
        self._save()
        return producer, epoch

    def begin(self, request: dict[str, Any]) -> None:
        """Note that a transaction is under way; raises `Fault` for a producer that is shut out."""
        self._check(request)
        self._begun.setdefault(request["transactional_id"], time.monotonic())

    def admit(self, name: str | None, data: bytes) -> None:
        """Raise `Fault` for a batch of a transaction that nobody could end: readers would wait for ever."""
        batch = batches.header(data)
        if batch is None or not batch.transactional:
            return
        if name is None:
            raise Fault(Code.TRANSACTIONAL_ID_REFUSED)
        self.begin({"transactional_id": name, "producer": batch.producer, "epoch": batch.epoch})

    def offsets(self, request: dict[str, Any], offsets: dict[Place, Committed]) -> None:
        """Hold offsets of a group until the transaction is committed; raises `Fault`."""
        self.begin(request)
        held = self._pending.setdefault(request["transactional_id"], {}).setdefault(request["group"], [])
        held.extend([*place, *committed] for place, committed in offsets.items())
        self._save()

    def end(self, request: dict[str, Any]) -> None:
        """Commit or abort; raises `Fault`."""
        self._check(request)
        self._end(request["transactional_id"], commit=request["committed"])
        self._save()

    def expire(self) -> None:
        """Abort what is open beyond its producer's time-out, and shut that producer out."""
        now = time.monotonic()
        for name, begun in list(self._begun.items()):
            if now > begun + self._ids[name][2] / 1000:
                # A producer that was merely slow must not go on in a transaction that is gone.
                self._ids[name][1] += 1
                self._end(name, commit=False)
                self._save()

    def _end(self, name: str, *, commit: bool) -> None:
        producer, epoch, _ = self._ids[name]
        for log in self._open(producer):
            log.append(batches.marker(producer, epoch, commit=commit), control=True)
        self._begun.pop(name, None)
        pending = self._pending.pop(name, {})
        if commit:
            for group, held in pending.items():
                self._offsets.commit(group, {(each[0], each[1]): (each[2], each[3]) for each in held})

    def _open(self, producer: int) -> list[Any]:
        return [log for log in self._topics.every() if producer in log.producers.open]

    def _check(self, request: dict[str, Any]) -> None:
        producer, epoch, _ = self._ids.get(request["transactional_id"], (None, None, None))
        if producer != request["producer"]:
            raise Fault(Code.INVALID_PRODUCER_ID_MAPPING)
        if epoch != request["epoch"]:
            raise Fault(Code.INVALID_PRODUCER_EPOCH)

    def _go_beyond_what_is_in_the_logs(self) -> None:
        """Give no id and no epoch twice where the file is missing, or an old copy.

        What a new producer sends would be taken for a repeat, and dropped.
        """
        epochs: dict[int, int] = {}
        for log in self._topics.every():
            for producer, epoch in log.producers.epochs().items():
                epochs[producer] = max(epoch, epochs.get(producer, -1))
        self._next = max(self._next, *epochs, 0)
        for each in self._ids.values():
            each[1] = max(each[1], epochs.get(each[0], -1))

    def _new_id(self) -> int:
        self._next += 1
        return self._next

    def _save(self) -> None:
        state = {"next": self._next, "ids": self._ids, "pending": self._pending}
        write_atomically(self._path, json.dumps(state))


def _state(path: Path) -> dict[str, Any]:
    """Return what was saved; `OSError` where the file cannot be right."""
    state = read_json(path, {"next": 1, "ids": {}, "pending": {}})
    match state:
        case {"next": int(), "ids": dict(ids), "pending": dict(pending)} if (
            all(_fits(each, int, int, int) for each in ids.values())
            and all(isinstance(groups, dict) for groups in pending.values())
            and all(_held(each) for groups in pending.values() for each in groups.values())
        ):
            return {"next": state["next"], "ids": ids, "pending": pending}
    raise damaged(path)


def _held(offsets: Any) -> bool:
    return isinstance(offsets, list) and all(_fits(each, str, int, int, str | None) for each in offsets)


def _fits(values: Any, *types: Any) -> bool:
    return isinstance(values, list) and len(values) == len(types) and all(map(isinstance, values, types))
