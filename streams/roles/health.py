"""What a role says of its health, asked over HTTP."""

import msgspec

from streams.settings import Settings


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


def address(settings: Settings, role: str) -> str:
    """Return where a role of this machine answers, host:port."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.http_host, settings.http_host)  # noqa: S104
    return f"{f'[{host}]' if ':' in host else host}:{getattr(settings, f'{role}_port')}"
