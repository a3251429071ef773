"""The log of a partition: what a crash, a full disk and its settings leave of it."""

import gzip
import json
import os
import resource
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from streams.kafka import decompression
from streams.local.broker import batches, compaction
from streams.local.broker.apis import Code, Fault
from streams.local.broker.config import Config
from streams.local.broker.partition import COMPACTION, Partition
from streams.local.broker.topics import Topics

EVERYTHING = 1 << 20


def batch(
    *values: bytes, key: bytes | None = None, producer: int = -1, sequence: int = -1, epoch: int = 0
) -> bytes:
    epoch = epoch if producer >= 0 else -1
    builder = DefaultRecordBatchBuilder(2, 0, 0, producer, epoch, sequence, EVERYTHING)
    for delta, value in enumerate(values):
        builder.append(delta, 1_000 + delta, key, value, [])
    return bytes(builder.build())


def opened(folder: Path, **config: str) -> Partition:
    return Partition(folder, Config({name.replace("_", "."): value for name, value in config.items()}))


def written(folder: Path) -> list[bytes]:
    """Return four batches of one producer that were appended, each to a segment of its own."""
    log = opened(folder, segment_bytes="100")
    sent = [batch(b"%d" % n, producer=7, sequence=n) for n in range(4)]
    for data in sent:
        log.append(data)
    log.close()
    return sent


def values(log: Partition, offset: int = 0) -> list[bytes]:
    found: list[bytes] = []
    while data := log.read(offset, EVERYTHING, committed=False, whole=True):
        position = 0
        while position < len(data):
            head = batches.header(data[position:])
            assert head is not None
            records = batches.records(data[position : position + head.size])
            found += [record.value for record in records if record.offset >= offset]
            position, offset = position + head.size, head.last + 1
    return found


def test_what_was_appended_is_there_when_opened_again(tmp_path: Path) -> None:
    log = opened(tmp_path, segment_bytes="300")
    offsets = [log.append(batch(b"%d" % n, b"more")) for n in range(20)]
    assert offsets == list(range(0, 40, 2))
    assert len(log.segments) > 3
    log.close()
    again = opened(tmp_path, segment_bytes="300")
    assert (again.start, again.end) == (0, 40)
    assert values(again, 38) == [b"19", b"more"]
    assert len(values(again)) == 40
    assert again.append(batch(b"x")) == 40


@pytest.mark.parametrize("cut", [1, 30, 60])
def test_half_a_batch_of_a_crash_is_cut_off(tmp_path: Path, cut: int) -> None:
    log = opened(tmp_path)
    for n in range(3):
        log.append(batch(b"%d" % n))
    log.close()
    path = log.segments[-1].path
    os.truncate(path, path.stat().st_size - cut)
    again = opened(tmp_path)
    assert again.append(batch(b"new")) == 3, "an offset that a record had is given to no other"
    assert values(again) == [b"0", b"1", b"new"]


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """Let no file grow beyond `size`, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_refuses_whole_batches_and_harms_none(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append(batch(b"before"))
    with full_at(200), pytest.raises(OSError, match=r"File too large|bytes written"):
        log.append(batch(b"x" * 500))
    assert log.append(batch(b"after")) == 1
    assert values(log) == [b"before", b"after"]
    log.close()
    assert values(opened(tmp_path)) == [b"before", b"after"]


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        (lambda data: data[:-1], Code.CORRUPT_MESSAGE),
        (lambda data: data[:40], Code.CORRUPT_MESSAGE),
        (lambda data: data[:-1] + b"!", Code.CORRUPT_MESSAGE),
        (lambda data: data + data, Code.CORRUPT_MESSAGE),
        (lambda data: data[:16] + b"\1" + data[17:], Code.UNSUPPORTED_FORMAT),
    ],
)
def test_what_no_consumer_could_read_is_refused(tmp_path: Path, spoilt: object, code: Code) -> None:
    log = opened(tmp_path)
    assert callable(spoilt)
    with pytest.raises(Fault) as refused:
        log.append(spoilt(batch(b"value")))
    assert refused.value.code == code
    assert log.end == 0


def made(payload: bytes, records: int, codec: int = 0, last_delta: int | None = None) -> bytes:
    """Return a batch with a right checksum, whatever is in it."""
    last = records - 1 if last_delta is None else last_delta
    rest = struct.pack(">hiqqqhii", codec, last, 1_000, 1_000, -1, -1, -1, records) + payload
    return struct.pack(">qiibI", 0, len(rest) + 9, 0, 2, calc_crc32c(rest)) + rest


def record(
    delta: int, key: bytes = b"\x02k", value: bytes = b"\x02v", headers: bytes = b"\0", *, longer: int = 0
) -> bytes:
    """Return a record; the lengths of key and value stand before them, as zigzag varints."""
    body = bytes([0, 0, 2 * delta]) + key + value + headers
    return bytes([2 * (len(body) + longer)]) + body


THREE = record(0) + record(1) + record(2)


# Each was sent to Apache Kafka 4.1.1, which refuses all but those marked.
@pytest.mark.parametrize("codec", [0, 1])
@pytest.mark.parametrize(
    ("records", "count", "last_delta"),
    [
        (THREE, 5, None),
        (THREE, 5, 2),
        (THREE, 2, None),
        (THREE, 2, 2),
        (THREE, 3, 7),
        (THREE, 3, 1),
        (THREE, 3, -1),
        (THREE, 0, None),
        (THREE, -1, None),
        (b"", 1, None),
        (THREE + b"\0", 3, None),
        (THREE[:-2], 3, None),
        (record(0, longer=90), 1, None),
        (record(0, longer=-1), 1, None),
        (b"\x01" + record(0)[1:], 1, None),
        (record(0, key=b"\x64k"), 1, None),
        (record(0, value=b"\x64v"), 1, None),
        (record(0, headers=b"\x01"), 1, None),
        (record(0, headers=b"\x0a"), 1, None),
        (record(0, headers=b"\x02\x01\0"), 1, None),
        (record(0, headers=b"\x02\x02\xff\0"), 1, None),  # taken there; our reader refuses it
        (record(0) + record(0) + record(0), 3, None),  # taken there where nothing is packed
        (record(0) + record(5) + record(9), 3, None),  # so is this
        (record(1) + record(2) + record(3), 3, None),  # and this
    ],
)
def test_a_batch_holds_what_its_header_says(
    tmp_path: Path, records: bytes, count: int, last_delta: int | None, codec: int
) -> None:
    decompression.install()
    log = opened(tmp_path)
    with pytest.raises(Fault) as refused:
        log.append(made(gzip.compress(records) if codec else records, count, codec, last_delta))
    assert refused.value.code == Code.INVALID_RECORD
    assert log.end == 0


@pytest.mark.parametrize(
    ("records", "count", "codec"),
    [
        (THREE, 3, 0),
        (gzip.compress(THREE), 3, 1),
        (record(0, key=b"\x01", value=b"\x01"), 1, 0),
        (record(0, key=b"\x09", value=b"\x05"), 1, 0),
        (record(0, headers=b"\x04\x02a\x01\x02b\x02c"), 1, 0),
        # Who reads it makes a dead letter of it.
        (gzip.compress(bytes(decompression.UNPACKED_BYTES + 1)), 3, 1),
    ],
)
def test_what_apache_kafka_takes_is_taken(tmp_path: Path, records: bytes, count: int, codec: int) -> None:
    decompression.install()
    assert opened(tmp_path).append(made(records, count, codec)) == 0


@pytest.mark.parametrize(
    ("codec", "payload"), [(1, THREE), (3, THREE), (5, THREE), (1, gzip.compress(THREE)[:-6])]
)
def test_what_no_codec_unpacks_is_refused(tmp_path: Path, codec: int, payload: bytes) -> None:
    decompression.install()
    with pytest.raises(Fault) as refused:
        opened(tmp_path).append(made(payload, 3, codec))
    assert refused.value.code == Code.INVALID_RECORD


def test_a_producer_counts_its_batches(tmp_path: Path) -> None:
    with pytest.raises(Fault) as refused:
        opened(tmp_path).append(batch(b"value", producer=7, sequence=-1))
    assert refused.value.code == Code.INVALID_RECORD


def test_a_part_of_a_batch_is_never_all_that_is_answered(tmp_path: Path) -> None:
    log = opened(tmp_path)
    data = batch(b"x" * 500)
    log.append(data)
    assert log.read(0, 100, committed=False, whole=False) == b""
    assert len(log.read(0, 100, committed=False, whole=True)) == len(data)


def test_retention_by_size_and_by_age(tmp_path: Path) -> None:
    log = opened(tmp_path / "size", segment_bytes="300", retention_bytes="600")
    for n in range(20):
        log.append(batch(b"%d" % n))
    log.retain()
    assert 5 < log.start < 20 == log.end
    assert values(log, log.start)[-1] == b"19"
    with pytest.raises(Fault):
        log.read(0, EVERYTHING, committed=False, whole=True)
    log = opened(tmp_path / "age", retention_ms="60000")
    log.append(batch(b"old"))
    log.retain()
    assert log.start == 0
    os.utime(log.segments[-1].path, (0, 0))
    log.retain()
    assert (log.start, log.end) == (1, 1)
    log.close()
    assert opened(tmp_path / "age").append(batch(b"new")) == 1


def test_a_clock_that_jumps_ahead_deletes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(tmp_path, segment_bytes="300", retention_ms=str(72 * 3_600_000))
    for n in range(20):
        log.append(batch(b"%d" % n))
    began, passed = time.time(), time.monotonic()
    for hours in (5, 73, 24 * 365, -5):
        monkeypatch.setattr("time.time", lambda hours=hours: began + 3_600 * hours)
        log.retain()
        assert (log.start, log.end) == (0, 20)
    for hours, left in ((71, 20), (73, 0)):
        monkeypatch.setattr("time.time", lambda hours=hours: began + 3_600 * hours)
        monkeypatch.setattr("time.monotonic", lambda hours=hours: passed + 3_600 * hours)
        log.retain()
        assert log.end - log.start == left, "the time has passed by every clock"


def test_a_repeat_is_known_after_a_restart_too(tmp_path: Path) -> None:
    sent = written(tmp_path)
    again = opened(tmp_path, segment_bytes="100")
    assert [again.append(data) for data in sent] == [0, 1, 2, 3]
    assert again.end == 4
    with pytest.raises(Fault) as refused:
        again.append(batch(b"gap", producer=7, sequence=9))
    assert refused.value.code == Code.OUT_OF_ORDER_SEQUENCE


@pytest.mark.parametrize("left", [b"", b'{"producers": {'])
def test_what_is_beside_the_log_may_be_torn(tmp_path: Path, left: bytes) -> None:
    sent = written(tmp_path)
    (state,) = tmp_path.glob("*.json")
    state.write_bytes(left)
    (tmp_path / "start").write_bytes(b"")
    again = opened(tmp_path, segment_bytes="100")
    assert [again.append(data) for data in sent] == [0, 1, 2, 3]
    assert values(again) == [b"0", b"1", b"2", b"3"]


def test_compaction_keeps_offsets_and_may_be_cut_off(tmp_path: Path) -> None:
    config = {"segment_bytes": "400", "cleanup_policy": "compact", "min_cleanable_dirty_ratio": "0.1"}
    log = opened(tmp_path, **config)
    for n in range(40):
        log.append(batch(b"%d" % n, key=b"%d" % (n % 3)))
    paths = compaction.due(log)
    assert paths == [segment.path for segment in log.segments[:-1]]
    target = compaction.compacted(paths, 0.0)
    kept = target.read_bytes()
    compaction.take_over(log, paths, target)
    assert not compaction.due(log)
    found = values(log)
    assert len(found) < 12
    assert found[-3:] == [b"37", b"38", b"39"]
    log.append(batch(b"x" * 400, key=b"0"))
    log.append(batch(b"x" * 400, key=b"0"))
    log.config.compaction_lag_s = 60.0
    assert not compaction.due(log), "what is young is left alone"
    found = values(log)
    log.close()
    # A crash after the first step leaves the segments that are in the first one already.
    stale = tmp_path / paths[2].name
    stale.write_bytes(kept)
    (tmp_path / COMPACTION).write_text(json.dumps([stale.name]))
    assert values(opened(tmp_path, **config)) == found
    assert not stale.exists()


def packed(value: bytes, key: bytes, *, damaged: bool = False) -> bytes:
    """Return a compressed batch; a damaged one has the right checksum."""
    builder = DefaultRecordBatchBuilder(2, 1, 0, -1, -1, -1, EVERYTHING)
    builder.append(0, 1_000, key, value, [])
    data = bytearray(builder.build())
    if damaged:
        data[batches.HEADER.size + 10 :] = bytes(len(data) - batches.HEADER.size - 10)
        data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
    return bytes(data)


def test_compaction_goes_on_when_a_clock_was_set_back(tmp_path: Path) -> None:
    log = opened(
        tmp_path, segment_bytes="400", cleanup_policy="compact", min_cleanable_dirty_ratio="0.1",
        min_compaction_lag_ms="60000",
    )  # fmt: skip
    for n in range(40):
        log.append(batch(b"%d" % n, key=b"%d" % (n % 3)))
    assert compaction.due(log) == [], "too young"
    tomorrow = time.time() + 24 * 3600
    for segment in log.segments:
        os.utime(segment.path, (tomorrow, tomorrow))
    assert compaction.due(log) == [segment.path for segment in log.segments[:-1]]


def test_compaction_leaves_alone_what_nobody_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a batch that unpacks to more memory than there is, and one that does not unpack."""
    decompression.install()
    monkeypatch.setattr(batches, "_readable", lambda *_: True)  # an earlier version took them
    log = opened(
        tmp_path, segment_bytes="400", cleanup_policy="compact", min_cleanable_dirty_ratio="0.1",
        max_message_bytes=str(1 << 20),
    )  # fmt: skip
    odd = packed(bytes(decompression.UNPACKED_BYTES), b"1"), packed(b"x" * 400, b"2", damaged=True)
    for n in range(20):
        log.append(batch(b"%d" % n, key=b"%d" % (n % 3)))
    for data in odd:
        log.append(data)
    for n in range(20, 40):
        log.append(batch(b"%d" % n, key=b"%d" % (n % 3)))
    paths = compaction.due(log)
    target = compaction.compacted(paths, 0.0)
    kept = target.read_bytes()
    assert all(data[16:] in kept for data in odd), "all but their offset and epoch"
    assert len(kept) < sum(map(len, odd)) + 1_000
    compaction.take_over(log, paths, target)
    assert log.end == 42


def test_a_compacted_log_that_is_written_for_ever_stays_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the settings of llm.state: what is younger than five minutes, and one record per key."""
    log = opened(
        tmp_path, cleanup_policy="compact", segment_ms="60000", min_cleanable_dirty_ratio="0.1",
        min_compaction_lag_ms="300000", max_compaction_lag_ms="600000",
    )  # fmt: skip
    now, keys, sizes = time.time(), 10, []
    for minute in range(60):
        for clock in ("time.time", "time.monotonic"):
            monkeypatch.setattr(clock, lambda at=now + 61 * minute: at)
        for key in range(keys):
            log.append(batch(b"x" * 1_000 + b"%d" % minute, key=b"%d" % key))
        os.utime(log.segments[-1].path, (now + 61 * minute,) * 2)
        log.retain()
        if paths := compaction.due(log):
            compaction.take_over(log, paths, compaction.compacted(paths, 3_600.0))
        sizes.append(sum(segment.size for segment in log.segments) / 1_000 / keys)
    assert max(sizes) < 10, "minutes of writing that are kept"
    assert values(log)[-keys:] == [b"x" * 1_000 + b"59"] * keys


def test_what_a_compaction_left_that_was_cut_off_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f"{0:020}.compacted"
    left.write_bytes(b"half")
    assert opened(tmp_path, cleanup_policy="compact").end == 0
    assert not left.exists()


def test_what_a_creation_has_left_is_not_in_the_topic_made_anew(tmp_path: Path) -> None:
    opened(tmp_path / "a-1").close()
    (tmp_path / "a-1" / "start").write_text("7")
    topics = Topics(tmp_path)
    topics.create("a", 2, {})
    assert [each.start for each in topics.partitions("a")] == [0, 0]
    topics.close()
