"""Logs of a role: structured, on stderr, never the text of a prompt or completion."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import structlog

from streams.telemetry.settings import TelemetrySettings


class SeldomFilter(logging.Filter):
    """Lets a message of a library through once in ten seconds: a broker that is away is not news 30 times
    a second.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._quiet_until: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log it; what counts as the same is its text before the arguments."""
        key, now = (record.name, str(record.msg)), self._clock()
        if now < self._quiet_until.get(key, now):
            return False
        if len(self._quiet_until) >= 1_000:  # messages that are put together before they are logged
            self._quiet_until.clear()
        self._quiet_until[key] = now + 10.0
        return True


def configure_logging(settings: TelemetrySettings, role: str) -> None:
    """Structured logs on stderr: JSON in production, readable on a terminal; never a prompt's text.

    What libraries log goes the same way, from warnings on.
    """
    level = getattr(logging, settings.log_level.upper())
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    handler = logging.StreamHandler(sys.stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name], processors=[remove_meta, renderer]
        )
    )
    handler.addFilter(SeldomFilter())
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    # Faust logs in the name of the module that makes the app; its warnings are about its own sensors.
    logging.getLogger("streams.kafka.faust_app").setLevel(logging.ERROR)
