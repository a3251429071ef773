"""The ports that `weir up` needs: free, or soon free because the roles of the last one are ending."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from streams.errors import SettingsError
from streams.local.process import HOST, LocalServiceError, port_problem
from streams.telemetry.client import get

SETTLE_S: Final = 1.0
"""The kernel tells roles to stop when their `weir up` dies: what goes on then belongs to one that runs."""
LOOK_S: Final = 0.2
ASK_S: Final = 5.0
_ACCEPTED: Final = (HOST, "localhost")


class NeededPort(NamedTuple):
    """A port that has to be free."""

    name: str
    """Of the server that will listen: `broker`, `store` or a role."""
    number: int
    setting: str


def await_ports(
    ports: Sequence[NeededPort], say: Callable[[str], None], timeout: float, *, host: str = HOST
) -> None:
    """Block until all ports are free, for `timeout` s at most where roles of weir listen.

    After `kill -9` of `weir up` its roles finish what they have read, and hold their ports so long.
    `LocalServiceError` names every taken port: at once where nothing on them is a role of weir, or one that
    was not told to stop.

    Args:
        ports: what has to be free on 127.0.0.1.
        say: told once that there is something to wait for.
        timeout: in seconds.
        host: where the roles answer, an IPv6 address in brackets.

    """
    started = time.monotonic()
    weir = told = False
    while taken := _taken(ports):
        roles = {port.name: health for port in taken if (health := _health(host, port.number))}
        if not roles and not (taken := _taken(taken)):  # it ended between the two questions
            continue
        weir = weir or bool(roles)
        waited = time.monotonic() - started
        runs = not all(health.get("stopping") for health in roles.values())
        if not weir or waited > (min(SETTLE_S, timeout) if runs else timeout):
            raise LocalServiceError(_message(taken, weir=weir))
        if not told and not runs:
            told = True
            say(
                f"the roles of the last `weir up` are still ending ({', '.join(roles) or 'one of them'}): "
                f"waiting for their ports, {timeout:g} s at most; Ctrl-C gives up"
            )
        time.sleep(LOOK_S)


def _health(host: str, port: int) -> dict[str, Any]:
    """Return the health of the role of weir that answers there; nothing where none does."""
    try:  # whatever the status: a role that is stalled says so with 503
        health = json.loads(get(f"{host}:{port}", "/healthz", ASK_S).body)
    except (OSError, ValueError):
        return {}
    return health if isinstance(health, dict) and {"role", "lag_messages"} <= health.keys() else {}


def _taken(ports: Sequence[NeededPort]) -> list[NeededPort]:
    return [port for port in ports if port_problem(port.number)]


def _message(taken: Sequence[NeededPort], *, weir: bool) -> str:
    named = ", ".join(f"{port.name}: port {port.number} ({port.setting})" for port in taken)
    reasons = ", ".join(dict.fromkeys(filter(None, (port_problem(port.number) for port in taken))))
    what = f"{named} on {HOST} cannot be used ({reasons or 'in use until now'}). "
    who = "Another weir seems to run on this machine: stop it" if weir else "Stop what listens there"
    return f"{what}{who}, or choose other ports with {', '.join(port.setting for port in taken)}."


def local_port(address: str, setting: str) -> int:
    """Return the port of an address on this machine; `SettingsError` for any other."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    if parts.hostname not in _ACCEPTED or not parts.port:
        flag = "--no-broker" if setting == "WEIR_KAFKA" else "--no-store"
        raise SettingsError(
            f"{setting} is {address}, which is not on this machine: use {flag} to work with it, "
            f"or unset {setting}"
        )
    return parts.port
