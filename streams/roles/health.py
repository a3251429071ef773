"""What a role says of its health, asked over HTTP."""

import urllib.error
import urllib.request
from typing import Final

import msgspec

from streams.settings import Settings

TIMEOUT_S: Final = 5.0


class Health(msgspec.Struct):
    """As `/healthz` answers."""

    role: str
    status: str
    ready: bool
    lag_messages: int
    degraded: list[str] = []
    problems: dict[str, str] = {}

    @property
    def behind(self) -> str:
        """How far it is, in words."""
        return f"{self.lag_messages:,} messages behind"


def get(url: str) -> bytes:
    """Return what is answered, with whatever status; raises `OSError`, the cause where there is one."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply:  # noqa: S310 (made of our settings)
            return bytes(reply.read())
    except urllib.error.HTTPError as error:
        return error.read()
    except urllib.error.URLError as error:
        raise error.reason if isinstance(error.reason, OSError) else error from None


def address(settings: Settings, role: str) -> str:
    """Return where a role of this machine answers, host:port."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.http_host, settings.http_host)  # noqa: S104
    return f"{host}:{getattr(settings, f'{role}_port')}"
