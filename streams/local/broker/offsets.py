"""The offsets that consumer groups have committed: in memory, and as lines in a file."""

import json
from collections.abc import Iterable
from pathlib import Path

from streams.local.broker.partition import write_atomically

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
            for line in path.read_text("utf-8", "replace").splitlines():
                self._read(line)
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

    def _read(self, line: str) -> None:
        try:
            group, offsets = json.loads(line)
            found = {(topic, index): (offset, metadata) for topic, index, offset, metadata in offsets}
        except (ValueError, TypeError):
            return  # half a line, from a crash: that commit was not answered
        self._groups.setdefault(group, {}).update(found)


def _line(group: str, offsets: Iterable[tuple[Place, Committed]]) -> str:
    return json.dumps([group, [[*place, *committed] for place, committed in offsets]]) + "\n"
