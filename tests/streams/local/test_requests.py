"""Requests that no client should send get an answer that says why, and one line in the log."""

import http.client
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.local.clickhouse import start_clickhouse
from streams.local.process import HOST, free_port
from streams.store.token import find_token
from tests.streams.embedded_store import ask

FORM = "multipart/form-data"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    folder, port = tmp_path_factory.mktemp("requests"), free_port()
    child = start_clickhouse(folder, port)
    try:
        yield port, folder / "clickhouse.log"
        assert ask(f"http://{HOST}:{port}", "SELECT 1")[:2] == (200, "1\n")
    finally:
        child.stop()


def post(port: int, body: bytes, path: str = "/", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=20)
    key = {"X-ClickHouse-Key": find_token(f"http://{HOST}:{port}")}
    connection.request("POST", path, body, {**key, **{k.replace("_", "-"): v for k, v in headers.items()}})
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, text


@pytest.mark.parametrize("name", ["Npy", "Parquet", "JSON", "BSONEachRow", "Avro", "MySQLDump"])
def test_data_that_is_not_of_its_format_is_the_mistake_of_who_sent_it(
    store: tuple[int, Path], name: str
) -> None:
    status, text = post(store[0], f"SELECT * FROM format({name}, 'abc')".encode())
    assert status == 400
    assert text.startswith("Code: ")
    assert "codec" not in text


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"abc", FORM),
        (b"abc", f"{FORM}; boundary="),
        (b"abc", f"{FORM}; boundary=xx"),
        (b'--xx\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT 1', f"{FORM}; boundary=xx"),
    ],
)
def test_a_form_that_cannot_be_read(store: tuple[int, Path], body: bytes, kind: str) -> None:
    status, text = post(store[0], body, Content_Type=kind)
    assert status == 400
    assert "boundary" in text


@pytest.mark.parametrize("name", ["a%0d%0aX-Evil:%201", "a%00b", "a%0a"])
def test_a_query_id_that_no_header_can_hold(store: tuple[int, Path], name: str) -> None:
    status, text = post(store[0], b"SELECT 1", f"/?query_id={name}")
    assert (status, "query_id" in text) == (400, True)


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 1000",
        "Transfer-Encoding: chunked",
        f"Content-Length: 1000\r\nContent-Type: {FORM}; boundary=xx",
    ],
)
def test_a_client_that_leaves_within_its_body_is_one_line_of_the_log(
    store: tuple[int, Path], headers: str
) -> None:
    port, log = store
    before = len(log.read_text())
    key = find_token(f"http://{HOST}:{port}")
    with socket.create_connection((HOST, port)) as connection:
        head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nX-ClickHouse-Key: {key}\r\n{headers}\r\n\r\n"
        connection.sendall(head.encode() + (b"5\r\n--xx\n\r\n" if "chunked" in headers else b"--xx\r\n"))
        time.sleep(0.1)
    lines = _added(log, before)
    assert len(lines) == 1
    assert "ended before its body" in lines[0]


def test_what_is_no_http_is_one_line_of_the_log(store: tuple[int, Path]) -> None:
    port, log = store
    before = len(log.read_text())
    with socket.create_connection((HOST, port)) as connection:
        connection.sendall(
            f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode()
        )
        assert b" 40" in connection.recv(100)
    assert "Traceback" not in log.read_text()[before:]


def _added(log: Path, before: int) -> list[str]:
    deadline = time.monotonic() + 60
    while len(text := log.read_text()) == before and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.1)
    return log.read_text()[before:].splitlines() if text else []
