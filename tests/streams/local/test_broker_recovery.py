"""What a disk or a loss of power has damaged costs the broker what is damaged and no more, and it says so."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.local.broker import compaction
from streams.local.broker.coordinator import Coordinator
from streams.local.broker.offsets import Offsets
from streams.local.broker.recovery import _WINDOW
from streams.local.broker.segments import KEPT_BYTES
from streams.local.broker.topics import Topics
from streams.local.broker.transactions import Transactions
from tests.streams.local.test_broker_partition import batch, opened, values, written

RECORDS = 60
Change = Callable[[bytearray, int, int], None]
"""Damages a file, given where the batch in its middle begins and ends."""


def flipped(at: int) -> Change:
    """Change one byte of the batch, counted from its start."""

    def change(data: bytearray, start: int, end: int) -> None:
        data[start + at] ^= 0x41

    return change


def zeroed(data: bytearray, start: int, end: int) -> None:
    data[start - 40 : start + 216] = bytes(256)


def endless(data: bytearray, start: int, end: int) -> None:
    data[start + 8 : start + 12] = b"\x7f\xff\xff\xff"


def far(data: bytearray, start: int, end: int) -> None:
    data[start : start + 8] = (10**15).to_bytes(8, "big")


def removed(data: bytearray, start: int, end: int) -> None:
    del data[start + 10 : start + 90]


def filled(folder: Path, **config: str) -> list[tuple[int, int, Path]]:
    """Write records of one byte more each; return where each batch begins and ends, and in which file."""
    log = opened(folder, **config)
    places = []
    for n in range(RECORDS):
        log.append(batch(b"%03d" % n + b"x" * n))
        segment = log.segments[-1]
        places.append((segment.position(n), segment.size, segment.path))
    log.close()
    return places


def numbers(folder: Path, **config: str) -> tuple[list[int], int]:
    """Return the records that are read, and where the next one is put."""
    log = opened(folder, **config)
    found = [int(value[:3]) for value in values(log)]
    end = log.append(batch(b"999"))
    assert values(log)[-1] == b"999"
    log.close()
    return found, end


@pytest.mark.parametrize("segment_bytes", ["1000000", "2000"])
@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (flipped(70), 1),
        *((flipped(at), 1) for at in (0, 6, 7, 8, 10, 11, 16, 17, 23, 60)),
        (zeroed, 4),
        (endless, 1),
        (far, 1),
        (removed, 1),
    ],
)
def test_damage_in_the_middle_costs_only_what_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, segment_bytes: str, change: Change, lost: int
) -> None:
    """In the segment that is written to, and in one before it."""
    places = filled(tmp_path, segment_bytes=segment_bytes)
    n = next(n for n in range(20, RECORDS) if places[n - 2][2] == places[n + 2][2])
    start, end, path = places[n]
    data = bytearray(path.read_bytes())
    change(data, start, end)
    path.write_bytes(data)
    before = path.stat().st_mtime_ns
    found, following = numbers(tmp_path, segment_bytes=segment_bytes)
    assert following == RECORDS
    gone = sorted(set(range(RECORDS)) - set(found))
    assert found == sorted(found)
    assert n in gone
    assert len(gone) <= lost
    (line,) = caplog.messages
    assert f"{path} is damaged, and intact before offset {gone[0]} and from {gone[-1] + 1} on" in line
    assert path.with_suffix(".torn").stat().st_size == len(data) - sum(
        places[k][1] - places[k][0] for k in found if places[k][2] == path
    )
    if path != places[-1][2]:
        assert path.stat().st_mtime_ns == before, "what is kept by age is kept no longer for it"
    caplog.clear()
    assert numbers(tmp_path, segment_bytes=segment_bytes)[0] == [*found, 999]
    assert not caplog.messages, "it is mended once"


@pytest.mark.parametrize("segment_bytes", ["1000000", "2000"])
@pytest.mark.parametrize("damage", ["half", "checksum", "zeros behind", "noise behind"])
def test_a_torn_end_is_cut_and_kept_beside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, segment_bytes: str, damage: str
) -> None:
    """Of a segment that is not the last one too: its records are a gap."""
    places = filled(tmp_path, segment_bytes=segment_bytes)
    path = places[20][2]
    last = max(n for n in range(RECORDS) if places[n][2] == path)
    start, end, _ = places[last]
    data = path.read_bytes()
    spoilt = {
        "half": data[:-30],
        "checksum": data[:-1] + b"!",
        "zeros behind": data + bytes(8_192),
        "noise behind": data + os.urandom(300),
    }[damage]
    path.write_bytes(spoilt)
    kept = last + 1 if "behind" in damage else last
    found, following = numbers(tmp_path, segment_bytes=segment_bytes)
    assert found == [n for n in range(RECORDS) if n < kept or n > last]
    assert following == RECORDS
    torn = end if "behind" in damage else start
    line = caplog.messages[0]
    assert (
        f"{path} ends in what is no whole batch: {len(spoilt) - torn} bytes at {torn}, from offset {kept}"
        in line
    )
    assert path.with_suffix(".torn").read_bytes() == spoilt[torn:]


def test_what_is_kept_of_damage_is_bounded_and_goes_with_its_segment(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / f"{0:020}.log"
    with path.open("ab") as file:
        file.truncate(path.stat().st_size + KEPT_BYTES + 1)
    assert len(numbers(tmp_path)[0]) == RECORDS
    (kept,) = tmp_path.glob("*.torn")
    assert kept.stat().st_size == KEPT_BYTES
    log = opened(tmp_path, retention_ms="60000")
    os.utime(path, (0, 0))
    log.retain()
    log.close()
    assert not kept.exists()


def test_what_looks_like_a_batch_within_a_damaged_one_is_no_record(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append(batch(b"a"))
    forged = bytearray(batch(b"forged"))
    forged[7] = 1
    log.append(batch(bytes(forged)))
    log.append(batch(b"b"))
    start = log.segments[0].position(1)
    log.close()
    data = bytearray(log.segments[0].path.read_bytes())
    data[start + 61] ^= 1
    log.segments[0].path.write_bytes(data)
    assert values(opened(tmp_path)) == [b"a", b"b"]


def test_intact_batches_are_found_far_behind_the_damage(tmp_path: Path) -> None:
    """Wherever a window of the search ends."""
    places = filled(tmp_path)
    start, _, path = places[30]
    data = path.read_bytes()
    for more in range(-20, 4):
        spoilt = data[:start] + b"\xff" * (_WINDOW + more) + data[start:]
        path.write_bytes(spoilt)
        log = opened(tmp_path)
        assert len(values(log)) == RECORDS
        log.close()
        assert path.read_bytes() == data


def test_compaction_loses_nothing_behind_damage(tmp_path: Path) -> None:
    config = {"segment_bytes": "400", "cleanup_policy": "compact", "min_cleanable_dirty_ratio": "0.1"}
    log = opened(tmp_path, **config)
    for n in range(40):
        log.append(batch(b"%d" % n, key=b"%d" % n))
    path = log.segments[1].path
    inside = log.segments[1].base
    log.close()
    data = bytearray(path.read_bytes())
    data[8] = 0x7F
    path.write_bytes(data)
    log = opened(tmp_path, **config)
    paths = compaction.due(log)
    compaction.take_over(log, paths, compaction.compacted(paths, 0.0))
    assert [int(value) for value in values(log)] == [n for n in range(40) if n != inside]


@pytest.mark.parametrize("left", ["[]", "null", '{"producers": []}', "[" * 100_000, None])
def test_repeats_are_known_whatever_became_of_the_file_beside_the_log(
    tmp_path: Path, left: str | None
) -> None:
    sent = written(tmp_path)
    (state,) = tmp_path.glob("*.json")
    state.unlink() if left is None else state.write_text(left)
    again = opened(tmp_path, segment_bytes="100")
    assert [again.append(data) for data in sent] == [0, 1, 2, 3]


def refusal(folder: Path) -> str:
    with pytest.raises(OSError, match="put back") as refused:
        Coordinator(folder, "127.0.0.1", 0)
    return str(refused.value)


@pytest.mark.parametrize("left", [None, "{}", "no c", "fewer"])
def test_records_without_their_topic_are_no_reason_to_begin_anew(topics: Path, left: str | None) -> None:
    file = topics / "topics.json"
    found = json.loads(file.read_text())
    match left:
        case None:
            file.unlink()
        case "{}":
            file.write_text("{}")
        case "no c":
            file.write_text(json.dumps({"a-b": found["a-b"]}))
        case "fewer":
            file.write_text(json.dumps({**found, "c": [1, *found["c"][1:]]}))
    assert f"{file} is missing or incomplete: " in refusal(topics)
    assert ("c-1" if left in ("no c", "fewer") else "4 folders") in refusal(topics)
    assert (topics / "c-1" / f"{0:020}.log").stat().st_size
    file.write_text(json.dumps(found))
    Coordinator(topics, "127.0.0.1", 0).close()


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        "[" * 100_000,
        '{"c": ["4", {}, null]}',
        '{"c": [2, {}, null]}',
        '{"c": [2, {}, "aa"]}',
        '{"c": [2, {}]}',
        '{"c": [0, {}, "00000000000000000000000000000000"]}',
        '{"c": [2, {"odd": "1"}, "00000000000000000000000000000000"]}',
        '{"c": [2, {"retention.ms": 1}, "00000000000000000000000000000000"]}',
        '{"../c": [2, {}, "00000000000000000000000000000000"]}',
        '{"c": 2}',
    ],
)
def test_topics_that_cannot_be_right_are_refused_with_what_to_do(topics: Path, text: str) -> None:
    (topics / "topics.json").write_text(text)
    assert f"{topics / 'topics.json'} is damaged: put back a copy of it" in refusal(topics)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        '{"next": "1", "ids": {}, "pending": {}}',
        '{"next": 1, "ids": {"a": 1}, "pending": {}}',
        '{"next": 1, "ids": {}, "pending": {"a": []}}',
        '{"next": 1, "ids": {}, "pending": {"a": {"g": [1]}}}',
    ],
)
def test_transactions_that_cannot_be_right_are_refused_with_what_to_do(topics: Path, text: str) -> None:
    path = topics / "transactions.json"
    path.write_text(text)
    offsets = Offsets(topics / "offsets.jsonl")
    with pytest.raises(OSError, match=r"transactions\.json is damaged: put back a copy of it"):
        Transactions(path, Topics(topics), offsets)
    offsets.close()


def test_transactions_are_found_again(topics: Path) -> None:
    before = Coordinator(topics, "127.0.0.1", 0)
    producer, epoch = before.transactions.new_producer("t", 60_000)
    request = {"transactional_id": "t", "producer": producer, "epoch": epoch, "group": "g"}
    before.transactions.offsets(request, {("c", 0): (1, ""), ("c", 1): (1, "")})
    before.close()
    again = Coordinator(topics, "127.0.0.1", 0)
    assert again.transactions.new_producer("t", 60_000) == (producer, epoch + 1)
    again.close()


def test_a_file_where_a_partition_belongs_is_named(topics: Path) -> None:
    shutil.rmtree(topics / "c-1")
    (topics / "c-1").touch()
    assert f"{topics / 'c-1'} is a file where the folder of a partition belongs" in refusal(topics)


def test_files_that_are_not_the_brokers_are_left_alone(topics: Path) -> None:
    (topics / "c-1" / "notes.log").write_text("x")
    Coordinator(topics, "127.0.0.1", 0).close()
    assert (topics / "c-1" / "notes.log").read_text() == "x"


def test_a_topic_may_be_called_deleted_and_a_deletion_that_was_cut_off_ends(tmp_path: Path) -> None:
    topics = Topics(tmp_path)
    topics.create("deleted-a", 1, {})
    topics.partition("deleted-a", 0).append(batch(b"value"))
    topics.close()
    left = tmp_path / "deleted-0123456789abcdef"
    shutil.copytree(tmp_path / "deleted-a-0", left)
    again = Topics(tmp_path)
    assert values(again.partition("deleted-a", 0)) == [b"value"]
    assert not left.exists()
    again.delete("deleted-a")
    assert not list(tmp_path.glob("deleted*"))
    again.close()
