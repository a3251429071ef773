"""Nothing in the outbox is lost: not by a broker that is away, a kill, a full disk or half a record."""

import asyncio
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.errors import WeirError
from streams.gate import outbox
from streams.gate.outbox import Outbox, OutboxFullError, Parcel
from streams.kafka.records import Message


class Sender:
    """A producer whose broker is away for the first `failures` calls."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.sent: list[tuple[str, Message]] = []

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def send(self, topic: str, messages: Sequence[Message]) -> None:
        if self.failures:
            self.failures -= 1
            raise KafkaConnectionError
        self.sent += [(topic, message) for message in messages]


def parcels(count: int, size: int = 10, topic: str = "t") -> list[Parcel]:
    return [Parcel(topic, b"%d" % number, b"x" * size) for number in range(count)]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"))


async def delivered(box: Outbox, sender: Sender) -> None:
    task = asyncio.create_task(box.deliver(sender))
    try:
        assert await box.flush(60)
    finally:
        task.cancel()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "RETRY_S", 0.001)


async def test_all_is_sent_in_order_once_the_broker_is_there(tmp_path: Path) -> None:
    box, sender = Outbox(tmp_path, 1 << 20), Sender(failures=3)
    box.append([*parcels(5, topic="a"), *parcels(5, topic="b")])
    assert not box.delivering
    await delivered(box, sender)
    assert box.delivering
    assert [key for topic, (key, _) in sender.sent if topic == "a"] == [b"%d" % n for n in range(5)]
    assert len(sender.sent) == 10
    box.close()
    assert files(tmp_path) == []


async def test_what_hangs_is_not_with_kafka_in_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client of Kafka tries for most of a minute before it says that no broker answers."""
    monkeypatch.setattr(outbox, "MOMENT_S", 0.05)
    may = asyncio.Event()

    class Hanging(Sender):
        async def send(self, topic: str, messages: Sequence[Message]) -> None:
            await may.wait()

    box = Outbox(tmp_path, 1 << 20)
    task = asyncio.create_task(box.deliver(Hanging()))
    try:
        while not box.delivering:  # noqa: ASYNC110 (until it is connected)
            await asyncio.sleep(0)
        box.append(parcels(1))
        while box.delivering:  # noqa: ASYNC110 (until the moment is over)
            await asyncio.sleep(0.01)
        may.set()
        assert await box.flush(60)
        assert box.delivering
    finally:
        task.cancel()
    box.close()


async def test_what_a_killed_process_left_is_sent_by_the_next(tmp_path: Path) -> None:
    box = Outbox(tmp_path, 1 << 20)
    box.append(parcels(3))
    os.close(box._lock)  # as the end of the process does
    with files(tmp_path)[0].open("ab") as file:
        file.write(b"\x50\x00\x00\x00half")
    again, sender = Outbox(tmp_path, 1 << 20), Sender()
    again.append([Parcel("t", b"new", b"")])
    await delivered(again, sender)
    assert [key for _, (key, _) in sender.sent] == [b"0", b"1", b"2", b"new"]
    again.close()


async def test_files_are_removed_when_they_are_delivered_and_a_large_record_goes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FILE_BYTES", 1_000)
    monkeypatch.setattr(outbox, "TIDY_BYTES", 500)
    monkeypatch.setattr(outbox, "SEND_BYTES", 300)
    box, sender = Outbox(tmp_path, 1 << 20), Sender()
    box.append(parcels(100, 50))
    box.append([Parcel("t", None, b"y" * 5_000)])
    box.append(parcels(1))
    await delivered(box, sender)
    assert len(sender.sent) == 102
    assert len(files(tmp_path)) == 1
    assert sum(path.stat().st_size for path in files(tmp_path)) < 1_000
    box.close()


def test_all_of_a_request_is_kept_or_none_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Outbox(tmp_path, 1_000)
    with pytest.raises(OutboxFullError, match="wait for Kafka"):
        box.append(parcels(100))
    assert box.waiting_bytes == 0
    box.append(parcels(2))
    before = box.waiting_bytes
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        return write(descriptor, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OutboxFullError, match="disk"):
        box.append(parcels(2))
    monkeypatch.undo()
    assert box.waiting_bytes == before
    assert sum(path.stat().st_size for path in files(tmp_path)) == before
    box.close()


def test_an_error_of_the_disk_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Outbox(tmp_path, 1_000)

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutboxFullError, match="No space left"):
        box.append(parcels(1))
    box.close()


def test_two_gates_do_not_share_a_folder(tmp_path: Path) -> None:
    box = Outbox(tmp_path, 1_000)
    with pytest.raises(WeirError, match="another gate: give each its own WEIR_GATE_OUTBOX"):
        Outbox(tmp_path, 1_000)
    box.close()
    Outbox(tmp_path, 1_000).close()


async def test_no_room_for_another_file_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FILE_BYTES", 200)
    monkeypatch.setattr(outbox, "TIDY_BYTES", 100)
    box, sender, opened = Outbox(tmp_path, 1 << 20), Sender(), os.open

    def full(path: Path, *given: int) -> int:
        if str(path).endswith(".log"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, *given)

    monkeypatch.setattr(os, "open", full)
    for _ in range(5):
        box.append(parcels(3))
    await delivered(box, sender)
    assert len(sender.sent) == 15
    monkeypatch.setattr(os, "open", opened)
    box.append(parcels(3))
    await delivered(box, sender)
    assert len(sender.sent) == 18
    box.close()
    assert files(tmp_path) == []


async def test_a_stand_in_is_sent_only_where_its_process_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "TIDY_BYTES", 100)
    box, sender = Outbox(tmp_path, 1 << 20), Sender()
    settled, full = Parcel("t", b"settled", b""), Parcel("t", b"full", b"")
    ticket = box.append(parcels(3), [settled])
    box.settle(ticket, [full])
    box.append(parcels(20), [Parcel("t", b"open", b"")])
    await delivered(box, sender)
    assert b"open" not in [key for _, (key, _) in sender.sent]
    assert [key for _, (key, _) in sender.sent[:4]] == [b"0", b"1", b"2", b"full"]
    assert sum(path.stat().st_size for path in files(tmp_path)) < 100, "the delivered file is gone"
    box.close()
    again, sender = Outbox(tmp_path, 1 << 20), Sender()
    await delivered(again, sender)
    assert [key for _, (key, _) in sender.sent] == [b"open"]
    again.close()
    assert files(tmp_path) == []


def test_a_disk_without_room_for_a_file_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def full(path: Path, *given: int) -> int:
        if str(path).endswith(".log"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, *given)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(WeirError, match=r"No space left on device.*WEIR_GATE_OUTBOX"):
        Outbox(tmp_path, 1_000)


async def test_nothing_to_send_is_no_unfinished_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box, sender = Outbox(tmp_path, 1 << 20), Sender()
    task = asyncio.create_task(box.deliver(sender))
    box.append([])
    for _ in range(10):
        await asyncio.sleep(0)
    box.append(parcels(1))
    assert await box.flush(10)
    task.cancel()
    box.close()
    assert "unfinished" not in capsys.readouterr().out
    assert len(sender.sent) == 1
