"""A store that sends a byte now and then holds nobody for longer than two time-outs."""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from schemas.events import Feedback
from streams.local.process import HOST
from streams.store.bounded import within
from streams.store.client import PATIENCE, Store
from streams.store.errors import RetryableStoreError
from tests.streams.telemetry.test_client import saying

TIMEOUT_S = 1
ROW = Feedback(
    feedback_id="f", event_id="e", app="a", reviewer="r", metric="toxicity", judgement="correct", timestamp=1
)
HEAD = b"HTTP/1.1 200 OK\r\nX-ClickHouse-Query-Id: 1\r\n"


class Drip:
    """Begins anew on each connection."""

    def __init__(self, head: bytes, piece: bytes) -> None:
        self.head, self.piece = head, piece

    def __iter__(self) -> Iterator[bytes]:
        return itertools.chain([self.head], itertools.repeat(self.piece))


@pytest.mark.parametrize(
    "pieces",
    [
        Drip(b"", b"H"),
        Drip(HEAD, b"X-ClickHouse-Progress: {}\r\n"),
        Drip(HEAD + b"Content-Length: 100000\r\n\r\n", b"1"),
        Drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        Drip(HEAD + b"\r\n", b"1"),
        Drip(HEAD.replace(b"200 OK", b"500 No") + b"\r\n", b"1"),
    ],
    ids=["status", "progress", "length", "chunks", "end", "error"],
)
def test_a_store_that_drips_is_given_up(pieces: Drip) -> None:
    with saying(pieces) as address:
        store = Store(f"http://{address}", password="x", timeout=TIMEOUT_S)
        asked: tuple[Callable[[], object], ...] = (
            lambda: store.insert([ROW], "t"),
            lambda: store.query("SELECT 1"),
            lambda: next(store.columns("SELECT 1")),
            store.migrate,
        )
        for ask in asked:
            began = time.monotonic()
            with pytest.raises(RetryableStoreError, match="no answer in time"):
                ask()
            assert time.monotonic() - began < PATIENCE * TIMEOUT_S + 2
        store.close()


def test_a_store_that_takes_no_rows_is_given_up() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        store = Store(f"http://{HOST}:{port}", password="x", timeout=TIMEOUT_S)
        with pytest.raises(RetryableStoreError, match="no answer in time"):
            store.query("SELECT 1 -- " + "x" * 20_000_000)
        store.close()


def test_a_deadline_within_another_ends_no_later_and_none_is_left(clickhouse: str) -> None:
    store = Store(clickhouse, database="default", timeout=30)
    with within(0.0), within(30.0), pytest.raises(RetryableStoreError, match="no answer in time"):
        store.query("SELECT 1")
    assert store.query("SELECT 1").rows == [(1,)]
    with within(5.0):
        others: list[int] = []
        other = threading.Thread(target=lambda: others.append(len(store.query("SELECT 1").rows)))
        other.start()
        other.join()
    assert others == [1]
    store.close()
