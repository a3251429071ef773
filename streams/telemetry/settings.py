"""Settings of metrics, health and logs."""

from typing import Literal

from pydantic import BaseModel, Field

from streams.setting_types import Port


class TelemetrySettings(BaseModel):
    """Where a role shows its state, and when it counts as unwell."""

    http_host: str = Field("127.0.0.1", description="Where /metrics, /healthz and /readyz listen")
    guard_port: Port = Field(9471, description="HTTP port of the guard")
    watch_port: Port = Field(9472, description="HTTP port of watch")
    archive_port: Port = Field(9473, description="HTTP port of the archive")
    health_stall_s: float = Field(
        60.0, gt=0, description="Messages waiting and none finished for so long: unhealthy"
    )
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is logged"
    )
