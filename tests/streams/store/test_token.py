"""The token: made once, readable by its user alone, and given to nobody who does not know it."""

import http.server
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.errors import WeirError
from streams.local.process import HOST, free_port
from streams.store.token import FILE_HEADER, PROOF_HEADER, find_token, make_token, proof


def test_it_is_made_once_for_its_user_alone(tmp_path: Path) -> None:
    token = make_token(tmp_path)
    path = tmp_path / "token"
    assert path.read_text() == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert make_token(tmp_path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert make_token(tmp_path / "..") != token
    (tmp_path / ".." / "token").unlink()


def test_what_is_no_token_is_said_and_what_a_full_disk_left_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("")
    assert make_token(tmp_path).startswith("weir_")
    (tmp_path / "token").write_text("hunter2")
    with pytest.raises(WeirError, match="holds no token: remove it"):
        make_token(tmp_path)


@contextmanager
def listener(answer: Callable[[str], dict[str, str]]) -> Iterator[str]:
    """Whoever listens on a port; `answer` gives the headers for a nonce."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in answer(self.path.partition("nonce=")[2]).items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer((HOST, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_it_is_found_where_the_store_proves_that_it_knows_it(tmp_path: Path) -> None:
    token = make_token(tmp_path)
    known: dict[str, str] = {FILE_HEADER: str(tmp_path / "token")}
    port = free_port()
    with listener(lambda nonce: known | {PROOF_HEADER: proof(token, nonce, port)}) as url:
        assert find_token(url) == ""  # passed on from a store at another port
        port = int(url.rpartition(":")[2])
        assert find_token(url) == token
        assert find_token(f"{url}/") == token
        assert find_token(url.replace("http:", "https:")) == ""


@pytest.mark.parametrize("headers", [{}, {PROOF_HEADER: "x"}, {PROOF_HEADER: "é"}])
def test_it_is_not_given_to_who_only_says_where_it_is(tmp_path: Path, headers: dict[str, str]) -> None:
    make_token(tmp_path)
    with listener(lambda _: {FILE_HEADER: str(tmp_path / "token"), **headers}) as url:
        assert find_token(url) == ""


def test_no_other_file_is_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("root:x:0:0")
    for path in (str(tmp_path / "token"), "/etc/passwd", "", "\x00", str(tmp_path / "none" / "token")):
        with listener(lambda _, path=path: {FILE_HEADER: path}) as url:  # type: ignore[misc]
            assert find_token(url) == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://clickhouse:8123", "http://127.0.0.1", "x"])
def test_none_is_looked_for_where_none_can_be(url: str) -> None:
    assert find_token(url) == ""
