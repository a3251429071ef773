"""A server nearby is asked directly, and for a bounded time whatever it does."""

import contextlib
import http.server
import itertools
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from streams.local.process import HOST, free_port
from streams.telemetry import client
from streams.telemetry.client import get

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@contextmanager
def saying(pieces: Iterable[bytes]) -> Iterator[str]:
    """A server that says the same to everybody, a piece at a time."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=say, args=(connection,), daemon=True).start()

    def say(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(1_000)
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.05)

    with socket.create_server((HOST, 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"{HOST}:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_an_answer_has_status_headers_and_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://{HOST}:9")
    with saying([b"HTTP/1.1 503 No\r\nX-A: b\r\nContent-Length: 4\r\n\r\nbusy"]) as address:
        reply = get(address, "/healthz", 5.0)
    assert (reply.status, reply.headers["x-a"], reply.body) == (503, "b", b"busy")


@pytest.mark.parametrize(
    "pieces",
    [
        itertools.chain([HEAD], itertools.repeat(b"x", 900)),
        itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"A: b\r\n", 900)),
        itertools.repeat(b"H", 900),
        itertools.repeat(b"", 100),
    ],
    ids=["body", "headers", "status", "silence"],
)
def test_a_server_that_drips_is_not_waited_for(pieces: Iterable[bytes]) -> None:
    began = time.monotonic()
    with saying(pieces) as address, pytest.raises(OSError):  # noqa: PT011 (of any kind)
        get(address, "/healthz", 0.3)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-x\r\n", b"\0\0\0\x10" * 9, HEAD + b"cut off"])
def test_what_is_no_whole_answer_is_an_error(said: bytes) -> None:
    with saying([said]) as address, pytest.raises(OSError):  # noqa: PT011 (of any kind)
        get(address, "/", 5.0)


UNTOLD = b"HTTP/1.1 200 OK\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n"


@pytest.mark.parametrize("head", [HEAD, UNTOLD, CHUNKED], ids=["length", "untold", "chunked"])
def test_what_is_larger_than_anything_of_ours_is_an_error(
    monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr(client, "MOST_BYTES", 100)
    with saying([head + b"x" * 1_000]) as address, pytest.raises(OSError, match="not the whole of it"):
        get(address, "/", 5.0)


@pytest.mark.parametrize("address", ["127.0.0.1 :80", "a host:80", "a\nb:80", "127.0.0.1:x"])
def test_what_is_no_address_is_an_error_as_others_are(address: str) -> None:
    with pytest.raises(OSError, match="no address of a server"):
        get(address, "/", 5.0)


def test_a_port_on_which_nobody_listens_is_told_as_such() -> None:
    with pytest.raises(ConnectionRefusedError):
        get(f"{HOST}:{free_port()}", "/", 5.0)


def test_an_address_of_ipv6_is_asked() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("there is no IPv6 here")

    class Server(http.server.HTTPServer):
        address_family = socket.AF_INET6

    with Server(("::1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert get(f"[::1]:{server.server_port}", "/", 5.0).status == 501
        thread.join()
