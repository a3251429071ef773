"""Finds out why a Kafka client cannot start: what listens at the address, and which language it speaks.

aiokafka alone says only that it could not start, and after 40 s where a server takes the connection and is
silent: a listener with TLS waits for a greeting, one without for the rest of a request of 369 MB.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import errors
from aiokafka.conn import create_conn
from aiokafka.protocol.metadata import MetadataRequest

PATIENCE_S: Final = 1.0
"""Silence after which another language is tried; a broker that is only slow goes on being waited for."""
ASK_S: Final = 1.0
ATTEMPTS: Final = 3
"""How often a server is asked what it speaks that answers nothing."""
_API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""A request that every broker answers before anybody signs in; its correlation id is 1."""
_NO_CERTIFICATE: Final = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "BAD_CERTIFICATE", "UNKNOWN_CA")
_GET: Final = b"GET / HTTP/1.0\r\n\r\n"
_SPOKE_TLS: Final = b"(TLS)"
"""In place of an answer: none came, but TLS was agreed on."""
_START: Final = "start one with `weir up`, or set WEIR_KAFKA"
_NOT_KAFKA: Final = "WEIR_KAFKA must be host:port of a Kafka listener"

Options = Mapping[str, Any]
"""Keyword arguments of an aiokafka client that say how to connect."""


async def first(servers: Sequence[str], options: Options, within_s: float) -> tuple[str, str]:
    """Return the first server that answers; or else an empty text, and why none does and what to do."""
    looks = [asyncio.create_task(_look(server, options, within_s)) for server in servers]
    try:
        found = []
        for look in asyncio.as_completed(looks):
            server, words = await look
            if not words:
                return server, ""
            found.append(f"no Kafka broker answers at {server}: {words}")
        return "", "\n".join(found)
    finally:
        for task in looks:
            task.cancel()
        await asyncio.gather(*looks, return_exceptions=True)


async def _look(server: str, options: Options, within_s: float) -> tuple[str, str]:
    host, _, port = server.rpartition(":")
    return server, await _within((host.strip("[]"), int(port)), options, within_s)


async def _within(address: tuple[str, int], options: Options, within_s: float) -> str:
    connecting = asyncio.create_task(_connect(address, options, within_s))
    try:
        async with asyncio.timeout(within_s):
            await asyncio.wait({connecting}, timeout=PATIENCE_S)
            if not connecting.done() and (words := await _other_language(address, options)):
                return words
            advertised = await connecting
            return await _unreachable(address, advertised)
    except TimeoutError:
        return (
            f"no answer within {within_s:g} s; is that the right address, and does WEIR_KAFKA_SECURITY "
            f"({options['security_protocol']}) suit the listener?"
        )
    except (OSError, errors.KafkaError) as error:
        return _known(error, options) or await _other_language(address, options) or _unknown(error, options)
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)


async def _connect(address: tuple[str, int], options: Options, within_s: float) -> list[tuple[str, int]]:
    """Do what a client does at its start; return the addresses that the brokers give themselves."""
    how = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    connection = await create_conn(*address, request_timeout_ms=int(within_s * 1000), **how)
    try:
        metadata = await connection.send(MetadataRequest([]))
        return [(broker[1], broker[2]) for broker in metadata.brokers]
    finally:
        await connection.close()


async def _unreachable(address: tuple[str, int], advertised: Sequence[tuple[str, int]]) -> str:
    """Return that the brokers cannot be reached at the addresses that they give themselves."""
    others = [other for other in advertised if other != address]
    if len(others) < len(advertised) or not others:
        return ""
    for opening in asyncio.as_completed([_opens(other) for other in others]):
        if await opening:
            return ""
    names = ", ".join(f"{host}:{port}" for host, port in others[:3])
    return (
        f"it answers, but names itself {names}, which cannot be reached from here; its setting "
        "advertised.listeners must name an address that clients reach"
    )


async def _opens(address: tuple[str, int]) -> bool:
    try:
        async with asyncio.timeout(ASK_S):
            _, writer = await asyncio.open_connection(*address)
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    return True


def _known(error: Exception, options: Options) -> str:
    """Return the words for an error that says itself what is wrong."""
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens there; {_START}"
    if isinstance(error, socket.gaierror):
        return f"there is no host of this name; {_START}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}); set WEIR_KAFKA_CA_FILE to the "
            "certificate of its CA, and WEIR_KAFKA to a name that the certificate holds"
        )
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return (
            f"it does not offer {options['sasl_mechanism']}; set WEIR_KAFKA_SASL_MECHANISM to what it "
            "offers, or WEIR_KAFKA_SECURITY to PLAINTEXT or SSL where it asks for no user"
        )
    if isinstance(error, errors.IncompatibleBrokerVersion):
        return f"it does not take what clients ask for: is it the port of a controller? {_NOT_KAFKA}"
    if isinstance(error, (errors.IllegalSaslStateError, errors.UnsupportedVersionError)):
        return "the listener takes no user and password; set WEIR_KAFKA_SECURITY to PLAINTEXT or SSL"
    if isinstance(error, (errors.SaslAuthenticationFailed, errors.AuthenticationFailedError)):
        return "it refuses the user or the password; see WEIR_KAFKA_USERNAME and WEIR_KAFKA_PASSWORD"
    return ""


def _unknown(error: Exception, options: Options) -> str:
    kind, security = type(error).__name__, options["security_protocol"]
    what = f"the connection ended ({kind})"
    if security.endswith("SSL") and not isinstance(error, errors.KafkaError):
        return f"no TLS came about ({kind}), and WEIR_KAFKA_SECURITY is {security}"
    if security.startswith("SASL"):
        return f"{what}; see WEIR_KAFKA_USERNAME, WEIR_KAFKA_PASSWORD and WEIR_KAFKA_SASL_MECHANISM"
    return (
        f"{what}; where the listener asks for a user and a password, set WEIR_KAFKA_SECURITY to SASL_SSL or "
        "SASL_PLAINTEXT, WEIR_KAFKA_USERNAME and WEIR_KAFKA_PASSWORD"
    )


async def _other_language(address: tuple[str, int], options: Options) -> str:
    """Return what the server speaks, where that is not what the settings say."""
    security, context = options["security_protocol"], options["ssl_context"]
    encrypted = security.endswith("SSL")
    by_tls = context if encrypted else _any_certificate()
    asked = [(how, request) for request in (_API_VERSIONS, _GET) for how in (None, by_tls)]
    # Who is busy, or resets what he does not understand, may say more the next time.
    for _ in range(ATTEMPTS):
        plain, tls, *web = await asyncio.gather(*(_ask(address, *each) for each in asked))
        if plain or tls or any(web):
            break
    if any(reply.startswith(b"HTTP/") for reply in (tls, *web)):
        return f"a web server listens there; {_NOT_KAFKA}"
    if encrypted and _is_kafka(plain):
        other = "SASL_PLAINTEXT" if security == "SASL_SSL" else "PLAINTEXT"
        return f"the listener speaks no TLS, and WEIR_KAFKA_SECURITY is {security}; {_set_to(other)}"
    if encrypted and any(
        word in reply.decode(errors="replace") for reply in (tls, web[1]) for word in _NO_CERTIFICATE
    ):
        return "it asks for a client certificate (TLS); set WEIR_KAFKA_CERT_FILE and WEIR_KAFKA_KEY_FILE"
    if not encrypted and tls:
        other = "SASL_SSL" if security == "SASL_PLAINTEXT" else "SSL or SASL_SSL"
        return f"the listener speaks TLS, and WEIR_KAFKA_SECURITY is {security}; {_set_to(other)}"
    if web[0] and not tls and not _is_kafka(plain):
        return f"what listens there does not speak Kafka; {_NOT_KAFKA}"
    return ""


def _set_to(security: str) -> str:
    return f"set it to {security}, or WEIR_KAFKA to the port of another listener"


def _any_certificate() -> ssl.SSLContext:
    """Return a context that takes every certificate: only whether TLS is spoken is asked, nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _is_kafka(reply: bytes) -> bool:
    return len(reply) >= 8 and reply[4:8] == _API_VERSIONS[8:12]


async def _ask(address: tuple[str, int], context: ssl.SSLContext | None, request: bytes) -> bytes:
    """Return the first bytes of an answer; for an error of TLS its name; nothing where nothing comes."""
    writer = None
    reply = b""
    try:
        async with asyncio.timeout(ASK_S):
            reader, writer = await asyncio.open_connection(*address, ssl=context)
            reply = _SPOKE_TLS if context is not None else b""
            # A refusal of TLS 1.3 comes after the greeting, and is lost where a request crosses it.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_S / 4):
                    return await reader.read(64) or reply
            writer.write(request)
            reply = await reader.read(64) or reply
    except ssl.SSLError as error:
        reply = (error.reason or "").encode() if writer is not None or _is_alert(error) else b""
    except OSError:
        pass
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(ASK_S):
                    await writer.wait_closed()
    return reply


def _is_alert(error: ssl.SSLError) -> bool:
    return "ALERT" in (error.reason or "")
