"""The gate's certificate: told of when its time is up, and read again when it is renewed."""

import ssl
import time
from pathlib import Path
from typing import Final

import structlog

from streams.errors import SettingsError
from streams.gate.access import tls
from streams.gate.settings import GateSettings

log = structlog.get_logger(__name__)
LOOK_S: Final = 10.0
"""Between two looks at its files."""
_OUT_OF_TIME: Final = (9, 10)
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""


class Certificate:
    """What the gate shows over TLS; raises `SettingsError` for files that are no certificate and its key."""

    def __init__(self, settings: GateSettings) -> None:
        self._settings = settings
        self.context = tls(settings)
        """Of every connection from now on; None for plain HTTP."""
        self._files = [path for path in (settings.gate_cert_file, settings.gate_key_file) if path]
        self._seen = self._state()
        self._looked = time.monotonic()
        self._tell()

    def look(self) -> None:
        """Take up files that have changed; what cannot be used is told, and the last good one stays."""
        if self.context is None or time.monotonic() - self._looked < LOOK_S:
            return
        self._looked = time.monotonic()
        if (state := self._state()) == self._seen:
            return
        self._seen = state
        try:
            tls(self._settings)  # on its own first: half a pair would spoil the one in use
        except SettingsError as error:
            log.warning("the certificate is not taken up; the last good one stays", problem=str(error))
            return
        certificate, key = self._files
        self.context.load_cert_chain(certificate, key)
        log.info("the certificate is taken up", file=str(certificate))
        self._tell()

    def _state(self) -> list[tuple[int, int]]:
        try:
            return [(stat.st_mtime_ns, stat.st_ino) for stat in (path.stat() for path in self._files)]
        except OSError:  # between the removal of the old ones and the new ones
            return []

    def _tell(self) -> None:
        if self.context and (problem := out_of_time(self.context, self._files[0])):
            log.warning(
                "clients refuse the gate's certificate: put a new one in its place",
                problem=problem,
                file=str(self._files[0]),
            )


def out_of_time(context: ssl.SSLContext, certificate: Path) -> str:
    """Return why a client refuses a certificate by its dates, empty where it does not: by shaking hands."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(certificate)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLCertVerificationError as error:
            return error.verify_message if error.verify_code in _OUT_OF_TIME else ""
        except ssl.SSLError:  # it wants to hear of the other one
            continue
    return ""
