"""Tells what nobody will read: records that are gone, logs that were made anew."""

import time
from collections.abc import Iterable

import structlog

from streams.kafka.fetcher import Lost
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)

SHOWN_S = 900.0
"""How long a loss shows in the health of the role."""


def tell(telemetry: Telemetry, lost: Lost) -> None:
    """Log and count a loss."""
    where = {"topic": lost.topic, "partition": lost.partition}
    if lost.records is None:
        telemetry.count(catalogue.LOGS_ANEW)
        log.error("another log than before: read from its start", **where)
    else:
        telemetry.count(catalogue.LOST_RECORDS, lost.records)
        log.error("records are gone that nobody read", records=lost.records, **where)


class Losses:
    """What a role has lost lately."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._shown_until = float("-inf")

    def note(self, lost: Iterable[Lost]) -> None:
        """Tell each; to be called every second or so, also without any: the health is kept up to date."""
        for each in lost:
            tell(self._telemetry, each)
            self._shown_until = time.monotonic() + SHOWN_S
        self._telemetry.degrade("lost_records", time.monotonic() < self._shown_until)
