"""What lies beside the logs of the broker: committed offsets, producer ids, topics; damaged, missing, old."""

import asyncio
import shutil
from pathlib import Path

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from streams.local.broker.answers import Answers
from streams.local.broker.apis import Code
from streams.local.broker.coordinator import Coordinator
from streams.local.broker.offsets import Offsets
from streams.local.broker.topics import Topics
from tests.streams.local.test_broker_partition import batch


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    """A file in which group a has committed 100 and 200, and group b 7."""
    path = tmp_path / "offsets.jsonl"
    offsets = Offsets(path)
    offsets.commit("a", {("t", 0): (100, "")})
    offsets.commit("a", {("t", 0): (200, "")})
    offsets.commit("b", {("t", 0): (7, "x")})
    offsets.close()
    return path


@pytest.mark.parametrize(
    ("old", "new", "left"),
    [
        (b"200", b"900", 100),
        (b'"a", [["t", 0, 200', b'"a", [["t", "0", 200', 100),
        (b'["a", [["t", 0, 200', b"\xff\0\xfe", 100),
        (b'["b"', b'["c"', 200),
        (b'"x"', b"null", 200),
    ],
)
def test_damaged_commits_are_left_out_and_said(
    committed: Path, caplog: pytest.LogCaptureFixture, old: bytes, new: bytes, left: int
) -> None:
    committed.write_bytes(committed.read_bytes().replace(old, new))
    (damaged,) = [line for line in committed.read_bytes().splitlines(keepends=True) if new in line]
    offsets = Offsets(committed)
    assert offsets.of("a") == {("t", 0): (left, "")}
    assert offsets.of("b") == ({} if left == 200 else {("t", 0): (7, "x")})
    (line,) = caplog.messages
    assert f"{committed}: 1 damaged lines are left out and kept in {committed.with_suffix('.torn')}" in line
    assert committed.with_suffix(".torn").read_bytes() == damaged
    offsets.close()
    caplog.clear()
    Offsets(committed).close()
    assert not caplog.messages


def test_half_a_commit_of_a_crash_is_no_damage(committed: Path, caplog: pytest.LogCaptureFixture) -> None:
    committed.write_bytes(committed.read_bytes()[:-5])
    offsets = Offsets(committed)
    assert (offsets.of("a"), offsets.of("b")) == ({("t", 0): (200, "")}, {})
    assert not caplog.messages
    offsets.close()
    committed.write_bytes(bytes(4096))
    Offsets(committed).close()
    assert len(caplog.messages) == 1


def test_commits_without_a_checksum_are_read(tmp_path: Path) -> None:
    path = tmp_path / "offsets.jsonl"
    path.write_text('["a", [["t", 0, 5, ""]]]\n')
    offsets = Offsets(path)
    assert offsets.of("a") == {("t", 0): (5, "")}
    offsets.close()


def test_missing_offsets_are_said(topics: Path, caplog: pytest.LogCaptureFixture) -> None:
    Coordinator(topics, "127.0.0.1", 0).close()
    (topics / "offsets.jsonl").unlink()
    caplog.clear()
    Coordinator(topics, "127.0.0.1", 0).close()
    assert "offsets.jsonl is missing: every group begins where its client is set to" in caplog.text


@pytest.mark.parametrize("copy", [True, False])
def test_no_producer_id_is_given_twice_by_an_old_file(topics: Path, copy: bool) -> None:
    """What the second one sends would be taken for a repeat, and dropped."""
    file = topics / "transactions.json"
    before = Coordinator(topics, "127.0.0.1", 0)
    before.transactions.new_producer("t", 60_000)
    old = file.read_text()
    producer, epoch = before.transactions.new_producer("t", 60_000)
    lone, _ = before.transactions.new_producer(None, 0)
    log = before.topics.partition("c", 0)
    log.append(batch(b"a", producer=producer, epoch=epoch, sequence=0))
    log.append(batch(b"b", producer=lone, sequence=0))
    before.close()
    file.write_text(old) if copy else file.unlink()
    again = Coordinator(topics, "127.0.0.1", 0)
    assert again.transactions.new_producer(None, 0)[0] > lone
    assert not copy or again.transactions.new_producer("t", 60_000) == (producer, epoch + 1)
    again.close()


def test_nobody_waits_for_a_transaction_that_nobody_can_end(topics: Path) -> None:
    """As Apache Kafka refuses them: without a name, or of a producer that the name is not given to."""
    broker = Answers(topics, "127.0.0.1", 0)
    producer, epoch = broker.transactions.new_producer("t", 60_000)

    async def produced(name: str | None, producer: int, epoch: int) -> int:
        builder = DefaultRecordBatchBuilder(2, 0, 1, producer, epoch, 0, 1 << 20)
        builder.append(0, 1_000, None, b"value", [])
        parts = [{"index": 0, "records": bytes(builder.build())}]
        request = {"transactional_id": name, "topics": [{"name": "c", "partitions": parts}]}
        return int((await broker.produce(request, ""))["topics"][0]["partitions"][0]["error"])

    async def errors() -> list[int]:
        return [
            await produced(None, producer, epoch),
            await produced("other", producer, epoch),
            await produced("t", 12_345, epoch),
            await produced("t", -5, epoch),
            await produced("t", producer, epoch + 1),
        ]

    assert asyncio.run(errors()) == [
        Code.TRANSACTIONAL_ID_REFUSED,
        *[Code.INVALID_PRODUCER_ID_MAPPING] * 3,
        Code.INVALID_PRODUCER_EPOCH,
    ]
    log = broker.topics.partition("c", 0)
    assert log.stable == log.end == 1
    assert asyncio.run(produced("t", producer, epoch)) == Code.NONE
    assert (log.stable, log.end) == (1, 2)
    broker.transactions.new_producer("t", 60_000)
    assert log.stable == log.end
    broker.close()


def test_a_topic_that_cannot_be_made_is_not_there(tmp_path: Path) -> None:
    """Nor half of it, such as where no more files may be open."""
    made = Topics(tmp_path)
    (tmp_path / "a-1").touch()
    with pytest.raises(OSError, match="is a file where the folder"):
        made.create("a", 3, {})
    assert made.names() == []
    (tmp_path / "a-1").unlink()
    made.create("a", 1, {})
    (tmp_path / "a-2").touch()
    with pytest.raises(OSError, match="is a file where the folder"):
        made.grow("a", 4)
    assert len(made.partitions("a")) == 1
    (tmp_path / "a-2").unlink()
    made.close()
    again = Topics(tmp_path)
    again.grow("a", 4)
    assert len(again.partitions("a")) == 4
    again.close()


async def test_a_partition_that_cannot_be_tidied_keeps_no_other(
    topics: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Topics(topics)
    made.configure("a-b", {"segment.ms": "0"})
    made.configure("c", {"segment.ms": "0"})
    shutil.rmtree(topics / "a-b-0")
    await made.tidy()
    await made.tidy()
    assert [len(log.segments) for log in made.every()] == [1, 2, 2, 2]
    assert len(caplog.messages) == 1, "said once, not every second"
    made.close()
