"""No offset is given to two records, whatever became of the files of the broker."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from streams.kafka import decompression
from streams.local.broker import compaction, recovery
from streams.local.broker.batches import RecordBatch, intact
from streams.local.broker.given import RESERVED
from streams.local.broker.topics import Topics
from tests.streams.local.test_broker_partition import batch, opened, packed, values


def cut(data: bytearray, places: list[tuple[int, int]]) -> None:
    del data[places[-3][0] :]


def torn(data: bytearray, places: list[tuple[int, int]]) -> None:
    del data[places[-3][0] + 20 :]


def noise(data: bytearray, places: list[tuple[int, int]]) -> None:
    data[places[-3][0] + 20 :] = os.urandom(len(data) - places[-3][0] - 20)


def jumped(data: bytearray, places: list[tuple[int, int]]) -> None:
    data[places[-1][0] + 6] ^= 1


def jumped_far(data: bytearray, places: list[tuple[int, int]]) -> None:
    data[places[-1][0]] ^= 1


def emptied(data: bytearray, places: list[tuple[int, int]]) -> None:
    data.clear()


@pytest.mark.parametrize("stopped", [True, False])
@pytest.mark.parametrize("damage", [cut, torn, noise, jumped, jumped_far, emptied, None])
def test_no_offset_is_given_twice_whatever_became_of_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any, stopped: bool
) -> None:
    """After a clean stop, and after a crash, of which it is not known how many were given."""
    folder, places = tmp_path / "t-0", []
    log = opened(folder)
    for n in range(20):
        log.append(batch(b"%d" % n))
        places.append((log.segments[-1].position(n), log.segments[-1].size))
    path = log.segments[-1].path
    if stopped:
        log.close()
    if damage is None:
        shutil.rmtree(folder)
    else:
        data = bytearray(path.read_bytes())
        damage(data, places)
        path.write_bytes(data)
    again = opened(folder)
    # One that was cut between two records looks as if it had always ended there.
    known = stopped or damage is not cut
    assert again.append(batch(b"new")) >= (20 if known else 17)
    if stopped:
        assert again.end == 21
    assert again.end < 20 + 2 * RESERVED
    assert [value for value in values(again) if not value.isdigit()] == [b"new"]
    assert any("may have been given: it goes on there" in line for line in caplog.messages) or not known
    for each in (log, again):
        each.close()
    assert opened(folder).end == again.end


def test_a_crash_alone_leaves_no_gap(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(5):
        assert opened(tmp_path / "t-0").append(batch(b"%d" % n)) == n
    assert not caplog.messages


def test_a_topic_made_anew_begins_at_its_start(topics: Path) -> None:
    made = Topics(topics)
    made.delete("c")
    made.create("c", 1, {})
    made.grow("c", 2)
    assert [log.append(batch(b"new")) for log in made.partitions("c")] == [0, 0]
    made.close()


def test_a_damaged_offset_does_not_remove_other_segments(tmp_path: Path) -> None:
    config = {"segment_bytes": "400", "cleanup_policy": "compact"}
    log = opened(tmp_path, **config)
    for n in range(40):
        log.append(batch(b"%d" % n, key=b"%d" % n))
    first = log.segments[0]
    last = max(batch.last for _, batch in first.headers(0))
    position = first.position(last)
    log.close()
    data = bytearray(first.path.read_bytes())
    data[position + 5] ^= 1  # an offset behind those of all segments
    first.path.write_bytes(data)
    assert [int(each) for each in values(opened(tmp_path, **config))] == [n for n in range(40) if n != last]


def test_every_batch_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also before the gaps that compaction leaves."""
    log = opened(tmp_path, segment_bytes="4000", cleanup_policy="compact", min_cleanable_dirty_ratio="0.1")
    for n in range(100):
        log.append(batch(b"%d" % n, key=b"%d" % (n if n % 2 else 0)))
    paths = compaction.due(log)
    compaction.take_over(log, paths, compaction.compacted(paths, 0.0))
    log.close()
    checked = []

    def counting(data: bytes, head: RecordBatch) -> bool:
        checked.append(head.base)
        return intact(data, head)

    monkeypatch.setattr(recovery, "intact", counting)
    opened(tmp_path).segments[0].check()
    assert len(checked) == len(set(checked)) > 40


def test_a_time_in_a_batch_that_nobody_can_read_is_found(tmp_path: Path) -> None:
    decompression.install()
    log = opened(tmp_path)
    log.append(batch(b"a"))
    log.append(packed(b"x" * 400, b"2", damaged=True))
    assert log.at_time(1_000)[1] == 0
    log.delete_before(1)
    assert log.at_time(1_000) == (1_000, 1)
