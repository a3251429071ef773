"""How the roles are, as they say themselves."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout

ANSWER_S = 2.0


class RoleHealth(NamedTuple):
    """What a role says of itself."""

    name: str
    state: str
    """`ok`, `degraded`, `stalled`, or `not reached` where nothing answers at its address."""
    lag: int | None = None
    why: str = ""


async def roles(addresses: Sequence[tuple[str, str]]) -> list[RoleHealth]:
    """Ask each role, given by name and host:port; those that are on other machines are not reached."""
    async with ClientSession(timeout=ClientTimeout(total=ANSWER_S)) as http:
        return [*await asyncio.gather(*(_ask(http, name, address) for name, address in addresses))]


async def _ask(http: ClientSession, name: str, address: str) -> RoleHealth:
    try:
        async with http.get(f"http://{address}/healthz") as reply:
            health: dict[str, Any] = await reply.json(content_type=None)
            problems = [f"{reason}: {text}" for reason, text in health.get("problems", {}).items()]
            why = "; ".join(filter(None, (*health.get("degraded", ()), *problems)))
            return RoleHealth(name, str(health["status"]), int(health["lag_messages"]), why)
    except (ClientError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return RoleHealth(name, "not reached", why=f"nothing answers at {address}")
