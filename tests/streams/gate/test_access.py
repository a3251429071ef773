"""Who comes in over TLS, and what is said of files that are none."""

import contextlib
import ssl
import subprocess
from pathlib import Path

import pytest
from aiohttp import ClientConnectionError, ClientSession, TCPConnector, web

from streams.errors import SettingsError
from streams.gate import certificate
from streams.gate.access import tls
from streams.gate.certificate import Certificate
from streams.settings import Settings


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    return made(tmp_path_factory.mktemp("tls"))


def made(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "crt", folder / "key"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=gate"
    )
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *more], check=True, capture_output=True)
    return certificate, key


def settings(certificate: Path, key: Path) -> Settings:
    return Settings(gate_cert_file=certificate, gate_key_file=key, _env_file=None)


async def test_with_a_certificate_there_is_tls_and_nothing_else(pair: tuple[Path, Path]) -> None:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(text="over TLS")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls(settings(*pair))).start()
    address = f"127.0.0.1:{runner.addresses[0][1]}"
    trusting = TCPConnector(ssl=ssl.create_default_context(cafile=pair[0]))
    try:
        async with ClientSession(connector=trusting) as http:
            async with http.get(f"https://{address}/") as response:
                assert await response.text() == "over TLS"
            with pytest.raises(ClientConnectionError):
                await http.get(f"http://{address}/")
    finally:
        await runner.cleanup()
    assert tls(Settings(_env_file=None)) is None


def test_files_that_are_no_certificate_are_named_before_anything_is_asked_for(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    certificate, key = pair
    junk, sealed = tmp_path / "junk", tmp_path / "sealed"
    junk.write_text("secret-junk")
    command = ["openssl", "ec", "-aes128", "-passout", "pass:right", "-in", str(key), "-out", str(sealed)]
    subprocess.run(command, check=True, capture_output=True)
    for files in ((junk, key), (certificate, junk), (certificate, sealed), (key, certificate)):
        with pytest.raises(SettingsError, match="WEIR_GATE_CERT_FILE, WEIR_GATE_KEY_FILE") as caught:
            tls(settings(*files))
        assert "secret-junk" not in str(caught.value)


def shown(context: ssl.SSLContext | None) -> str:
    """Return what a client sees of a server's certificate."""
    assert context is not None
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client, server = trusting.wrap_bio(there, back), context.wrap_bio(back, there, server_side=True)
    for side in (client, server, client):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return ssl.DER_cert_to_PEM_cert(client.getpeercert(binary_form=True) or b"").strip()


def test_a_certificate_whose_time_is_up_is_told_of(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Certificate(settings(*pair))
    assert "refuse" not in capsys.readouterr().out
    old = tmp_path / "old"
    renewing = ["openssl", "x509", "-in", *map(str, (pair[0], "-signkey", pair[1], "-days", -1, "-out", old))]
    subprocess.run(renewing, check=True, capture_output=True)
    Certificate(settings(old, pair[1]))
    said = capsys.readouterr().out
    assert "clients refuse the gate's certificate" in said
    assert "expired" in said


def test_a_certificate_that_is_renewed_is_taken_up_and_half_a_pair_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(certificate, "LOOK_S", 0.0)
    files = made(tmp_path)
    ours = Certificate(settings(*files))
    first = files[0].read_text().strip()
    assert shown(ours.context) == first
    (tmp_path / "other").mkdir()
    other = made(tmp_path / "other")
    other[0].rename(files[0])
    ours.look()
    assert "the last good one stays" in capsys.readouterr().out
    assert shown(ours.context) == first
    other[1].rename(files[1])
    ours.look()
    assert shown(ours.context) == files[0].read_text().strip() != first
