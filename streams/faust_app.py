"""The Faust app of a role and its run loop: collect, handle, acknowledge; drain and stop.

`streams.faust_transport` reads; no other module knows Faust.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import faust
import structlog
from faust.types import Message
from faust.types.auth import SASLMechanism

from streams.faust_transport import PollConsumer, PollTransport
from streams.records import Record
from streams.settings import Settings
from streams.telemetry import Telemetry

log = structlog.get_logger(__name__)

QUEUED_POLLS = 4
POLL_RECORDS = 2_000
IDLE_S = 1.0
STOP_S = 5.0
NEVER_S = 10 * 365 * 86_400.0


class Role(Protocol):
    """What one role does with records; everything it produces is durable when `handle` returns."""

    name: str
    topics: tuple[str, ...]
    batch_records: int
    """Records handed to `handle` at once, at most (a single poll is never split)."""
    linger_s: float
    """How long to collect records before a batch that is not full is handled."""

    async def start(self) -> None:
        """Connect; raise an error with a user-readable message when that is impossible."""
        ...

    async def handle(self, records: Sequence[Record]) -> bool:
        """Process records in order; return whether their offsets may be committed now.

        False keeps them pending: they are committed with the next batch that returns True. Without
        records it is called when there was nothing new for a second and at the end, while some are
        pending: make them durable now and return True.
        """
        ...

    async def assigned(self, partitions: frozenset[tuple[str, int]]) -> None:
        """The partitions were given out anew; called before their first records, never during `handle`."""
        ...

    async def stop(self) -> None:
        """Release everything."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """A role that writes state of its partitions elsewhere, and must not once they are another's."""

    holds: Callable[[], Awaitable[bool]]
    """Whether what is being handled is of partitions that are still ours; set by the worker."""
    draining: bool
    """Set when the worker stops: what is pending should be made durable now."""


class _PollSchema(faust.Schema[Any, Any]):
    def loads_key(self, app: Any, message: Message, **_: Any) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Message, **_: Any) -> Any:
        return message.value


class WeirApp(faust.App):
    """A Faust app without tables, web server or folders of its own."""

    def _new_transport(self) -> Any:
        return PollTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        pass


def _credentials(settings: Settings) -> Any:
    if settings.kafka_security == "PLAINTEXT":
        return None
    if settings.kafka_security == "SSL":
        return faust.SSLCredentials(settings.ssl_context)
    return faust.SASLCredentials(
        username=settings.kafka_username,
        password=settings.kafka_password.get_secret_value(),
        ssl_context=settings.ssl_context,
        mechanism=SASLMechanism(settings.kafka_sasl_mechanism),
    )


def _app(settings: Settings, role: Role) -> WeirApp:
    session = settings.kafka_session_timeout_s
    app = WeirApp(
        f"{settings.group_prefix}-{role.name}",
        broker=";".join(f"aiokafka://{server.strip()}" for server in settings.kafka.split(",")),
        broker_credentials=_credentials(settings),
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 3,
        broker_rebalance_timeout=max(session, 10.0),
        # A store that is down may hold a batch for hours; progress is what the health endpoint watches.
        broker_max_poll_interval=NEVER_S / 1000,
        broker_max_poll_records=POLL_RECORDS,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=9 * 1024 * 1024,
        stream_buffer_maxsize=QUEUED_POLLS,
        stream_wait_empty=False,
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
    )
    app.conf.weir = settings
    return app


class Worker:
    """Runs one role until it is told to stop or cannot go on."""

    def __init__(self, settings: Settings, role: Role, telemetry: Telemetry) -> None:
        self.role = role
        self._settings = settings
        self._telemetry = telemetry
        self._app = _app(settings, role)
        self._polls: asyncio.Queue[Any] = asyncio.Queue(maxsize=QUEUED_POLLS)
        self._pending: list[Any] = []
        self._epoch = -1
        self._failure: BaseException | None = None
        self.stopping = asyncio.Event()
        self._draining = False
        if isinstance(role, Stateful):
            role.holds = self._holds

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; raise what made the role unable to go on."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.request_stop)
        await self.role.start()
        self._define_agent()
        worker = asyncio.create_task(self._work(), name=f"{self.role.name}-work")
        monitor = asyncio.create_task(self._monitor(), name=f"{self.role.name}-monitor")
        starting = asyncio.create_task(self._app.start(), name=f"{self.role.name}-start")
        starting.add_done_callback(self._on_started)
        try:
            await self.stopping.wait()
            if starting.done():
                await self._drain(worker)
        finally:
            await self._shut_down(starting, worker, monitor)
        if self._failure is not None:
            raise self._failure

    def _on_started(self, starting: "asyncio.Task[Any]") -> None:
        if starting.cancelled():
            return
        if error := starting.exception():
            self.fail(error)
        else:
            log.info("started", role=self.role.name, kafka=self._settings.kafka)

    def request_stop(self) -> None:
        """Finish what is under way and return from `run`."""
        self.stopping.set()

    def fail(self, error: BaseException) -> None:
        """End the process: an agent that Faust restarts would step over what failed."""
        self._failure = self._failure or error
        self.stopping.set()

    async def _holds(self) -> bool:
        return await self._consumer.holds(self._epoch)

    def _define_agent(self) -> None:
        topic = self._app.topic(*self.role.topics, schema=_PollSchema(allow_empty=True))

        async def agent(stream: Any) -> None:
            async for event in stream.noack().events():
                await self._polls.put(event)

        self._app.agent(topic, name=self.role.name, concurrency=1)(agent)

    @property
    def _consumer(self) -> PollConsumer:
        consumer: Any = self._app.consumer
        return consumer  # type: ignore[no-any-return]

    async def _work(self) -> None:
        try:
            while True:
                await self._finish(await self._collect())
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.fail(error)

    async def _collect(self) -> list[Any]:
        """Return polls for one batch, more than one while they are there or the role lingers.

        None at all, when offsets are pending and nothing new comes for a second.
        """
        try:
            async with asyncio.timeout((0.05 if self._draining else IDLE_S) if self._pending else None):
                events = [await self._polls.get()]
        except TimeoutError:
            return []
        rows = len(events[0].value.records)
        deadline = time.monotonic() + self.role.linger_s
        while rows < self.role.batch_records:
            wait = deadline - time.monotonic()
            if self._polls.empty() and (wait <= 0 or self._draining):
                break
            try:
                event = await asyncio.wait_for(self._polls.get(), max(wait, 0.001))
            except TimeoutError:
                break
            events.append(event)
            rows += len(event.value.records)
        return events

    async def _finish(self, events: list[Any]) -> None:
        epoch = self._consumer.epoch
        current = [event for event in events if event.value.epoch == epoch]
        if epoch != self._epoch:
            # Whatever was read under the old assignment is read again under the new one.
            self._pending.clear()
        if current and epoch != self._epoch:
            assigned = self._consumer.assignment()
            await self.role.assigned(frozenset((tp.topic, tp.partition) for tp in assigned))
            self._epoch = epoch
        records = [record for event in current for record in event.value.records]
        commit = False
        if records or self._pending:
            fetched = min((event.value.fetched for event in current), default=None)
            with self._telemetry.batch(len(records), fetched):
                commit = await self.role.handle(records)
        for event in events:
            event.value.records.clear()
            self._polls.task_done()
        self._pending.extend(current)
        if commit:
            for event in self._pending:
                event.ack()
            self._pending.clear()

    async def _drain(self, worker: "asyncio.Task[None]") -> None:
        if self._failure is not None:
            return
        log.info("draining", role=self.role.name)
        self._draining = True
        if isinstance(self.role, Stateful):
            self.role.draining = True
        self._app.consumer.stop_flow()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_timeout_s):
                done = asyncio.create_task(self._polls.join())
                await asyncio.wait({done, worker}, return_when=asyncio.FIRST_COMPLETED)
                while self._pending and not worker.done():  # noqa: ASYNC110 (a list, for a moment)
                    await asyncio.sleep(0.02)

    async def _shut_down(self, *tasks: "asyncio.Task[None]") -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stop in (self._app.stop, self.role.stop):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await stop()
        log.info("stopped", role=self.role.name)

    async def _monitor(self) -> None:
        """Watch Faust for a crash and measure the lag once a second."""
        try:
            while True:
                await asyncio.sleep(1.0)
                self._check()
        except Exception as error:
            self.fail(error)

    def _check(self) -> None:
        if self._app.crashed or self._app.should_stop:
            raise self._app.crash_reason or RuntimeError("Faust stopped by itself")
        self._consumer.check()
        if self._consumer.joined and (lag := self._consumer.lag()) is not None:
            self._telemetry.ready = True
            self._telemetry.lag(lag)
