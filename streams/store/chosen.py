"""Which events are read."""

from dataclasses import dataclass

from clickhouse_connect.driver.binding import format_str


@dataclass(frozen=True)
class Chosen:
    """Which events are read."""

    since_ms: int = 0
    app: str = ""
    detectors: str = ""
    """Only those that these detectors scored; empty for all."""
    event_id: str = ""

    @property
    def condition(self) -> str:
        """SQL over the columns of `events`."""
        return f"timestamp >= fromUnixTimestamp64Milli({self.since_ms:d}) AND {self.identity}"

    @property
    def identity(self) -> str:
        """SQL over what names an event, whenever it happened."""
        wanted = {"app": self.app, "detectors_hash": self.detectors, "event_id": self.event_id}
        return " AND ".join(f"{name} = {format_str(value)}" for name, value in wanted.items() if value) or "1"
