"""A disk that is full loses nothing: the archive keeps its rows, and writes them when there is room again."""

import json
import random
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import codec, topics
from streams.local.broker import Broker
from streams.local.process import free_port
from tests.harness import PATIENCE_S, Weir, wait_until
from tests.streams.store.rows import scored

COUNT, TEXT = 2000, 4000
"""Rows, and characters of each; drawn at random, they shrink by a third at most."""
SIZE_MB = 5


@pytest.fixture
def weir(tmp_path: Path) -> Iterator[Weir]:
    """Broker, store and archive of its own, the store on a file system of a few MB."""
    folder = tmp_path / "clickhouse"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes a privilege that this user has not")
    with Broker(free_port(), tmp_path / "broker") as broker:
        running = Weir(broker.address, tmp_path, WEIR_ARCHIVE_ROWS="200")
        try:
            running.start_store()
            assert running.run("topics")[0] == running.run("migrate")[0] == 0
            running.roles["archive"] = running.role("archive").start()
            yield running
        finally:
            running.stop()
            subprocess.run(["umount", "-l", str(folder)], check=True)


def messages() -> Iterator[tuple[bytes, bytes]]:
    draw = random.Random(7)
    for number in range(COUNT):
        text = "".join(draw.choices(string.ascii_letters, k=TEXT))
        yield f"disk-{number}".encode(), codec.encode(scored(number, text=text))


def test_every_row_is_there_when_there_is_room_again(weir: Weir) -> None:
    archive = weir.roles["archive"]
    weir.send(topics.SCORES, messages())
    wait_until(lambda: archive.metric("weir_store_retries_total") > 2, "the disk is full", PATIENCE_S)
    rows = weir.rows("shop")
    assert 0 < rows < COUNT
    assert archive.lag() > 0, "what is not written is not acknowledged"
    assert json.loads(archive.get("healthz")[1])["degraded"] == ["store"]
    assert weir.store_child is not None
    weir.store_child.kill()
    weir.start_store()
    assert weir.rows("shop") >= rows, "it starts on a full disk, with all that it had acknowledged"
    folder = str(weir.directory / "clickhouse")
    subprocess.run(["mount", "-o", f"remount,size={SIZE_MB * 20}m", folder], check=True)
    weir.await_rows("shop", COUNT)
    assert "rows are kept" in archive.log.read_text()
    wait_until(lambda: archive.lag() == 0, "the archive is done")
    assert json.loads(archive.get("healthz")[1])["degraded"] == []
