"""What the embedded store acknowledges is there: whatever fails at the end of an insert, it says so."""

import contextlib
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.local.clickhouse import start_clickhouse
from streams.local.process import HOST, Child, free_port
from streams.store.client import Store
from streams.store.errors import RetryableStoreError, RowError
from tests.streams.embedded_store import ask
from tests.streams.store.rows import scored
from tests.waiting import wait_until

SLOW = "SELECT count(sleepEachRow(1)) FROM numbers(30) SETTINGS max_block_size = 1, max_threads = 1"


class Running:
    """A store in a folder, that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._folder = folder
        self.child: Child = start_clickhouse(folder, self.port)

    def start_again(self) -> None:
        self.child.kill()
        self.child = start_clickhouse(self._folder, self.port)

    def count(self, table: str) -> int:
        return int(ask(self.url, f"SELECT count() FROM {table}")[1])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("acknowledged"))
    yield running
    running.child.kill()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MB."""
    command = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(tmp_path)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes a privilege that this user has not")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.mark.parametrize(
    ("form", "rows"),
    [("TSV", "1\n-1\n"), ("Values", "(1), (-1)"), ("JSONEachRow", '{"a": 1}\n{"a": -1}\n')],
)
def test_a_violated_constraint_is_said(store: Running, form: str, rows: str) -> None:
    ask(store.url, "CREATE TABLE c (a Int32, CONSTRAINT p CHECK a > 0) ENGINE = MergeTree ORDER BY a")
    status, text, _ = ask(store.url, rows, query=f"INSERT INTO c FORMAT {form}")
    assert (status, "VIOLATED_CONSTRAINT" in text, store.count("c")) == (500, True, 0)


def test_too_many_partitions_are_said(store: Running) -> None:
    ask(store.url, "CREATE TABLE p (a Int32) ENGINE = MergeTree ORDER BY a PARTITION BY a")
    rows = "".join(f"{number}\n" for number in range(101))
    status, text, headers = ask(store.url, rows, query="INSERT INTO p FORMAT TSV")
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (500, "252"), text
    assert store.count("p") == 0
    many = {"query": "INSERT INTO p FORMAT TSV", "max_partitions_per_insert_block": "0"}
    assert ask(store.url, rows, params=many)[0] == 200
    assert store.count("p") == 101


def test_a_view_that_fails_is_said(store: Running) -> None:
    ask(store.url, "CREATE TABLE source (a Int32) ENGINE = MergeTree ORDER BY a")
    ask(store.url, "CREATE TABLE target (a Int32, CONSTRAINT p CHECK a < 5) ENGINE = MergeTree ORDER BY a")
    ask(store.url, "CREATE MATERIALIZED VIEW v TO target AS SELECT a FROM source")
    status, text, _ = ask(store.url, "9\n", query="INSERT INTO source FORMAT TSV")
    assert (status, "pushing to view" in text) == (500, True), text
    assert ask(store.url, "3\n", query="INSERT INTO source FORMAT TSV")[0] == 200
    assert store.count("target") == 1


def test_rows_that_stop_in_the_middle_are_said(store: Running) -> None:
    ask(store.url, "CREATE TABLE r (a Int32, b String DEFAULT 'x') ENGINE = MergeTree ORDER BY a")
    whole = ask(store.url, "SELECT toInt32(1) AS a, 'abc' AS b FORMAT RowBinary")[1].encode()
    for rows in (whole + whole[:6], whole[:1]):
        assert ask(store.url, rows, query="INSERT INTO r FORMAT RowBinary")[0] >= 400
    assert store.count("r") == 0
    assert ask(store.url, b"", query="INSERT INTO r FORMAT RowBinary")[0] == 200
    for settings in ("", " SETTINGS async_insert = 1, wait_for_async_insert = 0"):
        assert ask(store.url, whole, query=f"INSERT INTO r{settings} FORMAT RowBinary")[0] == 200
    assert ask(store.url, '{"a": 7}', query="INSERT INTO r FORMAT JSONEachRow")[0] == 200
    assert ask(store.url, "SELECT a, b FROM r ORDER BY a")[1] == "1\tabc\n1\tabc\n7\tx\n"


@pytest.mark.parametrize(
    ("statement", "status", "rows"),
    [
        ("INSERT INTO i VALUES (1); INSERT INTO i VALUES (2)", 400, 0),
        ("INSERT INTO i SELECT a FROM input('a Int32') FORMAT TSV\n1\n", 500, 0),
        ("WITH 1 AS x INSERT INTO i VALUES (1)", 500, 0),
        ("# a note\n/* another */ INSERT INTO i VALUES (1); -- and a third", 200, 1),
        ("INSERT INTO i SELECT 1", 200, 1),
    ],
)
def test_no_row_is_overlooked(store: Running, statement: str, status: int, rows: int) -> None:
    ask(store.url, "CREATE OR REPLACE TABLE i (a Int32) ENGINE = MergeTree ORDER BY a")
    assert (ask(store.url, statement)[0], store.count("i")) == (status, rows)


def test_the_archive_keeps_or_bisects_what_is_refused(store: Running) -> None:
    """Only what no retry heals is a row's own fault."""
    archive = Store(store.url, database="kinds")
    archive.migrate(["toxicity", "injection"])
    archive.client.command("ALTER TABLE events_log ADD CONSTRAINT p CHECK toxicity < 2")
    with pytest.raises(RowError, match="VIOLATED_CONSTRAINT"):
        archive.insert([scored(1, scores={"toxicity": 3.0})], "t")
    archive.close()


def test_slow_queries_of_people_do_not_hold_up_the_archive(store: Running) -> None:
    """Neither the connection nor what it asks about the tables nor the insert waits for them."""
    first = Store(store.url, database="lanes")
    first.migrate(["toxicity", "injection"])
    first.close()
    for _ in range(12):  # more than there are threads
        threading.Thread(target=slow_query, args=(store.url,), daemon=True).start()
    time.sleep(0.5)
    started = time.monotonic()
    archive = Store(store.url, database="lanes")
    archive.insert([scored(1)], "t")
    archive.close()
    assert time.monotonic() - started < 25, "of the half a minute that they take"
    store.start_again()  # rather than wait for them
    assert store.count("lanes.events") == 1


def test_what_was_acknowledged_survives_a_kill_in_mid_insert(store: Running) -> None:
    ask(store.url, "CREATE TABLE k (a UInt64) ENGINE = MergeTree ORDER BY a")
    acknowledged: list[int] = []

    def write(first: int) -> None:
        for block in range(first, 1_000_000, 4):
            rows = "".join(f"{block * 1000 + row}\n" for row in range(1000))
            try:
                if ask(store.url, rows, query="INSERT INTO k FORMAT TSV")[0] != 200:
                    return
            except OSError:
                return
            acknowledged.append(block)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    wait_until(lambda: len(acknowledged) > 10, "some are acknowledged")
    store.child.kill()
    for writer in writers:
        writer.join()
    store.start_again()
    found = ask(store.url, "SELECT intDiv(a, 1000) AS block, count() FROM k GROUP BY block FORMAT TSV")[1]
    rows = dict(line.split("\t") for line in found.splitlines())
    assert all(rows.get(str(block)) == "1000" for block in acknowledged)


def test_on_a_full_disk_nothing_is_acknowledged_and_nothing_lost(small_disk: Path) -> None:
    """It refuses with errors that are retried, starts on a full disk, and takes all when there is room."""
    running = Running(small_disk / "store")
    archive = Store(running.url)
    try:
        archive.migrate(["toxicity", "injection"])
        batches = [[scored(n, text=random_text(n)) for n in range(k * 500, k * 500 + 500)] for k in range(40)]
        written, waiting = 0, []
        for number, batch in enumerate(batches):
            try:
                archive.insert(batch, f"t{number}")
                written += len(batch)
            except RetryableStoreError:
                waiting.append(number)
        assert waiting, "the disk was not full"
        assert written
        assert running.count("weir.events") == written
        running.start_again()
        assert running.count("weir.events") == written
        subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
        for number in waiting:
            archive.insert(batches[number], f"t{number}")
        assert running.count("weir.events_log") == 20_000
        assert running.count("weir.events") == 20_000
    finally:
        archive.close()
        running.child.kill()


def slow_query(url: str) -> None:
    """Ask what takes half a minute; the store may be gone before."""
    with contextlib.suppress(OSError):
        ask(url, SLOW)


def random_text(number: int) -> str:
    """Text that does not compress, 2 kB."""
    return random.Random(number).randbytes(1000).hex()
