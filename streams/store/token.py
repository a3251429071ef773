"""The password of the embedded store: made at its first start, found by every other process of its user.

Whoever may read the file is the user. The store says where the file is and proves that it knows what is in
it, so that nobody who merely listens on the port is sent the token.
"""

import hmac
import os
import re
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from streams.errors import WeirError
from streams.telemetry.client import get

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
FILE_HEADER, PROOF_HEADER = "X-Weir-Token-File", "X-Weir-Proof"
FILE_NAME = "token"
DEFAULT_PORT = 8123
_TOKEN = re.compile(r"weir_[0-9a-f]{48}")


def make_token(folder: Path) -> str:
    """Return the token in `folder`, made with mode 0600 when there is none."""
    path = folder / FILE_NAME
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _existing(path)
    with os.fdopen(descriptor, "w") as file:
        file.write(token := f"weir_{secrets.token_hex(24)}")  # no line end: `$(cat …)` and read() agree
    return token


def _existing(path: Path) -> str:
    path.chmod(0o600)
    token = path.read_text("utf-8", "replace").strip()
    if _TOKEN.fullmatch(token):
        return token
    if token:
        raise WeirError(f"{path} holds no token: remove it, and a new one is made.")
    path.unlink()  # a full disk cut it off
    return make_token(path.parent)


def proof(token: str, nonce: str, port: int) -> str:
    """Return what only a holder of the token can say; the port keeps it from being passed on."""
    return hmac.new(token.encode(), f"{nonce}:{port}".encode(), "sha256").hexdigest()


def find_token(url: str, timeout: float = 2.0) -> str:
    """Return the token of the embedded store at `url`; empty where none is, or it is another user's."""
    nonce = secrets.token_hex(16)
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT
        if parts.scheme != "http" or parts.hostname not in LOCAL_HOSTS:
            return ""
        headers = get(parts.netloc, f"/ping?nonce={nonce}", timeout).headers
        path, shown = Path(headers.get(FILE_HEADER, "")), headers.get(PROOF_HEADER, "")
        token = path.read_text("ascii").strip() if path.name == FILE_NAME else ""
    except (OSError, ValueError):
        return ""
    known = hmac.compare_digest(shown.encode(), proof(token, nonce, port).encode())
    return token if known and _TOKEN.fullmatch(token) else ""
