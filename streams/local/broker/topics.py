"""The topics of the broker, their settings and their logs: one folder."""

import asyncio
import json
import logging
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from streams.local.broker import compaction
from streams.local.broker.apis import Code, Fault
from streams.local.broker.config import Config
from streams.local.broker.given import GivenOffsets
from streams.local.broker.partition import Partition, log_files
from streams.local.broker.state_files import damaged, read_json, write_atomically

log = logging.getLogger(__name__)
MOST_PARTITIONS = 1_000
"""Of a topic: each holds a file open, and a client can ask for any number."""
ID_BYTES = 16
_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,200}")
_PARTITION = re.compile(r".+-[0-9]{1,3}")
_DELETED = "deleted-"
_GRAVE = re.compile(rf"{_DELETED}[0-9a-f]{{16}}")
"""A folder that is being deleted; what a crash has left of it goes at the next start."""


class Topics:
    """All that outlives the process is in `folder`: which topics there are, and a folder per partition."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "topics.json"
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{_DELETED}*"):
            if _GRAVE.fullmatch(left.name):  # a topic may have such a name, too
                shutil.rmtree(left, ignore_errors=True)
        self._topics: dict[str, list[Partition]] = {}
        self._configs: dict[str, Config] = {}
        self._ids: dict[str, bytes] = {}
        self._told: dict[Partition, str] = {}
        found = self._read()
        self._refuse_unknown(
            {self._path(name, n) for name, (count, *_) in found.items() for n in range(count)}
        )
        for name, (count, config, topic_id) in found.items():
            self._ids[name] = topic_id
            self._open(name, count, config)

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
                shutil.rmtree(self._bury(left), ignore_errors=True)  # of a creation that a crash has cut off
        self._ids[name] = secrets.token_bytes(ID_BYTES)
        self._add(name, count, Config(config))

    def grow(self, name: str, count: int) -> None:
        """Add partitions up to a number; raises `Fault`."""
        logs = self.partitions(name)
        if not len(logs) < count <= MOST_PARTITIONS:
            raise Fault(Code.INVALID_PARTITIONS, f"{name} has {len(logs)} partitions")
        self._add(name, count, self._configs[name])

    def configure(self, name: str, config: Mapping[str, str]) -> None:
        """Replace a topic's own settings; raises `Fault`."""
        self.config(name).update(config)
        self._save()

    def delete(self, name: str) -> None:
        """Delete a topic with its records; raises `Fault`."""
        logs = self.partitions(name)
        del self._topics[name], self._configs[name], self._ids[name]
        graves = []
        for index, log in enumerate(logs):
            log.close()
            log.wake()
            graves.append(self._bury(self._path(name, index)))
        # Forgotten last: after a crash in between it is empty, and records without a topic are no deletion.
        self._save()
        for grave in graves:
            shutil.rmtree(grave, ignore_errors=True)

    async def tidy(self) -> None:
        """Delete what is past its retention, and compact."""
        for partition in self.every():
            try:
                partition.retain()
                if paths := compaction.due(partition):
                    target = await asyncio.to_thread(
                        compaction.compacted, paths, partition.config.tombstones_s
                    )
                    compaction.take_over(partition, paths, target)
            except OSError as error:  # one that cannot be tidied must not keep the others
                self._tell(partition, str(error))
            else:
                self._told.pop(partition, None)

    def close(self) -> None:
        """Let go of all files."""
        for log in self.every():
            log.close()

    def _tell(self, partition: Partition, problem: str) -> None:
        """Log a problem once, and not every second for as long as it stays."""
        if not partition.closed and self._told.get(partition) != problem:
            self._told[partition] = problem
            log.warning("what is past its time cannot be deleted: %s", problem)

    def _open(self, name: str, count: int, config: Config) -> None:
        logs = self._topics.setdefault(name, [])
        self._configs[name] = config
        logs.extend(Partition(self._path(name, index), config) for index in range(len(logs), count))

    def _add(self, name: str, count: int, config: Config) -> None:
        """Make partitions that are not there, all or none; `OSError` where the system has no more."""
        before = len(self._topics.setdefault(name, []))
        try:
            for index in range(before, count):
                GivenOffsets(self._path(name, index)).forget()
            self._open(name, count, config)
            self._save()
        except OSError:
            for index, partition in enumerate(self._topics[name][before:], before):
                partition.close()
                shutil.rmtree(self._path(name, index), ignore_errors=True)
            del self._topics[name][before:]
            if not before:
                del self._topics[name], self._ids[name]
                self._configs.pop(name, None)
            raise

    def _read(self) -> dict[str, tuple[int, Config, bytes]]:
        """Return partitions, settings and id of each topic; `OSError` where the file cannot be right."""
        found = read_json(self._file, {})
        try:
            return {name: _topic(name, *each) for name, each in found.items()}
        except (AttributeError, TypeError, ValueError, Fault):
            raise damaged(self._file) from None

    def _refuse_unknown(self, known: set[Path]) -> None:
        """Raise `OSError` where records lie that belong to no topic: one made anew would remove them."""
        lost = sorted(
            path.name
            for path in self._folder.iterdir()
            if _PARTITION.fullmatch(path.name) and path not in known
            if any(file.stat().st_size for file in log_files(path))
        )
        if lost:
            raise OSError(
                f"{self._file} is missing or incomplete: {len(lost)} folders hold records of topics that it "
                f"does not name ({', '.join(lost[:3])}{', and others' if len(lost) > 3 else ''}): put back a "
                f"copy that names them, or move these folders out of {self._folder} to begin without them"
            )

    def _bury(self, path: Path) -> Path:
        """Free a partition's name at once; return the folder that is to be removed."""
        GivenOffsets(path).forget()
        grave = self._folder / f"{_DELETED}{secrets.token_hex(8)}"
        path.rename(grave)
        return grave

    def _path(self, name: str, index: int) -> Path:
        return self._folder / f"{name}-{index}"

    def _save(self) -> None:
        found = {
            name: [len(logs), self._configs[name].given, self._ids[name].hex()]
            for name, logs in self._topics.items()
        }
        write_atomically(self._file, json.dumps(found, indent=1))


def _topic(name: str, count: Any, config: Any, topic_id: Any) -> tuple[int, Config, bytes]:
    """Return what the file says of a topic; `TypeError`, `ValueError` or `Fault` where it says it wrongly."""
    if not (_NAME.fullmatch(name) and isinstance(count, int) and 1 <= count <= MOST_PARTITIONS):
        raise ValueError
    known = bytes.fromhex(topic_id)
    if len(known) != ID_BYTES:
        raise ValueError
    return count, Config(config), known
