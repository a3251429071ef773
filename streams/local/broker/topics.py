"""The topics of the broker, their settings and their logs: one folder."""

import asyncio
import json
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from streams.local.broker import compaction
from streams.local.broker.apis import Code, Fault
from streams.local.broker.config import Config
from streams.local.broker.partition import Partition, read_json, write_atomically

MOST_PARTITIONS = 1_000
"""Of a topic: each holds a file open, and a client can ask for any number."""
_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,200}")
_DELETED = "deleted-"
"""A folder that is being deleted; what a crash has left of it goes at the next start."""


class Topics:
    """All that outlives the process is in `folder`: which topics there are, and a folder per partition."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "topics.json"
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{_DELETED}*"):
            shutil.rmtree(left, ignore_errors=True)
        self._topics: dict[str, list[Partition]] = {}
        self._configs: dict[str, Config] = {}
        self._ids: dict[str, bytes] = {}
        for name, (count, config, topic_id) in (read_json(self._file) or {}).items():
            self._ids[name] = bytes.fromhex(topic_id)
            self._open(name, count, Config(config))

    def __contains__(self, name: object) -> bool:
        return name in self._topics

    def names(self) -> list[str]:
        """Return the names of all topics."""
        return list(self._topics)

    def partitions(self, name: str) -> list[Partition]:
        """Return the logs of a topic; raises `Fault`."""
        if name not in self._topics:
            raise Fault(Code.UNKNOWN_TOPIC_OR_PARTITION)
        return self._topics[name]

    def partition(self, name: str, index: int) -> Partition:
        """Return one log; raises `Fault`."""
        logs = self.partitions(name)
        if not 0 <= index < len(logs):
            raise Fault(Code.UNKNOWN_TOPIC_OR_PARTITION)
        return logs[index]

    def every(self) -> Iterator[Partition]:
        """Yield all logs."""
        for logs in list(self._topics.values()):
            yield from logs

    def id_of(self, name: str) -> bytes:
        """Return what tells a topic from another of its name, before or after it: 16 bytes."""
        return self._ids[name]

    def name_of(self, topic_id: bytes) -> str:
        """Return the name of a topic; empty where there is none with that id."""
        return next((name for name, each in self._ids.items() if each == topic_id), "")

    def config(self, name: str) -> Config:
        """Return the settings of a topic; raises `Fault`."""
        self.partitions(name)
        return self._configs[name]

    def check(self, name: str, count: int, config: Mapping[str, str]) -> None:
        """Raise the `Fault` for which a topic cannot be made."""
        if not _NAME.fullmatch(name):
            raise Fault(Code.INVALID_TOPIC, "letters, digits, dot, underscore and hyphen, at most 200")
        if name in self._topics:
            raise Fault(Code.TOPIC_EXISTS)
        if not 1 <= count <= MOST_PARTITIONS:
            raise Fault(Code.INVALID_PARTITIONS, f"1 to {MOST_PARTITIONS} partitions")
        Config(config)

    def create(self, name: str, count: int, config: Mapping[str, str]) -> None:
        """Make a topic; raises `Fault`."""
        self.check(name, count, config)
        for left in self._folder.glob(f"{name}-*"):
            if left.is_dir() and left.name.removeprefix(f"{name}-").isdecimal():
                self._bury(left)  # of a deletion that a crash has cut off
        self._ids[name] = secrets.token_bytes(16)
        self._open(name, count, Config(config))
        self._save()

    def grow(self, name: str, count: int) -> None:
        """Add partitions up to a number; raises `Fault`."""
        logs = self.partitions(name)
        if not len(logs) < count <= MOST_PARTITIONS:
            raise Fault(Code.INVALID_PARTITIONS, f"{name} has {len(logs)} partitions")
        self._open(name, count, self._configs[name])
        self._save()

    def configure(self, name: str, config: Mapping[str, str]) -> None:
        """Replace a topic's own settings; raises `Fault`."""
        self.config(name).update(config)
        self._save()

    def delete(self, name: str) -> None:
        """Delete a topic with its records; raises `Fault`."""
        logs = self.partitions(name)
        # Forgotten first: a crash in between leaves files without a topic, not a topic without files.
        del self._topics[name], self._configs[name], self._ids[name]
        self._save()
        for index, log in enumerate(logs):
            log.close()
            log.wake()
            self._bury(self._path(name, index))

    async def tidy(self) -> None:
        """Delete what is past its retention, and compact."""
        for log in self.every():
            log.retain()
            if paths := compaction.due(log):
                target = await asyncio.to_thread(compaction.compacted, paths, log.config.tombstones_s)
                compaction.take_over(log, paths, target)

    def close(self) -> None:
        """Let go of all files."""
        for log in self.every():
            log.close()

    def _open(self, name: str, count: int, config: Config) -> None:
        logs = self._topics.setdefault(name, [])
        self._configs[name] = config
        logs.extend(Partition(self._path(name, index), config) for index in range(len(logs), count))

    def _bury(self, path: Path) -> None:
        grave = self._folder / f"{_DELETED}{secrets.token_hex(8)}"  # the name is free at once
        path.rename(grave)
        shutil.rmtree(grave, ignore_errors=True)

    def _path(self, name: str, index: int) -> Path:
        return self._folder / f"{name}-{index}"

    def _save(self) -> None:
        found = {
            name: [len(logs), self._configs[name].given, self._ids[name].hex()]
            for name, logs in self._topics.items()
        }
        write_atomically(self._file, json.dumps(found, indent=1))
