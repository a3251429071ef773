"""The gate: a guard with HTTP in place of `llm.events`."""

import asyncio
import gc
import signal
import sys
from collections.abc import Coroutine, Iterator
from typing import Final

import structlog
from aiohttp import web

from schemas import topics
from streams.decisions.in_force import PolicyInForce
from streams.decisions.policy_changes import PolicyChanges
from streams.decisions.scoring import make_runner
from streams.errors import WeirError
from streams.gate.batcher import Batcher
from streams.gate.certificate import Certificate
from streams.gate.connections import Runner
from streams.gate.evaluations_out import EvaluationsOut
from streams.gate.judging import GateJudge
from streams.gate.keys import Keys
from streams.gate.outbox import Outbox, Parcel
from streams.gate.reviews import Reviews
from streams.gate.server import Gate
from streams.gate.service import Service
from streams.gate.turns import Loop
from streams.kafka.clients import BatchProducer
from streams.kafka.records import Message
from streams.monitors.usage_topic import UsageReader
from streams.roles.run import STOP_S, end_at_the_latest
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry
from streams.telemetry.server import TelemetryServer

log = structlog.get_logger(__name__)
BACKLOG: Final = 1024
"""Connections that wait to be taken. One more is tried again by its client after a second, unseen by us."""
SWITCH_S: Final = 0.0005
"""How long the judge keeps the interpreter from an answer to be sent. By default it is ten times that:
in a flood, when each of a hundred waits so long, all of them are late."""
CHANGES_S: Final = 5.0
"""The gate answers without Kafka, too: so long it waits for what reviews changed."""


class GateRole:
    """Loads detectors, policy, keys and outbox when it is made, so that a mistake in them is known."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        keys, self._certificate = Keys.load(settings.gate_keys), Certificate(settings)
        if not keys.needed and not settings.is_local:
            log.warning("everybody who reaches the gate may use it", setting="WEIR_GATE_KEYS")
        self._runner = make_runner(settings)
        self._policy = PolicyInForce(settings, self._runner, telemetry)
        self._changes = PolicyChanges(settings, self._policy.take)
        self._usage = UsageReader(
            settings, settings.usage_entities, telemetry, lambda: bool(self._policy.compiled.usage)
        )
        judge = GateJudge(self._runner, settings, telemetry, self._policy, self._usage.view)
        judge.warm_up()
        self._outbox = Outbox(settings.gate_outbox, settings.gate_outbox_bytes)
        self._batcher = Batcher(judge.judge, judge.unjudged, settings.batch_events)
        self._reviews = Reviews(settings)
        self._service = Service(settings, judge, self._batcher, self._outbox, telemetry, self._reviews)
        self._gate = Gate(settings, self._service, keys, telemetry)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then answer what was asked and deliver what is recorded."""
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        # It drains twice: answers, then records; what is not delivered by then waits in the outbox.
        latest_s = 2 * self._settings.drain_timeout_s + STOP_S
        ending = asyncio.create_task(end_at_the_latest(self._telemetry, stopping, latest_s))
        telemetry = TelemetryServer(
            self._telemetry,
            self._settings.http_host,
            self._settings.gate_port,
            "WEIR_GATE_PORT",
        )
        await telemetry.start()
        producer = BatchProducer(self._settings, self._telemetry)
        runner = Runner(
            self._gate.application(),
            self._gate.refuse,
            access_log=None,
            shutdown_timeout=self._settings.drain_timeout_s,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                work = [
                    tasks.create_task(each)
                    for each in (
                        self._changes.follow(),
                        self._reviews.follow(),
                        self._policy.watch(self._tell),
                        self._usage.run(),
                        self._batcher.run(),
                        self._service.alert(),
                        self._outbox.deliver(producer),
                        self._look(),
                        *self._evaluations(),
                    )
                ]
                if not await self._changes.caught_up(CHANGES_S):
                    log.warning("rules that reviews took out of force are enforced until Kafka answers")
                await self._usage.ready()
                await self._listen(runner)
                await stopping.wait()
                self._telemetry.ready = False
                self._reviews.close()
                await runner.cleanup()
                await self._service.drain(self._settings.drain_timeout_s)
                if not await self._outbox.flush(self._settings.drain_timeout_s):
                    log.warning(
                        "what is not with Kafka waits in the outbox", bytes=self._outbox.waiting_bytes
                    )
                for task in work:
                    task.cancel()
        finally:
            ending.cancel()
            await runner.cleanup()
            await producer.stop()
            await telemetry.stop()
            self._outbox.close()
            self._runner.close()

    async def _tell(self, change: Message) -> None:
        self._outbox.append([Parcel(topics.POLICY, *change)])

    async def _listen(self, runner: web.AppRunner) -> None:
        host, _, port = self._settings.gate_listen.rpartition(":")
        await runner.setup()
        try:
            tls = self._certificate.context
            await web.TCPSite(runner, host, int(port), ssl_context=tls, backlog=BACKLOG).start()
        except OSError as error:
            raise WeirError(
                f"{host}:{port} is in use or not ours to use ({error.strerror}): set WEIR_GATE_LISTEN"
            ) from error
        self._telemetry.ready = True
        log.info("the gate is open", address=f"{host}:{port}")

    def _evaluations(self) -> Iterator[Coroutine[None, None, None]]:
        settings = self._settings
        if url := settings.gate_evaluations:
            headers = settings.gate_evaluations_headers.get_secret_value()
            yield EvaluationsOut(settings, url, headers, self._telemetry).run()

    async def _look(self) -> None:
        """Keep the health up to date: whose outbox grows is degraded, who cannot judge has stalled."""
        while True:
            waiting = self._outbox.waiting_bytes
            self._telemetry.degrade(
                "broker", not self._outbox.delivering and waiting > 0, f"{waiting} bytes wait in the outbox"
            )
            self._telemetry.lag(self._batcher.waiting)
            self._certificate.look()
            await asyncio.sleep(0.5)


def run(settings: Settings, telemetry: Telemetry) -> None:
    """Run the gate until it is told to stop; raise what ended it otherwise."""
    role = GateRole(settings, telemetry)
    # What is loaded stays: looking through it for garbage again and again would hold up every request.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_S)
    try:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(role.run())
    except* WeirError as group:
        raise group.exceptions[0] from None
