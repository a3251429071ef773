"""Compaction: of the records with one key in a log only the last is kept."""

import itertools
import json
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streams.local.broker import batches, clock
from streams.local.broker.batches import RecordBatch
from streams.local.broker.partition import COMPACTION, Partition
from streams.local.broker.segments import LogSegment
from streams.local.broker.state_files import read_json, write_atomically

log = logging.getLogger(__name__)
AHEAD_S = 600.0
"""So far ahead no clock of files is by itself."""


def due(partition: Partition) -> list[Path]:
    """Return the segments to compact, if enough has been written to them since the last time.

    The one that is written to is never among them, nor what is younger than the topic asks for.
    """
    config, now = partition.config, time.time()
    old = list(
        itertools.takewhile(
            lambda each: _written(each, now) <= now - config.compaction_lag_s, partition.segments[:-1]
        )
    )
    dirty = [segment for segment in old if segment.base >= partition.compacted_to]
    if not config.compacts or not dirty:
        return []
    much = _bytes(dirty) >= config.dirty_ratio * _bytes(old)
    late = _written(dirty[0], now) < now - config.compaction_limit_s
    if not (much or late):
        return []
    _remove_left(partition)
    for segment in old:
        segment.check()  # here, so that only one thread ever mends a file
    return [segment.path for segment in old]


def compacted(paths: list[Path], tombstones_s: float) -> Path:
    """Write what is kept of some segments into a file beside them; fit for a thread of its own.

    The files are opened anew: the broker goes on reading through its own.
    """
    segments = [LogSegment(path, checked=True) for path in paths]
    target = paths[0].with_suffix(".compacted")
    try:
        latest = _latest(segments)
        with target.open("wb") as file:
            for segment in segments:
                expired = segment.age < clock.now() - tombstones_s
                for batch, data in _batches(segment):
                    file.write(_kept(batch, data, latest, expired=expired))
        shutil.copystat(paths[-1], target)  # the age of what is in it
    finally:
        for segment in segments:
            segment.close()
    return target


def take_over(partition: Partition, paths: list[Path], target: Path) -> None:
    """Let a partition go on with the compacted file in place of its segments; not if these changed.

    After an `OSError` it goes on with either: no segment of it is closed.
    """
    old = partition.segments[: len(paths)]
    if partition.closed or [segment.path for segment in old] != paths:
        target.unlink(missing_ok=True)
        return
    # Whether the others are in the first one must not be told by its offsets, which may be damaged.
    listed = paths[0].parent / COMPACTION
    merged = LogSegment(target, checked=True)
    try:
        write_atomically(listed, json.dumps([path.name for path in paths[1:]]))
        target.replace(paths[0])
    except OSError:
        merged.close()
        listed.unlink(missing_ok=True)
        raise
    merged.path = paths[0]
    partition.segments[: len(old)] = [merged]
    partition.compacted_to = partition.segments[1].base
    for segment in old:
        segment.close()
    _remove_left(partition)


def _remove_left(partition: Partition) -> None:
    """Remove the files that a compacted one has replaced, and the list of them; `OSError` where one stays.

    The list stays then, too: a next compaction must not overwrite it, or a next start would read them again.
    """
    first = partition.segments[0].path
    listed, used = first.parent / COMPACTION, {segment.path.name for segment in partition.segments}
    if listed.exists():
        for name in set(read_json(listed)) - used:
            for path in (first.with_name(name), first.with_name(name).with_suffix(".torn")):
                path.unlink(missing_ok=True)
        listed.unlink()


def _written(segment: LogSegment, now: float) -> float:
    """Return when a segment was last written; long ago where that is yet to come: a clock was set back.

    Or nothing would be compacted until that time, and the disk would fill.
    """
    return segment.age if segment.age <= now + AHEAD_S else 0.0


def _bytes(segments: list[LogSegment]) -> int:
    return sum(segment.size for segment in segments)


def _latest(segments: list[LogSegment]) -> dict[bytes, int]:
    return {
        record.key: record.offset
        for segment in segments
        for batch, data in _batches(segment)
        if not batch.control
        for record in _records(data)
        if record.key is not None
    }


def _kept(batch: RecordBatch, data: bytes, latest: dict[bytes, int], *, expired: bool) -> bytes:
    if batch.control or batch.transactional:
        return data  # whether it counts is not known here
    records = _records(data)
    kept = [
        record
        for record in records
        if record.key is None
        or (latest[record.key] == record.offset and not (expired and record.value is None))
    ]
    if len(kept) == len(records):
        return data
    return batches.rebuilt(batch.base, kept) if kept else b""


def _records(data: bytes) -> list[Any]:
    """Return the records of a batch, which is kept as it is where nobody can read it: then none."""
    try:
        return list(batches.records(data))
    except Exception as error:  # whatever a producer put into it must not end the compaction
        log.warning("a batch is left as it is: %s", type(error).__name__)
        return []


def _batches(segment: LogSegment) -> Iterator[tuple[RecordBatch, bytes]]:
    for position, batch in segment.headers(0):
        yield batch, segment.read(position, batch.size)
