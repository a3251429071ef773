"""Settings of notify."""

from pathlib import Path

from pydantic import BaseModel, Field

from streams.setting_types import Port


class AlertSettings(BaseModel):
    """When alerts are one, when they are over, and where they are sent."""

    routes: Path | None = Field(
        None, description="File of the routes that alerts are sent by (docs/alerts.md)"
    )
    notify_port: Port = Field(9476, description="HTTP port of notify")
    alert_wait_s: float = Field(
        10.0, ge=0, le=3600, description="An alert opens after so long: what comes until then is part of it"
    )
    alert_quiet_s: float = Field(
        900.0, ge=1, description="An alert that nobody says the end of is resolved after so long without more"
    )
    alert_cooldown_s: float = Field(
        3600.0, ge=0, description="What comes back within so long after it was resolved is the same alert"
    )
    alert_repeat_s: float = Field(
        14_400.0, ge=1, description="An open alert that nobody acknowledged is told again after so long"
    )
    alert_accept_s: float = Field(
        86_400.0,
        ge=1,
        description="What lasts until it ends, like a drift, is taken for normal after so long without more",
    )
