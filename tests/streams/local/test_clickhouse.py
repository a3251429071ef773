import concurrent.futures
import gzip
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from streams.local.clickhouse import main, start_clickhouse
from streams.local.process import HOST, LocalServiceError, free_port
from streams.store.token import find_token
from tests.streams.embedded_store import ask


def connect(url: str, **options: Any) -> Client:
    parts = urlsplit(url)
    password = find_token(url)
    return clickhouse_connect.get_client(host=parts.hostname, port=parts.port, password=password, **options)


@pytest.fixture
def client(clickhouse: str) -> Iterator[Client]:
    name = f"test_{uuid.uuid4().hex}"
    connect(clickhouse).command(f"CREATE DATABASE {name}")
    client = connect(clickhouse, database=name)
    yield client
    client.command(f"DROP DATABASE {name}")
    client.close()


def test_health(clickhouse: str) -> None:
    for path in ("/", "/ping", "/replicas_status"):
        assert ask(clickhouse, get=True, path=path)[:2] == (200, "Ok.\n")


def test_a_query_in_the_url_in_the_body_and_in_both(clickhouse: str) -> None:
    assert ask(clickhouse, get=True, query="SELECT 1")[:2] == (200, "1\n")
    assert ask(clickhouse, statement=b"SELECT 2")[:2] == (200, "2\n")
    assert ask(clickhouse, statement=b"+ 2", query="SELECT 1")[:2] == (200, "3\n")


def test_the_format_comes_from_the_query_the_url_or_a_header(clickhouse: str) -> None:
    assert ask(clickhouse, get=True, query="SELECT 1 AS a FORMAT JSONEachRow")[1] == '{"a":1}\n'
    assert ask(clickhouse, get=True, query="SELECT 1 AS a", default_format="JSONEachRow")[1] == '{"a":1}\n'
    _, text, headers = ask(
        clickhouse, get=True, query="SELECT 1 AS a", headers={"X-ClickHouse-Format": "CSVWithNames"}
    )
    assert text == '"a"\n1\n'
    assert headers["X-ClickHouse-Format"] == "CSVWithNames"


def test_parameters_and_settings_in_the_url(clickhouse: str) -> None:
    assert ask(clickhouse, get=True, query="SELECT {x:String}", param_x="a'b;--")[1] == "a\\'b;--\n"
    assert ask(clickhouse, get=True, query="SELECT getSetting('max_threads')", max_threads="1")[1] == "1\n"
    _, _, headers = ask(clickhouse, get=True, query="SELECT 1", query_id="mine", database="system", user="u")
    assert headers["X-ClickHouse-Query-Id"] == "mine"
    summary = json.loads(headers["X-ClickHouse-Summary"])
    assert summary["read_rows"] == "1"


def test_settings_and_use_last_for_one_request(clickhouse: str) -> None:
    assert ask(clickhouse, statement=b"USE system")[0] == 200
    assert ask(clickhouse, get=True, query="SELECT currentDatabase()")[1] == "main\n"
    before = ask(clickhouse, get=True, query="SELECT getSetting('max_threads')")[1]
    assert ask(clickhouse, get=True, query="SELECT 1", max_threads="1")[0] == 200
    assert ask(clickhouse, get=True, query="SELECT getSetting('max_threads')")[1] == before


@pytest.mark.parametrize(
    ("query", "status", "code", "text"),
    [
        ("SELEC 1 2", 400, "62", "Syntax error"),
        ("SELECT * FROM nowhere", 404, "60", "nowhere"),
        ("SELECT nothing", 404, "47", "nothing"),
        ("SELECT throwIf(1)", 500, "395", "throwIf"),
        ("CREATE TABLE t (a Int8) ENGINE = Memory", 500, "164", "readonly"),
    ],
)
def test_errors_have_the_status_the_code_and_the_text(
    clickhouse: str, query: str, status: int, code: str, text: str
) -> None:
    answer, body, headers = ask(clickhouse, get=True, query=query)
    assert (answer, headers["X-ClickHouse-Exception-Code"]) == (status, code)
    assert body.startswith(f"Code: {code}. DB::Exception: ")
    assert text in body
    assert "(version " in body


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"nope": "1"}, "Unknown setting"),
        ({"a b": "1"}, "Unknown setting"),
        ({"database": "nowhere"}, "nowhere"),
        ({"decompress": "1"}, "not supported"),
    ],
)
def test_what_is_wrong_beside_the_query(clickhouse: str, params: dict[str, str], text: str) -> None:
    status, body, _ = ask(clickhouse, statement=b"SELECT 1", params=params)
    assert 400 <= status < 500
    assert text in body


def test_an_insert_like_curl_does_it(client: Client, clickhouse: str) -> None:
    client.command("CREATE TABLE t (a UInt32, b String) ENGINE = MergeTree ORDER BY a")
    where = client.database or ""
    assert (
        ask(clickhouse, statement=b"1\tx\n2\ty\n", query="INSERT INTO t FORMAT TSV", database=where)[0] == 200
    )
    assert ask(clickhouse, statement=b"INSERT INTO t VALUES (3, 'a;b')", database=where)[0] == 200
    packed = gzip.compress(b'{"a": 4}\n') + gzip.compress(b'{"a": 5}\n')
    answer = ask(
        clickhouse,
        statement=packed,
        headers={"Content-Encoding": "gzip"},
        query="INSERT INTO t FORMAT JSONEachRow",
        database=where,
    )
    assert answer[0] == 200
    assert json.loads(answer[2]["X-ClickHouse-Summary"])["written_rows"] == "2"
    assert ask(clickhouse, statement=b"x", query="INSERT INTO t FORMAT TSV", database=where)[0] == 400
    assert client.query("SELECT a, b FROM t ORDER BY a").result_rows == [
        *[(1, "x"), (2, "y"), (3, "a;b")],
        *[(4, ""), (5, "")],
    ]


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
def test_clickhouse_connect_inserts_of_many_blocks(
    client: Client, clickhouse: str, compress: str | bool
) -> None:
    """Every block arrives: a wide insert is cut into blocks, each compressed by itself."""
    width = 60
    columns = ", ".join(f"f{i} Nullable(Float32)" for i in range(width))
    client.command(f"CREATE TABLE wide (id UInt32, {columns}) ENGINE = MergeTree ORDER BY id")
    rows = 20_000
    data: list[list[int | float | None]] = [
        list(range(rows)),
        *([0.5] * (rows - 1) + [None] for _ in range(width)),
    ]
    sender = connect(clickhouse, database=client.database or "", compress=compress)
    summary = sender.insert("wide", data, column_oriented=True)
    assert summary.written_rows == rows
    assert client.query("SELECT count(), sum(id), sum(f59), count(f0) FROM wide").result_rows == [
        (rows, rows * (rows - 1) // 2, (rows - 1) / 2, rows - 1)
    ]
    sender.close()


def test_clickhouse_connect_queries(client: Client) -> None:
    assert client.query("SELECT 1 AS a, 'x' AS b").named_results().__next__() == {"a": 1, "b": "x"}
    empty = client.query("SELECT 1 AS a, 'x' AS b WHERE 0")
    assert (empty.column_names, empty.result_rows) == (("a", "b"), [])
    assert client.query("SELECT 1 AS a LIMIT 0").column_names == ("a",)
    assert client.query("SELECT {x:Array(String)}", parameters={"x": ["a", "b'"]}).result_rows == [
        (["a", "b'"],)
    ]
    assert client.command("SELECT count() FROM numbers(10)") == 10
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        client.query("SELECT * FROM nowhere")


def test_a_large_result_is_streamed(client: Client, clickhouse: str) -> None:
    with client.query_column_block_stream("SELECT number FROM numbers(3000000)") as stream:
        assert sum(sum(block[0]) for block in stream) == 3_000_000 * 2_999_999 // 2
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        ask(clickhouse, get=True, query="SELECT throwIf(number = 5000000) FROM numbers(10000000)")


def test_a_retry_under_the_same_token_adds_nothing(client: Client) -> None:
    client.command(
        "CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a"
        " SETTINGS non_replicated_deduplication_window = 10"
    )
    for token in ("x", "x", "y"):
        client.insert("t", [[1]], column_names=["a"], settings={"insert_deduplication_token": token})
    assert client.command("SELECT count() FROM t") == 2


def test_reads_while_rows_arrive(client: Client, clickhouse: str) -> None:
    client.command("CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")

    def write(number: int) -> None:
        own = connect(clickhouse, database=client.database or "")
        own.insert("t", [[i] for i in range(number * 1000, number * 1000 + 1000)], column_names=["a"])
        own.close()

    def read(_: int) -> bool:
        return ask(clickhouse, get=True, query=f"SELECT count() FROM {client.database}.t")[0] == 200

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        writes, reads = pool.map(write, range(12)), pool.map(read, range(24))
        assert list(writes) == [None] * 12
        assert all(reads)
    assert client.query("SELECT count(), uniqExact(a) FROM t").result_rows == [(12_000, 12_000)]


def test_clients_that_leave_early_block_nobody(tmp_path: Path) -> None:
    port = free_port()
    store = start_clickhouse(tmp_path, port)
    try:
        query = b"SELECT number FROM numbers(100000000)"
        key = f"X-ClickHouse-Key: {find_token(f'http://{HOST}:{port}')}"
        head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\n{key}\r\nContent-Length: {len(query)}\r\n\r\n"
        for _ in range(20):  # more than there are threads
            with socket.create_connection((HOST, port)) as leaver:
                leaver.sendall(head.encode() + query)
                assert leaver.recv(1000).startswith(b"HTTP/1.1 200")
        assert ask(f"http://{HOST}:{port}", get=True, query="SELECT 1")[:2] == (200, "1\n")
        assert store.stop() == 0
        assert store.log_tail() == ""
    finally:
        store.stop()


def test_rows_survive_a_stop_and_a_kill(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    create = b"CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a"
    store = start_clickhouse(tmp_path, port)
    try:
        assert ask(url, statement=create)[0] == 200
        assert ask(url, statement=b"INSERT INTO t VALUES (1)")[0] == 200
        assert store.stop() == 0
        store = start_clickhouse(tmp_path, port)
        assert ask(url, get=True, query="SELECT a FROM t")[1] == "1\n"
        assert ask(url, statement=b"INSERT INTO t VALUES (2)")[0] == 200
        os.kill(store.pid, signal.SIGKILL)
        store.stop()
        store = start_clickhouse(tmp_path, port)
        assert ask(url, get=True, query="SELECT a FROM t ORDER BY a")[1] == "1\n2\n"
        with pytest.raises(LocalServiceError, match=f"{tmp_path} is in use by process {store.pid}"):
            start_clickhouse(tmp_path, free_port())
        with pytest.raises(LocalServiceError, match=f"port {port} .* WEIR_CLICKHOUSE"):
            start_clickhouse(tmp_path / "other", port)
    finally:
        store.stop()


def test_its_command_line_explains_itself(
    clickhouse: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = str(urlsplit(clickhouse).port)
    assert main(["--path", str(tmp_path), "--port", port]) == 2
    assert f"port {port}" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["--path", str(tmp_path / "file" / "x"), "--port", str(free_port())]) == 2
    assert "cannot use the data directory" in capsys.readouterr().err
    run = [sys.executable, "-m", "streams.local.clickhouse", "--help"]
    assert "--path" in subprocess.run(run, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("left", ["token", "access", "metadata/weir.sql"])
def test_files_that_cannot_be_used_are_named_without_a_traceback(tmp_path: Path, left: str) -> None:
    file = tmp_path / left
    file.parent.mkdir(exist_ok=True)
    file.write_text("garbage")
    with pytest.raises(LocalServiceError, match=r"The embedded store cannot run on .*:") as refused:
        start_clickhouse(tmp_path, free_port()).stop()
    assert left.partition("/")[0] in str(refused.value)
    assert "Traceback" not in str(refused.value)
