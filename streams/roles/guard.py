"""The guard: events in; decisions, scores, alerts and dead letters out, in milliseconds."""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Sequence

import structlog

from detectors.batch import Depth
from schemas import topics
from streams.decisions.alerts import EVIDENCE_S, Alerting
from streams.decisions.in_force import PolicyInForce
from streams.decisions.judge import Judge
from streams.decisions.pipeline import Output, Pipeline
from streams.decisions.policy_changes import PolicyChanges
from streams.decisions.scoring import make_runner
from streams.decisions.shares import Shares, Waiting
from streams.decisions.text_storage import Keeper
from streams.decisions.warm_up import warm_up
from streams.kafka.clients import BatchProducer, BrokerError
from streams.kafka.dead_letters import DeadLetters
from streams.kafka.records import Message, Record
from streams.monitors.usage_topic import UsageReader
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)

SLICE_S = 0.5
"""About how long the guard judges before it answers, however slow the texts are, and looks at the clock."""
BULK_READING = 4
"""Slices are as small in bulk; only one that takes four times as long as it may live is cut short."""
SLICE_BYTES = 16 * 1_048_576
"""Payloads of a slice, so that its memory is bounded where little is read of each. Twenty texts of 800 kB: of
ten, a third of the time is what any slice takes."""


class Slices:
    """Cuts what waits into slices of at most `most` events that take about `SLICE_S`, one event at least.

    A text that the transformer reads in all its parts takes a thousand times as long as an ordinary one, so
    a flood of them must not hold up the answers, fail the health check, or cost the other events of the
    slice what runs out of time after `limit_s`: a slice may take twice as long as it is expected to.
    """

    def __init__(self, shares: Shares, most: int, limit_s: float) -> None:
        self._shares = shares
        self._most = most
        self._slice_s = min(SLICE_S, limit_s / 2)

    def take(self, waiting: Sequence[Waiting], start: int, waited_s: float) -> list[tuple[Waiting, Depth]]:
        """Return the records from `start` on that are judged next, and how closely; none at the end.

        All of them as closely: who is within its share does not wait for those beyond it.
        """
        coming = waiting[start : start + self._most]
        if not coming:
            return []  # how long those took that nobody waits behind says nothing of who comes
        depths = self._shares.depths(coming, waited_s)
        seconds, size = 0.0, 0
        piece: list[tuple[Waiting, Depth]] = []
        for each in coming:
            depth = depths[each.app]
            seconds += self._shares.expected_s(each, depth)
            size += len(each.record.value or b"")
            if piece and (seconds > self._slice_s or size > SLICE_BYTES or depth is not piece[-1][1]):
                break
            piece.append((each, depth))
        return piece


class Guard:
    """Judges every event; stateless, so any worker can take any partition.

    Loads detectors and policy when it is made, so that a mistake in them is known before anything connects.
    """

    name = "guard"
    topics: tuple[str, ...] = (topics.EVENTS, topics.EVENTS_BULK)
    linger_s = 0.0

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self.batch_records = settings.batch_events
        self._settings = settings
        self._telemetry = telemetry
        self._producer = BatchProducer(settings, telemetry, patient=True)
        self._dead = DeadLetters(self.name, settings, telemetry)
        self._runner = make_runner(settings)
        self._policy = PolicyInForce(settings, self._runner, telemetry)
        self._changes = PolicyChanges(settings, self._policy.take)
        self.newcomers: Callable[[Collection[bytes | None]], list[Record]] = lambda behind: []
        self._following: list[asyncio.Task[None]] = []
        """What never ends: the policy and the usage are kept up to date."""
        late_s = settings.degrade_after_ms / 1000
        # A slice that is slower than expected must not hold up what comes next.
        self._reading_s = late_s or math.inf
        self._live = self._share(late_s)
        # What was published in bulk may wait: all of it is read in full.
        self._bulk = self._share(0.0)
        keeper = Keeper(settings.storage, settings.redaction_key_bytes, self._runner.finders)
        self._usage = UsageReader(
            settings, settings.usage_entities, telemetry, lambda: bool(self._policy.compiled.usage)
        )
        self._judge = judge = Judge(self._runner, keeper, usage=self._usage.view)
        self._pipeline = Pipeline(judge, settings.decoder, telemetry)
        self._alerting = Alerting(judge, telemetry)

    def _share(self, late_s: float) -> tuple[Shares, Slices]:
        shares = Shares(late_s)
        limit_s = min(self._settings.detector_budget_ms / 1000, late_s or math.inf)
        return shares, Slices(shares, self.batch_records, limit_s)

    def goes_ahead(self, records: Sequence[Record]) -> Sequence[bool]:
        """Let nobody wait for the backlog of an app that is beyond its share."""
        return self._live[0].within(records)

    async def start(self) -> None:
        """Connect the producer, and be as quick as later on: it is ready only then."""
        if (
            self._settings.storage in ("redacted", "hash")
            and not self._settings.redaction_key.get_secret_value()
        ):
            log.warning(
                "no redaction key: placeholders and text hashes change at every start",
                setting="WEIR_REDACTION_KEY",
            )
        await asyncio.to_thread(warm_up, self._judge, self._policy.compiled)
        await self._producer.start()
        self._following = [
            asyncio.create_task(self._changes.follow(), name="guard-policy-changes"),
            asyncio.create_task(self._usage.run(), name="guard-usage"),
        ]
        # Or what reviews took out of force would be enforced until it is read.
        if not await self._changes.caught_up(self._settings.kafka_start_timeout_s):
            raise BrokerError(f"{topics.POLICY} cannot be read: see the log, and `weir doctor`")
        self._following.append(asyncio.create_task(self._policy.watch(self._tell), name="guard-policy"))
        await self._usage.ready()

    async def _tell(self, change: Message) -> None:
        await self._producer.send(topics.POLICY, [change])

    async def assigned(self, partitions: frozenset[tuple[str, int]]) -> None:
        """Nothing to load: the guard keeps no state."""

    async def stop(self) -> None:
        """Disconnect."""
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        await self._producer.stop()
        self._runner.close()

    async def handle(self, records: Sequence[Record]) -> bool:
        """Judge and deliver, one slice while the one before it is on its way. Answers go before alerts."""
        for task in self._following:
            if task.done():
                task.result()  # or a policy would stay in force for ever, and nobody knew
        deliveries: list[asyncio.Task[None]] = []
        # A batch is of one lane.
        is_bulk = bool(records) and records[0].topic == topics.EVENTS_BULK
        shares, slices = self._bulk if is_bulk else self._live
        reading_s = BULK_READING * self._reading_s if is_bulk else self._reading_s
        waiting = shares.ordered(await self._waiting(records))
        start = came = 0
        try:
            while piece := slices.take(waiting, start, self._telemetry.waited_s):
                start += len(piece)
                began = time.perf_counter()
                taken, depths = [each.decoded for each, _ in piece], [depth for _, depth in piece]
                output = await asyncio.to_thread(
                    self._pipeline.process, taken, self._policy.compiled, depths, reading_s
                )
                shares.took(piece, output.windows, time.perf_counter() - began)
                self._telemetry.progress()
                self._dead.limit.check(output.accepted)
                await asyncio.gather(*deliveries)
                deliveries = [asyncio.create_task(self._deliver(output))]
                if output.raised:
                    # Where others wait as well, not if those might be late then: a text that took long to
                    # read takes long to explain.
                    others = start < len(waiting) or self._telemetry.others_wait
                    latest_s = max(self._reading_s - EVIDENCE_S, self._reading_s / 2)
                    limit_s = latest_s if others else 2 * self._reading_s
                    hurried = self._telemetry.waited_s >= limit_s
                    alerts = await asyncio.to_thread(self._alerting.alerts, output.raised, hurried)
                    output.raised.clear()  # they hold the batch, which may be large
                    deliveries.append(asyncio.create_task(self._producer.send(topics.ALERTS, alerts)))
                # Not while others that came are left, or a stream of them would hold up the batch for ever.
                if not is_bulk and came < start < len(waiting):
                    rest = waiting[start:]
                    found = await self._waiting(self.newcomers({each.record.key for each in rest}))
                    waiting, start, came = [*shares.ordered(found), *rest], 0, len(found)
            await asyncio.gather(*deliveries)
        finally:
            # One that failed must not leave the others behind.
            await asyncio.gather(*deliveries, return_exceptions=True)
        return True

    async def _waiting(self, records: Sequence[Record]) -> list[Waiting]:
        # In a thread: a payload of a megabyte takes up to 40 ms.
        return await asyncio.to_thread(self._decoded, records) if records else []

    def _decoded(self, records: Sequence[Record]) -> list[Waiting]:
        found, began = [], time.perf_counter()
        for record, decoded in zip(records, self._pipeline.decode(records), strict=True):
            found.append(Waiting.of(record, decoded, began))
            began = time.perf_counter()
        return found

    async def _deliver(self, output: Output) -> None:
        with self._telemetry.stage("deliver"):
            await asyncio.gather(
                self._producer.send(topics.DECISIONS, output.decisions),
                self._producer.send(topics.SCORES, output.scores),
                self._dead.deliver(self._producer, output.refused),
            )
