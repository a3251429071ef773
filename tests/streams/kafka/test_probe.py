"""What is said when WEIR_KAFKA is not what the settings say: with real sockets, and in time."""

import asyncio
import itertools
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from streams.errors import SettingsError
from streams.kafka.clients import BrokerError
from streams.kafka.topics import missing_topics
from streams.local.process import free_port
from streams.settings import Settings
from tests.streams.weir import forget_settings, run

SASL = {"kafka_username": "u", "kafka_password": "the-password"}
START_S = 20.0
"""Time enough to find out, on a busy machine too."""
SOON_S = 2.0
"""For what says nothing, which only time tells."""
LATE_S = 15.0
"""What a busy machine may take on top; without a limit of ours the client would take 40 seconds."""


@contextmanager
def listener(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that hands each connection to `handle`, in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                handle(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def silent(connection: socket.socket) -> None:
    while connection.recv(1024):
        pass


def banner(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
    silent(connection)


def hang_up(connection: socket.socket) -> None:
    connection.recv(1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key in one file."""
    folder = tmp_path_factory.mktemp("certificate")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=elsewhere",
    ]
    command += [
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(folder / "key"),
        "-out",
        str(folder / "crt"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key").read_text() + (folder / "crt").read_text())
    return both


def encrypted(
    certificate: Path, handle: Callable[[socket.socket], None], **options: int
) -> Callable[..., None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    for name, value in options.items():
        setattr(context, name, value)
    if options:
        context.load_verify_locations(certificate)

    def over_tls(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as inner:
            handle(inner)

    return over_tls


@contextmanager
def web_server() -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def settings_of(**options: Any) -> Settings:
    return Settings(_env_file=None, **options)


def said(
    port: int, security: str = "PLAINTEXT", host: str = "127.0.0.1", start_s: float = START_S, **options: Any
) -> str:
    """Return the error of a client; it must come within the start time-out."""
    if security.startswith("SASL"):
        options = SASL | options
    settings = settings_of(
        kafka=f"{host}:{port}",
        kafka_security=security,
        kafka_start_timeout_s=start_s,
        **options,
    )
    began = time.monotonic()
    with pytest.raises(BrokerError) as caught:
        asyncio.run(missing_topics(settings))
    assert time.monotonic() - began < start_s + LATE_S
    message = str(caught.value)
    assert "the-password" not in message
    assert f"no Kafka broker answers at {host}:{port}: " in message
    return message


@pytest.mark.parametrize("security", ["PLAINTEXT", "SSL", "SASL_SSL", "SASL_PLAINTEXT"])
def test_nothing_listens(security: str) -> None:
    assert "nothing listens there; start one with `weir up`, or set WEIR_KAFKA" in said(free_port(), security)


def test_no_such_host() -> None:
    assert "there is no host of this name" in said(9092, host="no-such-host.invalid")


@pytest.mark.parametrize("security", ["PLAINTEXT", "SSL", "SASL_SSL", "SASL_PLAINTEXT"])
def test_a_web_server(security: str) -> None:
    with web_server() as port:
        assert "a web server listens there; WEIR_KAFKA must be host:port" in said(port, security)


def test_a_server_that_is_too_busy_to_say_anything_is_asked_again() -> None:
    came = itertools.count()

    def busy(connection: socket.socket) -> None:
        if next(came) < len(("the client", "plain", "TLS", "plain", "TLS")):
            hang_up(connection)
        else:
            banner(connection)

    with listener(busy) as port:
        assert "what listens there does not speak Kafka" in said(port, "PLAINTEXT")


@pytest.mark.parametrize("security", ["PLAINTEXT", "SSL"])
def test_another_server(security: str) -> None:
    with listener(banner) as port:
        assert "what listens there does not speak Kafka" in said(port, security)


@pytest.mark.parametrize("security", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT"])
def test_a_server_that_takes_connections_and_says_nothing(security: str) -> None:
    with listener(silent) as port:
        message = said(port, security, start_s=SOON_S)
    assert "no answer within 2 s" in message
    assert "WEIR_KAFKA_SECURITY" in message


def test_a_server_that_hangs_up() -> None:
    with listener(hang_up) as port:
        assert "the connection ended" in said(port)
        assert "no TLS came about (ConnectionResetError), and WEIR_KAFKA_SECURITY is SSL" in said(port, "SSL")


def test_a_listener_with_tls_where_none_is_set(certificate: Path) -> None:
    with listener(encrypted(certificate, silent)) as port:
        for security in ("PLAINTEXT", "SASL_PLAINTEXT"):
            assert f"the listener speaks TLS, and WEIR_KAFKA_SECURITY is {security}" in said(port, security)


def test_a_certificate_that_is_not_trusted(certificate: Path) -> None:
    with listener(encrypted(certificate, silent)) as port:
        message = said(port, "SSL")
    assert "its certificate is not trusted (self-signed certificate); set WEIR_KAFKA_CA_FILE" in message


def test_a_certificate_for_another_name(certificate: Path) -> None:
    with listener(encrypted(certificate, silent)) as port:
        message = said(port, "SSL", host="localhost", kafka_ca_file=certificate)
    assert "its certificate is not trusted (Hostname mismatch" in message


def test_a_listener_that_asks_for_a_client_certificate(certificate: Path) -> None:
    with listener(encrypted(certificate, silent, verify_mode=ssl.CERT_REQUIRED)) as port:
        message = said(port, "SSL", kafka_ca_file=certificate)
    assert (
        "it asks for a client certificate (TLS); set WEIR_KAFKA_CERT_FILE and WEIR_KAFKA_KEY_FILE" in message
    )


@pytest.mark.parametrize("security", ["SSL", "SASL_SSL"])
def test_tls_where_the_listener_has_none(broker: str, security: str) -> None:
    message = said(int(broker.rpartition(":")[2]), security)
    assert f"the listener speaks no TLS, and WEIR_KAFKA_SECURITY is {security}; set it to" in message


def test_one_server_of_several_is_enough(broker: str) -> None:
    with listener(silent) as port:
        settings = settings_of(kafka=f"127.0.0.1:{port},127.0.0.1:{free_port()},{broker}")
        began = time.monotonic()
        asyncio.run(missing_topics(settings))
    assert time.monotonic() - began < settings.kafka_start_timeout_s


@pytest.mark.parametrize("name", ["kafka_ca_file", "kafka_cert_file"])
def test_a_file_that_is_no_certificate(tmp_path: Path, certificate: Path, name: str) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("secret-junk")
    files = {"kafka_ca_file": certificate, name: junk}
    settings = settings_of(kafka_security="SSL", **files)
    with pytest.raises(
        SettingsError, match=rf"WEIR_{name.upper()}.*junk\.pem is not what it should be, PEM"
    ) as caught:
        _ = settings.ssl_context
    assert "secret-junk" not in str(caught.value)


def test_a_key_with_a_password_is_not_asked_for_on_the_terminal(tmp_path: Path, certificate: Path) -> None:
    sealed = tmp_path / "sealed.pem"
    command = [
        "openssl",
        "rsa",
        "-aes128",
        "-passout",
        "pass:right",
        "-in",
        str(certificate),
        "-out",
        str(sealed),
    ]
    subprocess.run(command, check=True, capture_output=True)
    files = {"kafka_ca_file": certificate, "kafka_cert_file": certificate, "kafka_key_file": sealed}
    right = settings_of(kafka_security="SSL", kafka_key_password="right", **files)
    assert right.ssl_context
    for password in ("", "wrong"):
        wrong = settings_of(kafka_security="SSL", kafka_key_password=password, **files)
        with pytest.raises(SettingsError, match="WEIR_KAFKA_KEY_PASSWORD"):
            _ = wrong.ssl_context


@pytest.mark.parametrize(
    "command",
    [["topics"], ["tail", "decisions"], ["publish", "events.jsonl"], ["dlq", "list"], ["doctor"],
     ["up", "--no-broker", "--no-store"]],
    ids=" ".join,
)  # fmt: skip
def test_every_command_says_it_in_time(
    command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from streams.cli import COMMANDS

    if command[0] not in COMMANDS:
        pytest.skip(f"there is no command {command[0]}")
    forget_settings(monkeypatch, tmp_path)
    (tmp_path / "events.jsonl").write_text('{"event_id": "e", "app": "a", "kind": "prompt", "text": "t"}\n')
    for role in ("GUARD", "WATCH", "ARCHIVE", "GATE", "DESK"):
        monkeypatch.setenv(f"WEIR_{role}_PORT", str(free_port()))
    for role in ("GATE", "DESK"):
        monkeypatch.setenv(f"WEIR_{role}_LISTEN", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("WEIR_CLICKHOUSE", "http://127.0.0.1:1")
    monkeypatch.setenv("WEIR_KAFKA_START_TIMEOUT_S", "1")
    with listener(silent) as port:
        monkeypatch.setenv("WEIR_KAFKA", f"127.0.0.1:{port}")
        began = time.monotonic()
        outcome = run(*command)
    assert outcome.code == 1
    assert f"no Kafka broker answers at 127.0.0.1:{port}" in outcome.out + outcome.err
    assert time.monotonic() - began < 30
