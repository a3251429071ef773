"""What a reviewer does about an alert."""

from collections.abc import Mapping
from typing import Final

from schemas.alerts import AlertAction
from streams.alerts.actions import acknowledge, resolve, silence
from streams.errors import UserError

SILENCE_MS: Final = 4 * 3_600_000


def action(form: Mapping[str, str], who: str, now_ms: int) -> AlertAction:
    """Return what a form asks for; `UserError` where that is nothing."""
    alert_id, comment = form.get("alert_id", ""), form.get("comment", "")
    match form.get("do", ""):
        case "acknowledge":
            return acknowledge(alert_id, who, comment, now_ms=now_ms)
        case "resolve":
            return resolve(alert_id, who, comment, now_ms=now_ms)
        case "silence":
            return silence(alert_id, who, now_ms + SILENCE_MS, comment, now_ms=now_ms)
    raise UserError("do: one of acknowledge, silence, resolve")
