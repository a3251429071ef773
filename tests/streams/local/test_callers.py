"""What a web page can get out of the embedded store: nothing, by 40 kinds of requests or a real browser."""

import base64
import http.client
import http.server
import os
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from streams.local.clickhouse import start_clickhouse
from streams.local.process import HOST, free_port
from streams.store.token import find_token
from tests.streams.embedded_store import ask

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A store of its own with one table, `main.kept`, and its folder."""
    folder, port = tmp_path_factory.mktemp("callers"), free_port()
    child = start_clickhouse(folder, port)
    url = f"http://{HOST}:{port}"
    try:
        assert ask(url, "CREATE TABLE kept (a UInt8) ENGINE = MergeTree ORDER BY a")[0] == 200
        assert ask(url, "INSERT INTO kept VALUES (1)")[0] == 200
        yield url, folder
        assert child.running
    finally:
        child.stop()


class Sent(NamedTuple):
    """One request of a page on another site."""

    method: str
    parameters: dict[str, str]
    body: str
    headers: dict[str, str]

    def to(self, file: Path) -> "Sent":
        """Return the request that writes or touches `file`."""
        parameters = {key: value.replace("F'", f"{file}'") for key, value in self.parameters.items()}
        return self._replace(parameters=parameters, body=self.body.replace("F'", f"{file}'"))


PAGE = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
IMAGE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Referer": "http://evil.example/"}
OLD_IMAGE = {"Referer": "http://evil.example/"}  # a browser that sends no Sec-Fetch-Site
FORM = {**PAGE, "Content-Type": "application/x-www-form-urlencoded"}
TEXT = {**PAGE, "Content-Type": "text/plain;charset=UTF-8"}
OPAQUE = {"Origin": "null", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}
NEIGHBOUR = {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site", "Content-Type": "text/plain"}
REBOUND = {"Host": "evil.example:8123", "Sec-Fetch-Site": "same-origin"}
REBOUND_OLD = {"Host": "evil.example:8123"}
BOUNDARY = "multipart/form-data; boundary=x"
FIELD = '--x\r\nContent-Disposition: form-data; name="query"\r\n\r\nDROP TABLE kept\r\n--x--\r\n'
COMMAND = (
    "CREATE DICTIONARY x (a String, b String) PRIMARY KEY a SOURCE(EXECUTABLE(COMMAND 'touch F' FORMAT TSV)) "
    "LAYOUT(COMPLEX_KEY_DIRECT())"
)
PREFLIGHT = {**PAGE, "Access-Control-Request-Method": "POST"}

HOSTILE = [
    *(Sent("GET", {"query": "SELECT * FROM kept"}, "", h) for h in (PAGE, IMAGE, OLD_IMAGE, NEIGHBOUR)),
    *(Sent("GET", {"query": "SELECT * FROM kept"}, "", h) for h in (REBOUND, REBOUND_OLD)),
    *(Sent("GET", {"query": "DROP TABLE kept", "readonly": "0"}, "", h) for h in (IMAGE, OLD_IMAGE)),
    *(Sent("GET", {"query": "SELECT 1", "readonly": "2"}, "", h) for h in (PAGE, REBOUND)),
    *(Sent("GET", {"query": "SELECT * FROM file('/etc/passwd')"}, "", h) for h in (IMAGE, OLD_IMAGE)),
    *(Sent("GET", {"query": "SELECT 1 INTO OUTFILE 'F'"}, "", h) for h in (IMAGE, OLD_IMAGE, REBOUND)),
    *(Sent("GET", {"query": "SELECT * FROM url('http://evil.example')"}, "", h) for h in (IMAGE, REBOUND)),
    *(Sent("GET", {"query": COMMAND, "readonly": "0"}, "", h) for h in (IMAGE, OLD_IMAGE, REBOUND)),
    *(Sent("GET", {"query": "SELECT dictGet('x', 'b', tuple('1'))"}, "", h) for h in (IMAGE, REBOUND)),
    *(Sent("GET", {"query": "SYSTEM SHUTDOWN", "readonly": "0"}, "", h) for h in (IMAGE, OLD_IMAGE)),
    *(Sent("POST", {"query": "DROP TABLE kept"}, "x=1", h) for h in (FORM, TEXT, OPAQUE, NEIGHBOUR)),
    *(Sent("POST", {}, "DROP TABLE kept", h) for h in (TEXT, REBOUND, REBOUND_OLD, OLD_IMAGE)),
    *(Sent("POST", {}, FIELD, {**h, "Content-Type": BOUNDARY}) for h in (PAGE, OPAQUE, REBOUND, OLD_IMAGE)),
    *(Sent("POST", {}, COMMAND, h) for h in (TEXT, REBOUND)),
    *(Sent("POST", {"query": "INSERT INTO kept FORMAT TSV"}, "2\n", h) for h in (TEXT, REBOUND)),
    *(Sent("POST", {}, "SYSTEM SHUTDOWN", h) for h in (TEXT, OPAQUE)),
    *(Sent("POST", {}, "SELECT 1 INTO OUTFILE 'F'", h) for h in (TEXT, OLD_IMAGE)),
    Sent("OPTIONS", {}, "", PREFLIGHT),
    Sent("OPTIONS", {}, "", {**PREFLIGHT, "Access-Control-Request-Private-Network": "true"}),
    Sent("GET", {"query": "SELECT 1", "user": "default", "password": ""}, "", IMAGE),
    Sent("GET", {"query": "SELECT 1", "password": "weir_" + "0" * 48}, "", OLD_IMAGE),
]


def send(url: str, sent: Sent, **more: str) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=30)
    try:
        where = f"/?{urllib.parse.urlencode(sent.parameters)}"
        connection.request(sent.method, where, sent.body or None, {**sent.headers, **more})
        reply = connection.getresponse()
        return reply.status, reply.read().decode(), dict(reply.headers)
    finally:
        connection.close()


def is_untouched(url: str, folder: Path) -> bool:
    """Whether nothing was read, written or started."""
    rows = ask(url, "SELECT count() FROM kept")[:2] == (200, "1\n")
    return rows and not (folder / "F").exists() and ask(url, "EXISTS DICTIONARY x")[1] == "0\n"


@pytest.mark.parametrize("sent", HOSTILE)
def test_a_page_of_another_site_is_refused(store: tuple[str, Path], sent: Sent) -> None:
    """Also with `weir up` running, whatever the method, the kind of body and the settings."""
    url, folder = store
    assert len(HOSTILE) >= 40
    status, text, headers = send(url, sent.to(folder / "F"))
    assert status == 403
    assert "AUTHENTICATION_FAILED" in text
    assert not any(name.lower().startswith("access-control") for name in headers)
    assert is_untouched(url, folder)


@pytest.mark.parametrize(
    "sent", [sent for sent in HOSTILE if "Origin" in sent.headers or "Host" in sent.headers]
)
def test_the_token_does_not_help_a_page(store: tuple[str, Path], sent: Sent) -> None:
    """A page that got hold of the token is refused all the same, before anything of its request is read."""
    url, folder = store
    assert send(url, sent, **{"X-ClickHouse-Key": find_token(url)})[0] == 403
    assert is_untouched(url, folder)


@pytest.mark.parametrize("path", ["/ping", "/replicas_status", "/"])
def test_health_needs_no_token_but_is_none_of_a_pages_business(store: tuple[str, Path], path: str) -> None:
    url, _ = store
    assert ask(url, path=path, get=True, headers={"X-ClickHouse-Key": ""})[:2] == (200, "Ok.\n")
    assert ask(url, path=path, get=True, headers={"Origin": "http://evil.example"})[0] == 403
    assert ask(url, path=path, get=True, headers={"Host": "evil.example"})[0] == 403


def test_the_token_is_taken_where_clickhouse_takes_a_password(store: tuple[str, Path]) -> None:
    url, _ = store
    token, none = find_token(url), {"X-ClickHouse-Key": ""}
    basic = "Basic " + base64.b64encode(f"any:{token}".encode()).decode()
    for headers, params in (
        ({"X-ClickHouse-Key": token, "X-ClickHouse-User": "any"}, {}),
        ({**none, "Authorization": basic}, {}),
        (none, {"user": "any", "password": token}),
    ):
        assert ask(url, "SELECT 1", headers=headers, params=params)[:2] == (200, "1\n")
    for headers in (none, {"X-ClickHouse-Key": token[:-1]}, {**none, "Authorization": "Basic ?"}):
        status, text, found = ask(url, "SELECT 1", headers=headers)
        assert (status, found["X-ClickHouse-Exception-Code"]) == (403, "516")
        assert "`weir up` prints" in text


_SCRIPT = """<!doctype html><title>starting</title><body><form id=f method=post target=n
 action="%(url)s/?query=DROP+TABLE+kept"><input name=a value=b></form><iframe name=n></iframe><script>
const url = %(url)r, token = %(token)r, drop = "DROP TABLE kept";
const tries = [
  ["read", () => fetch(url + "/?query=SELECT+1")],
  ["token", () => fetch(url + "/?query=SELECT+1&password=" + token)],
  ["write", () => fetch(url + "/?password=" + token, {method: "POST", body: drop})],
  ["blind", () => fetch(url + "/?password=" + token, {method: "POST", mode: "no-cors", body: drop})],
  ["preflight", () => fetch(url, {method: "POST", headers: {"X-ClickHouse-Key": token}, body: drop})],
  ["rebound", () => fetch("http://rebound.example:%(port)s/?query=DROP+TABLE+kept&password=" + token)],
  ["ping", () => fetch(url + "/ping")],
];
document.getElementById("f").submit();
(async () => {
  const found = [];
  for (const [name, go] of tries) {
    try { const r = await go(); found.push(name + "=" + r.type + r.status); }
    catch { found.push(name + "=failed"); }
  }
  document.title = found.join(" ");
})();
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here (apt-get install chromium)")
def test_a_page_in_a_real_browser(store: tuple[str, Path], tmp_path: Path) -> None:
    """Served by this machine on another port, and it even knows the token."""
    url, folder = store
    page = _SCRIPT % {"url": url, "token": find_token(url), "port": urllib.parse.urlsplit(url).port}

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((HOST, 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        shown = subprocess.run(
            [
                str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=8000",
                f"--host-resolver-rules=MAP rebound.example {HOST}",
                "--dump-dom", f"http://localhost:{server.server_port}/",
            ],
            capture_output=True, text=True, timeout=90, env={**os.environ, "HOME": str(tmp_path)},
        ).stdout  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
    title = shown.partition("<title>")[2].partition("</title>")[0]
    expected = (
        "read=failed token=failed write=failed blind=opaque0 preflight=failed rebound=failed ping=failed"
    )
    assert title == expected, shown[:2000]
    assert is_untouched(url, folder)
