"""SASL over TLS on Apache Kafka, end to end; the password shows nowhere."""

import asyncio
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from streams.kafka.clients import BrokerError
from streams.kafka.topics import create_topics, missing_topics
from streams.local.process import HOST, free_port
from tests.brokers import ApacheKafka, apache_missing
from tests.harness import Weir, make_events, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.skipif(bool(apache_missing()), reason=apache_missing())]
PASSWORD = "correct-horse-battery"
LISTENERS = """
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SECURE://127.0.0.1:%(secure)d,LOST://127.0.0.1:%(lost)d
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:%(secure)d,LOST://127.0.0.1:1
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,LOST:PLAINTEXT
listener.name.secure.ssl.keystore.type=PKCS12
listener.name.secure.ssl.keystore.location=%(keystore)s
listener.name.secure.ssl.keystore.password=keystore-password
listener.name.secure.sasl.enabled.mechanisms=PLAIN
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
required user_weir="%(password)s";
"""


class Secure(Weir):
    """Its other listeners: without TLS, and one that clients are sent away from to a port that is closed."""

    plain = ""
    lost = ""


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
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
    values = {"secure": port, "lost": free_port(), "keystore": str(keystore), "password": PASSWORD}
    broker = ApacheKafka(folder / "kafka", LISTENERS % values)
    broker.start()
    weir = Secure(
        f"{HOST}:{port}",
        folder,
        WEIR_KAFKA_SECURITY="SASL_SSL",
        WEIR_KAFKA_USERNAME="weir",
        WEIR_KAFKA_PASSWORD=PASSWORD,
        WEIR_KAFKA_CA_FILE=str(certificate),
        WEIR_KAFKA_SESSION_TIMEOUT_S="6",
    )
    try:
        weir.plain, weir.lost = broker.address, f"{HOST}:{values['lost']}"
        yield weir
    finally:
        broker.stop()


def test_the_right_password_works_end_to_end(secure: Secure) -> None:
    asyncio.run(create_topics(secure.settings))
    role = secure.role("guard").start()
    try:
        secure.publish(make_events("sealed", 30))
        wait_until(lambda: len(secure.decisions("sealed")) == 30, "decisions")
    finally:
        assert role.stop() == 0
    assert PASSWORD not in role.log.read_text()
    assert PASSWORD not in repr(secure.settings)


def test_a_wrong_password_is_said_and_not_shown(secure: Secure) -> None:
    wrong = "not-the-password"
    for command in ("topics", "guard"):
        status, output = secure.run(command, WEIR_KAFKA_PASSWORD=wrong, WEIR_KAFKA_START_TIMEOUT_S="1")
        assert status == 1
        assert "Traceback" not in output
        assert "WEIR_KAFKA_PASSWORD" in output
        assert wrong not in output
        assert PASSWORD not in output


def test_an_unknown_certificate_is_refused(secure: Secure) -> None:
    status, output = secure.run("topics", WEIR_KAFKA_CA_FILE="")
    assert status == 1
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("listener", "options", "words"),
    [
        ("plain", {"kafka_security": "SSL"}, "the listener speaks no TLS, and WEIR_KAFKA_SECURITY is SSL"),
        ("plain", {"kafka_security": "SASL_SSL"}, "set it to SASL_PLAINTEXT, or WEIR_KAFKA to the port"),
        ("plain", {"kafka_security": "SASL_PLAINTEXT"}, "the listener takes no user and password"),
        (
            "secure",
            {"kafka_security": "PLAINTEXT"},
            "the listener speaks TLS, and WEIR_KAFKA_SECURITY is PLAIN",
        ),
        ("secure", {"kafka_security": "SASL_PLAINTEXT"}, "set it to SASL_SSL"),
        (
            "secure",
            {"kafka_security": "SSL"},
            "asks for a user and a password, set WEIR_KAFKA_SECURITY to SASL_SSL",
        ),
        ("secure", {"kafka_password": SecretStr("wrong")}, "it refuses the user or the password"),
        ("secure", {"kafka_username": "nobody"}, "see WEIR_KAFKA_USERNAME and WEIR_KAFKA_PASSWORD"),
        (
            "secure",
            {"kafka_sasl_mechanism": "SCRAM-SHA-256"},
            "it does not offer SCRAM-SHA-256; set WEIR_KAFKA_SASL",
        ),
        ("secure", {"kafka_ca_file": None}, "its certificate is not trusted (self-signed certificate)"),
        (
            "lost",
            {"kafka_security": "PLAINTEXT"},
            "names itself 127.0.0.1:1, which cannot be reached from here",
        ),
    ],
)
def test_what_does_not_suit_the_listener_is_said_at_once(
    secure: Secure, listener: str, options: dict[str, Any], words: str
) -> None:
    address = {"plain": secure.plain, "secure": secure.kafka, "lost": secure.lost}[listener]
    settings = secure.settings.model_copy(update={"kafka": address, "kafka_start_timeout_s": 30.0} | options)
    settings.__dict__.pop("ssl_context", None)
    began = time.monotonic()
    with pytest.raises(BrokerError, match=re.escape(words)) as caught:
        asyncio.run(missing_topics(settings))
    assert time.monotonic() - began < 30.0, "it is said at once, not when the time is up"
    assert PASSWORD not in str(caught.value)
