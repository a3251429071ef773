"""The guard: events in; decisions, scores, alerts and dead letters out, in milliseconds."""

import asyncio
import time
from collections.abc import Sequence

import structlog

from detectors.registry import fingerprint
from schemas import topics
from streams.dead_letters import DeadLetters
from streams.detecting import make_runner, owners
from streams.kafka import BatchProducer
from streams.pipeline import Output, Pipeline
from streams.policy import CompiledPolicy
from streams.policy_file import PolicyError
from streams.policy_reload import Policies
from streams.records import Record
from streams.settings import Settings
from streams.telemetry import Telemetry

log = structlog.get_logger(__name__)

SLICE_S = 5.0
"""About how long the guard judges before it answers and counts as alive, however slow the texts are."""
FIRST_SLICE = 64
"""Events of the first slice, before the pace is known."""
SLICE_BYTES = 524_288
"""Payloads of a slice: the time of every detector is bounded by the length of the texts."""


class Slices:
    """How many events to judge at once: at most `most`, and few where texts are slow to judge.

    A text that the transformer reads in all its parts takes a thousand times as long as an ordinary one, so
    a flood of them must not hold up the answers, fail the health check, or cost the other events of the
    slice a detector that runs out of its budget of `budget_s`.
    """

    def __init__(self, most: int, budget_s: float) -> None:
        self._most = most
        self._budget_s = budget_s
        self.size = min(FIRST_SLICE, most)

    def take(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return the first of the records, one at least if there is any."""
        size, end = 0, 0
        for record in records[: self.size]:
            size += len(record.value or b"")
            if end and size > SLICE_BYTES:
                break
            end += 1
        return records[:end]

    def took(self, events: int, seconds: float, slowest_s: float) -> None:
        """Note the time of a slice and of its slowest detector; the next is at most twice as large."""
        share = max(seconds / SLICE_S, 2 * slowest_s / self._budget_s, 1e-6)
        self.size = max(1, min(self._most, 2 * max(self.size, events), int(events / share)))


class Guard:
    """Judges every event; stateless, so any worker can take any partition.

    Loads detectors and policy when it is made, so that a mistake in them is known before anything connects.
    """

    name = "guard"
    topics: tuple[str, ...] = (topics.EVENTS,)
    linger_s = 0.0

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self.batch_records = settings.batch_events
        self._settings = settings
        self._telemetry = telemetry
        self._producer = BatchProducer(settings, patient=True)
        self._dead = DeadLetters(self.name, settings, telemetry)
        self._runner = make_runner(settings)
        self._policies = Policies(settings.policy, owners(self._runner), self._runner.ranges)
        self._compiled = self._compile()
        self._watching: asyncio.Task[None] | None = None
        self._slices = Slices(self.batch_records, settings.detector_budget_ms / 1000)
        self._pipeline = Pipeline(self._runner, settings, telemetry, lambda: time.time_ns() // 1_000_000)

    async def start(self) -> None:
        """Connect the producer."""
        if (
            self._settings.storage in ("redacted", "hash")
            and not self._settings.redaction_key.get_secret_value()
        ):
            log.warning(
                "no redaction key: placeholders and text hashes change at every start",
                setting="WEIR_REDACTION_KEY",
            )
        await self._producer.start()
        self._watching = asyncio.create_task(self._watch_policy(), name="guard-policy")

    async def assigned(self, partitions: frozenset[tuple[str, int]]) -> None:
        """Nothing to load: the guard keeps no state."""

    async def stop(self) -> None:
        """Disconnect."""
        if self._watching is not None:
            self._watching.cancel()
        await self._producer.stop()
        self._runner.close()

    async def handle(self, records: Sequence[Record]) -> bool:
        """Judge and deliver, one slice while the one before it is on its way. Answers go before alerts."""
        deliveries: list[asyncio.Task[None]] = []
        start = 0
        try:
            while piece := self._slices.take(records[start:]):
                start += len(piece)
                began = time.perf_counter()
                output = await asyncio.to_thread(self._pipeline.process, piece, self._compiled)
                self._slices.took(len(piece), time.perf_counter() - began, output.slowest_s)
                self._telemetry.progress()
                self._dead.limit.check(output.accepted)
                await asyncio.gather(*deliveries)
                deliveries = [asyncio.create_task(self._deliver(output))]
                if output.raised:
                    alerts = await asyncio.to_thread(self._pipeline.alerting.alerts, output.raised)
                    output.raised.clear()  # they hold the batch, which may be large
                    deliveries.append(asyncio.create_task(self._producer.send(topics.ALERTS, alerts)))
            await asyncio.gather(*deliveries)
        finally:
            # One that failed must not leave the others behind.
            await asyncio.gather(*deliveries, return_exceptions=True)
        return True

    async def _deliver(self, output: Output) -> None:
        with self._telemetry.stage("deliver"):
            await asyncio.gather(
                self._producer.send(topics.DECISIONS, output.decisions),
                self._producer.send(topics.SCORES, output.scores),
                self._dead.deliver(self._producer, output.refused),
            )

    def _compile(self) -> CompiledPolicy:
        policy = self._policies.current
        self._telemetry.forget("weir_policy_info")
        detectors = fingerprint(self._runner.detectors)
        self._telemetry.gauge("weir_policy_info", 1, policy.version, policy.hash, detectors)
        log.info("policy in force", policy=policy.name, version=policy.version, hash=policy.hash)
        return policy.compile(self._runner.metrics)

    async def _watch_policy(self) -> None:
        """Take up new versions of the policy; a broken one leaves the last good one in force."""
        while True:
            # Two looks must find a new version the same, see `Policies`.
            await asyncio.sleep(self._settings.policy_reload_s / 2)
            result = await asyncio.to_thread(self._policies.reload_if_changed)
            if isinstance(result, PolicyError):
                self._telemetry.count("weir_policy_errors_total")
                log.error("policy refused; the last good one stays in force", problem=str(result))
            elif result == "reloaded":
                self._compiled = self._compile()
            refused = self._policies.error
            self._telemetry.degrade("policy", refused is not None, str(refused or ""))
