"""A made-up alert for one route: does it arrive?"""

import time
from pathlib import Path

from schemas.alerts import AlertChange
from streams.alerts.routes import load
from streams.alerts.senders import Failed, Refused, make_sender
from streams.errors import ServerError, UserError, did_you_mean


async def send_trial(path: Path | None, name: str) -> str:
    """Send it once and return what to say; `UserError` without such a route, `ServerError` where it fails."""
    routes = {route.name: route for route in load(path)} if path is not None else {}
    if name not in routes:
        there = f"there are {', '.join(routes)}" if routes else "WEIR_ROUTES names no file with routes"
        raise UserError(f"no route {name!r}{did_you_mean(name, routes)}: {there}")
    now = time.time_ns() // 1_000_000
    sender = make_sender(routes[name])
    try:
        await sender.send(trial(now))
    except (Failed, Refused) as error:
        raise ServerError(f"route {name}: {error}") from None
    finally:
        await sender.close()
    return f"route {name}: delivered"


def trial(now_ms: int) -> AlertChange:
    """Return the alert, which is over already: a receiver that counts open ones is left with none."""
    return AlertChange(
        change_id=f"trial-{now_ms}:resolved:1", alert_id=f"trial-{now_ms}", change="resolved",
        state="resolved", severity="low", kind="trial", rule="trial", app="weir", source="notify",
        title="a trial of this route", timestamp=now_ms, opened_at=now_ms, last_at=now_ms,
        resolved_at=now_ms, reason="ended",
    )  # fmt: skip
