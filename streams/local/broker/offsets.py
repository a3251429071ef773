"""The offsets that consumer groups have committed: in memory, and as lines in a file."""

import json
import logging
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from streams.local.broker.state_files import write_atomically

log = logging.getLogger(__name__)
_REWRITE_BYTES = 4 << 20

Place = tuple[str, int]
"""Topic and partition."""
Committed = tuple[int, str]
"""Offset and what the client has written beside it."""


class Offsets:
    """Every line of the file is one commit of a group, or what was forgotten; the last one counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._groups: dict[str, dict[Place, Committed]] = {}
        if path.exists():
            self._read_all(path.read_bytes())
        self._rewrite()

    def groups(self) -> list[str]:
        """Return the groups that have committed anything."""
        return list(self._groups)

    def of(self, group: str) -> dict[Place, Committed]:
        """Return what a group has committed."""
        return self._groups.get(group, {})

    def commit(self, group: str, offsets: dict[Place, Committed]) -> None:
        """Keep offsets; `OSError` where they cannot be written."""
        self._write(group, offsets)
        self._groups.setdefault(group, {}).update(offsets)

    def forget(self, group: str) -> None:
        """Forget a group."""
        if self._groups.pop(group, None) is not None:
            self._rewrite()

    def forget_topic(self, topic: str) -> None:
        """Forget a deleted topic: one that is made anew begins at its start for every group."""
        for name, offsets in list(self._groups.items()):
            self._groups[name] = {place: each for place, each in offsets.items() if place[0] != topic}
        self._rewrite()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _write(self, group: str, offsets: dict[Place, Committed]) -> None:
        self._file.write(_line(group, offsets.items()))
        self._file.flush()
        if self._file.tell() > self._limit:
            self._rewrite()

    def _rewrite(self) -> None:
        self._groups = {name: offsets for name, offsets in self._groups.items() if offsets}
        write_atomically(
            self._path, "".join(_line(name, offsets.items()) for name, offsets in self._groups.items())
        )
        self._file = self._path.open("a", encoding="utf-8")
        self._limit = _REWRITE_BYTES + 2 * self._file.tell()

    def _read_all(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        damaged = [line for line in lines if not self._read(line)]
        if rest and not self._read(rest) and not rest.startswith(b"["):
            damaged.append(rest)  # else half a line, of a crash: that commit was not answered
        if damaged:
            kept = self._path.with_suffix(".torn")
            with kept.open("ab") as file:
                file.write(b"".join(line + b"\n" for line in damaged)[:_REWRITE_BYTES])
            log.warning(
                "%s: %d damaged lines are left out and kept in %s: groups go on from what they committed "
                "before, and read again what came after; one that is left with nothing begins where its "
                "client is set to",
                *(self._path, len(damaged), kept),
            )

    def _read(self, line: bytes) -> bool:
        """Take in a line; return whether it is whole."""
        try:
            group, offsets, *checksum = json.loads(line)
            found = {(topic, index): (offset, metadata) for topic, index, offset, metadata in offsets}
        except (ValueError, TypeError, RecursionError):
            return False
        # Lines of before had no checksum.
        if not _is_commit(group, found) or checksum not in ([], [_checksum(group, offsets)]):
            return False
        self._groups.setdefault(group, {}).update(found)
        return True


def _line(group: str, offsets: Iterable[tuple[Place, Committed]]) -> str:
    listed = [[*place, *committed] for place, committed in offsets]
    return json.dumps([group, listed, _checksum(group, listed)]) + "\n"


def _checksum(group: str, offsets: list[Any]) -> int:
    """Return what tells a digit that a disk has changed, which would be another offset."""
    return zlib.crc32(json.dumps([group, offsets]).encode())


def _is_commit(group: Any, found: dict[Any, Any]) -> bool:
    values = [(*place, *committed) for place, committed in found.items()]
    return isinstance(group, str) and all(all(map(isinstance, each, (str, int, int, str))) for each in values)
