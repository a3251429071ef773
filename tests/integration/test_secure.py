"""SASL over TLS on Apache Kafka, end to end; the password shows nowhere."""

import asyncio
import subprocess
from collections.abc import Iterator

import pytest

from streams.kafka import create_topics
from streams.local.process import HOST, free_port
from tests.brokers import ApacheKafka, apache_missing
from tests.harness import Weir, make_events, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.skipif(bool(apache_missing()), reason=apache_missing())]
PASSWORD = "correct-horse-battery"
LISTENERS = """
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SECURE://127.0.0.1:%(secure)d
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:%(secure)d
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
listener.name.secure.ssl.keystore.type=PKCS12
listener.name.secure.ssl.keystore.location=%(keystore)s
listener.name.secure.ssl.keystore.password=keystore-password
listener.name.secure.sasl.enabled.mechanisms=PLAIN
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
required user_weir="%(password)s";
"""


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weir]:
    """Addresses of a broker with a TLS listener; roles connect with the right password."""
    folder = tmp_path_factory.mktemp("secure")
    keystore, certificate = folder / "server.p12", folder / "ca.pem"
    keys = ["-alias", "server", "-keystore", str(keystore), "-storepass", "keystore-password"]
    for command in (
        ["-genkeypair", "-keyalg", "EC", "-storetype", "PKCS12", "-dname", "CN=localhost",
         "-ext", "SAN=ip:127.0.0.1", "-validity", "2", *keys],
        ["-exportcert", "-rfc", "-file", str(certificate), *keys],
    ):  # fmt: skip
        subprocess.run(["keytool", *command], check=True, capture_output=True)
    port = free_port()
    values = {"secure": port, "keystore": str(keystore), "password": PASSWORD}
    broker = ApacheKafka(folder / "kafka", LISTENERS % values)
    broker.start()
    weir = Weir(
        f"{HOST}:{port}",
        folder,
        WEIR_KAFKA_SECURITY="SASL_SSL",
        WEIR_KAFKA_USERNAME="weir",
        WEIR_KAFKA_PASSWORD=PASSWORD,
        WEIR_KAFKA_CA_FILE=str(certificate),
        WEIR_KAFKA_SESSION_TIMEOUT_S="6",
    )
    try:
        yield weir
    finally:
        broker.stop()


def test_the_right_password_works_end_to_end(secure: Weir) -> None:
    asyncio.run(create_topics(secure.settings))
    role = secure.role("guard").start()
    try:
        secure.publish(make_events("sealed", 30))
        wait_until(lambda: len(secure.decisions("sealed")) == 30, "decisions")
    finally:
        assert role.stop() == 0
    assert PASSWORD not in role.log.read_text()
    assert PASSWORD not in repr(secure.settings)


def test_a_wrong_password_is_said_and_not_shown(secure: Weir) -> None:
    wrong = "not-the-password"
    for command in ("topics", "guard"):
        status, output = secure.run(command, WEIR_KAFKA_PASSWORD=wrong, WEIR_KAFKA_START_TIMEOUT_S="1")
        assert status == 1
        assert "Traceback" not in output
        assert "WEIR_KAFKA_PASSWORD" in output
        assert wrong not in output
        assert PASSWORD not in output


def test_an_unknown_certificate_is_refused(secure: Weir) -> None:
    status, output = secure.run("topics", WEIR_KAFKA_CA_FILE="")
    assert status == 1
    assert "Traceback" not in output
