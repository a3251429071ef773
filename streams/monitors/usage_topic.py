"""`llm.usage` as guard and gate read it: from its start, and then as it comes."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from aiokafka.structs import ConsumerRecord

from schemas import topics
from streams.kafka.following import follow
from streams.kafka.settings import KafkaSettings
from streams.monitors.usage_view import UsageView
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)
CATCH_UP_S: Final = 30.0
"""How long a start waits until all usage is known; without it, conditions on usage hold too late."""
BEHIND: Final = "llm.usage is not read to its end yet: limits by usage come late"
LOOK_S: Final = 0.2
"""Between two looks whether a policy asks for usage."""


class UsageReader:
    """Keeps a view up to date, once a policy asks for usage."""

    def __init__(
        self, settings: KafkaSettings, most: int, telemetry: Telemetry, asked: Callable[[], bool]
    ) -> None:
        self.view = UsageView(most)
        self._settings = settings
        self._telemetry = telemetry
        self._asked = asked
        self._prefix = f"{settings.group_prefix}\0".encode()
        self._caught_up = asyncio.Event()

    async def run(self) -> None:
        """Read for ever; while the broker is away what is known stays, as long as it is true."""
        while not self._asked():  # noqa: ASYNC110 -- a policy may come at any time, and tells nobody
            await asyncio.sleep(LOOK_S)
        # A role that was at work when the policy came does not wait: until then limits hold too late.
        self._telemetry.degrade("usage", True, BEHIND)
        await follow(self._settings, topics.USAGE, self._read, self._failed)

    async def ready(self) -> None:
        """Wait until all is known that was there at the start, `CATCH_UP_S` at most."""
        if not self._asked():
            return
        try:
            await asyncio.wait_for(self._caught_up.wait(), CATCH_UP_S)
        except TimeoutError:
            log.warning("usage is not known yet: limits by usage come late")

    async def _read(self, records: Sequence[ConsumerRecord], is_all: bool) -> None:
        if records:
            await asyncio.to_thread(self._take, records)
        self._telemetry.gauge(catalogue.USAGE_ENTITIES, len(self.view))
        if is_all:
            self._telemetry.degrade("usage", False, "")
            self._caught_up.set()

    def _failed(self) -> None:
        self._telemetry.degrade("usage", True, "llm.usage cannot be read: limits by usage come late")

    def _take(self, records: Sequence[ConsumerRecord]) -> None:
        ours = [record.value for record in records if (record.key or b"").startswith(self._prefix)]
        if unreadable := self.view.take(ours):
            self._telemetry.count(catalogue.STATES_UNREADABLE, unreadable)
