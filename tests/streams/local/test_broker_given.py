"""No offset is given to two records, whatever became of the files of the broker."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from streams.kafka import decompression
from streams.local.broker import batches, compaction, recovery
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


def jumped_far(data: bytearray, places: list[tuple[int, int]]) -> None:
    data[places[-1][0]] ^= 1


def emptied(data: bytearray, places: list[tuple[int, int]]) -> None:
    data.clear()


@pytest.mark.parametrize("stopped", [True, False])
@pytest.mark.parametrize("damage", [cut, torn, noise, jumped_far, emptied, None])
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


def stored(folder: Path, count: int) -> tuple[Path, list[int]]:
    """Append records of one batch each; return the file, and where each begins."""
    log = opened(folder)
    for n in range(log.end, count):
        log.append(batch(b"%d" % n))
    log.close()
    return log.segments[-1].path, [at for at, _ in opened(folder).segments[-1].headers(0)]


def found(folder: Path) -> tuple[list[int], int]:
    log = opened(folder)
    log.close()
    return [int(value) for value in values(opened(folder))], log.end


@pytest.mark.parametrize("damaged", [False, True])
def test_ends_older_than_the_log_cut_nothing_off(tmp_path: Path, *, damaged: bool) -> None:
    """As from an older copy of that file; also where a batch is damaged, and one is missing."""
    stored(tmp_path / "t-0", 10)
    ends = tmp_path / "ends" / "t-0"
    older = ends.read_text()
    path, starts = stored(tmp_path / "t-0", 30)
    gone = []
    if damaged:
        data, gone = bytearray(path.read_bytes()), [5, 28]
        data[starts[5] + 61] ^= 1
        del data[starts[28] : starts[29]]
        path.write_bytes(data)
    ends.write_text(older)
    assert found(tmp_path / "t-0") == ([n for n in range(30) if n not in gone], 30)


def test_ends_older_than_a_torn_log_give_no_offset_twice(tmp_path: Path) -> None:
    stored(tmp_path / "t-0", 10)
    ends = tmp_path / "ends" / "t-0"
    older = ends.read_text()
    path, starts = stored(tmp_path / "t-0", 30)
    os.truncate(path, starts[27] + 20)
    ends.write_text(older)
    assert found(tmp_path / "t-0") == (list(range(27)), 27 + RESERVED)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("missing", [range(8, 9), range(3, 9), range(9), range(2, 4)])
def test_an_intact_batch_behind_missing_ones_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, missing: range, known: bool
) -> None:
    path, starts = stored(tmp_path / "t-0", 10)
    data = bytearray(path.read_bytes())
    del data[starts[missing.start] : starts[missing.stop]]
    path.write_bytes(data)
    if not known:
        (tmp_path / "ends" / "t-0").unlink()
    assert found(tmp_path / "t-0") == ([n for n in range(10) if n not in missing], 10)
    (line,) = caplog.messages
    assert f"{path} has no records from offset {missing.start} to before {missing.stop}, " in line
    assert not path.with_suffix(".torn").exists()


@pytest.mark.parametrize("known", [False, True])
def test_a_last_batch_far_ahead_is_kept_where_its_offset_may_have_been_given(
    tmp_path: Path, *, known: bool
) -> None:
    path, starts = stored(tmp_path / "t-0", 10)
    data = bytearray(path.read_bytes())
    data[starts[9] : starts[9] + 8] = (10**6).to_bytes(8, "big")
    path.write_bytes(data)
    (tmp_path / "ends" / "t-0").write_text(f"0 {10**6 + 1}" if known else "0 10")
    assert found(tmp_path / "t-0") == (list(range(10 if known else 9)), 10**6 + 1 if known else 10)


@pytest.mark.parametrize("at", [6, 61])
def test_a_jump_of_an_offset_before_another_damaged_batch_loses_nothing_behind_it(
    tmp_path: Path, at: int
) -> None:
    """The other has the same jump, or is no whole batch."""
    path, starts = stored(tmp_path / "t-0", 10)
    data = bytearray(path.read_bytes())
    data[starts[3] + 6] ^= 1
    data[starts[4] + at] ^= 1
    path.write_bytes(data)
    assert found(tmp_path / "t-0") == ([0, 1, 2, 5, 6, 7, 8, 9], 10)


def test_a_last_offset_that_jumps_a_little_keeps_its_record(tmp_path: Path) -> None:
    """A flipped bit looks like missing batches: a gap costs less than the record."""
    path, starts = stored(tmp_path / "t-0", 10)
    data = bytearray(path.read_bytes())
    data[starts[9] + 6] ^= 1
    path.write_bytes(data)
    assert found(tmp_path / "t-0") == (list(range(10)), 256 + 10)
    assert opened(tmp_path / "t-0").append(batch(b"new")) == 256 + 10


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


def test_a_time_in_a_batch_that_nobody_can_read_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decompression.install()
    monkeypatch.setattr(batches, "_readable", lambda *_: True)  # an earlier version took them
    log = opened(tmp_path)
    log.append(batch(b"a"))
    log.append(packed(b"x" * 400, b"2", damaged=True))
    assert log.at_time(1_000)[1] == 0
    log.delete_before(1)
    assert log.at_time(1_000) == (1_000, 1)
