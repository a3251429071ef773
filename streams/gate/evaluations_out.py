"""Sends the scores of what guard and gate have judged to an OTLP endpoint of the operator."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from schemas import codec, topics
from schemas.events import ScoredEvent
from streams.errors import WeirError
from streams.gate.evaluations import export_of
from streams.ingest.otlp import PROTOBUF
from streams.kafka.clients import consuming
from streams.kafka.settings import KafkaSettings
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)
GROUP: Final = "evaluations"
"""Of the consumers, after WEIR_GROUP_PREFIX: gates share the work."""
AT_ONCE: Final = 200
"""Scored events of one export, some twenty log records each."""
TRY_S: Final = 10.0
PATIENCE_S: Final = 60.0
"""For so long an export is tried; then the next one is, so that an endpoint that is back gets what is new."""
PAUSE_S: Final = (0.5, 8.0)
"""Between two attempts, from the first on; doubled each time."""
OK: Final = range(200, 300)
PASSING: Final = frozenset({429, 502, 503, 504})
"""What OTLP has exporters try again."""


class EvaluationsOut:
    """Follows `llm.scores` and posts what it finds to `url`. An endpoint that fails holds up nothing else.

    Args:
        settings: of Kafka.
        url: of an OTLP/HTTP endpoint for logs, with its path.
        headers: of every request, as `OTEL_EXPORTER_OTLP_HEADERS` has them: `name=value,name=value`.

    """

    def __init__(self, settings: KafkaSettings, url: str, headers: str, telemetry: Telemetry) -> None:
        self._settings = settings
        self._url = url
        self._headers = _headers(headers) | {"Content-Type": PROTOBUF}
        self._telemetry = telemetry
        self._failing = False

    async def run(self) -> None:
        """Send for ever, from what is published now, later on from where the group has come to."""
        group = f"{self._settings.group_prefix}-{GROUP}"
        while True:
            with contextlib.suppress(KafkaError, WeirError):  # the broker is away, which the outbox tells
                async with (
                    consuming(self._settings, topics.SCORES, from_start=False, group=group) as consumer,
                    ClientSession(headers=self._headers, timeout=ClientTimeout(TRY_S)) as http,
                ):
                    await self._follow(consumer, http)
            await asyncio.sleep(PAUSE_S[1])

    async def _follow(self, consumer: AIOKafkaConsumer, http: ClientSession) -> None:
        while True:
            fetched = await consumer.getmany(timeout_ms=1_000, max_records=AT_ONCE)
            values = [record.value for records in fetched.values() for record in records]
            if not values:
                continue
            # In a thread: twenty records of protobuf an event would hold up those who wait for an answer.
            count, body = await asyncio.to_thread(_export, values)
            outcome = await self._send(http, body)
            self._telemetry.count(catalogue.GATE_EVALUATIONS, count, outcome)
            if (outcome != "sent") != self._failing:
                self._failing = not self._failing
                log.warning("the endpoint for evaluations", outcome=outcome, setting="WEIR_GATE_EVALUATIONS")

    async def _send(self, http: ClientSession, body: bytes) -> str:
        """Return what became of an export."""
        deadline, pause = time.monotonic() + PATIENCE_S, PAUSE_S[0]
        while True:
            status = await self._status(http, body)
            if status in OK:
                return "sent"
            if status is not None and status not in PASSING:
                return "refused"
            if time.monotonic() + pause > deadline:
                return "dropped"
            await asyncio.sleep(pause)
            pause = min(PAUSE_S[1], 2 * pause)

    async def _status(self, http: ClientSession, body: bytes) -> int | None:
        """Return the status of the answer, None where there is none."""
        try:
            async with http.post(self._url, data=body, allow_redirects=False) as response:
                return response.status
        except (ClientError, OSError, TimeoutError):
            return None


def _export(values: Sequence[bytes | None]) -> tuple[int, bytes]:
    """Return how many events an export holds, and the export."""
    scored = []
    for value in values:
        with contextlib.suppress(codec.Rejected):  # the archive makes a dead letter of it
            scored.append(codec.decode(ScoredEvent, value))
    return len(scored), export_of(scored).SerializeToString()


def _headers(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs}
