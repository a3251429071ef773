"""Who may come in, and how: TLS, the key in a request, web pages."""

import base64
import ssl
from collections.abc import Mapping
from typing import Final

from streams.errors import SettingsError
from streams.gate.settings import GateSettings
from streams.setting_types import LOOPBACK, name_in

LOCAL_NAMES: Final = (*LOOPBACK, "[::1]")


def key_in(headers: Mapping[str, str], *, basic: bool) -> str:
    """Return the key that a request has, empty for none.

    With `basic` it may be the password of Basic authentication, which a browser repeats by itself: only for
    endpoints that give nothing away.
    """
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if key := headers.get("x-api-key"):
        return key
    if scheme.lower() == "bearer":
        return token.strip()
    return _password(token) if basic and scheme.lower() == "basic" else ""


def _password(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode("utf-8", "surrogateescape").partition(":")[2]
    except ValueError:
        return ""


def of_a_page(headers: Mapping[str, str], *, local: bool) -> bool:
    """Return whether a browser sent this for a page: any page may have it send requests to this machine."""
    # A name that leads here though it is not ours: DNS rebinding, which lets a page read the answers.
    rebound = local and name_in(headers) not in LOCAL_NAMES
    return "Origin" in headers or headers.get("Sec-Fetch-Site", "none") != "none" or rebound


def tls(settings: GateSettings) -> ssl.SSLContext | None:
    """Return the context for TLS, None for plain HTTP; raise `SettingsError` for files that are none."""
    if settings.gate_cert_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An empty password, so that OpenSSL does not ask for one on the terminal.
        context.load_cert_chain(settings.gate_cert_file, settings.gate_key_file, lambda: "")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "a password is needed"
        raise SettingsError(
            f"WEIR_GATE_CERT_FILE, WEIR_GATE_KEY_FILE: {settings.gate_cert_file} and {settings.gate_key_file}"
            f" are not a certificate and its key, in PEM and without a password ({reason})"
        ) from None
    return context
