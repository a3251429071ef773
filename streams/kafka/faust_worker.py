"""The run loop of a role: collect, handle, acknowledge; drain and stop.

`streams.kafka.faust_app` makes its Faust app and `streams.kafka.faust_transport` reads; no other module
knows Faust.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Collection
from typing import Any

import structlog

from schemas import topics
from streams.kafka import decompression
from streams.kafka.faust_app import PollSchema, new_app
from streams.kafka.faust_transport import PollConsumer
from streams.kafka.lanes import LANES, Lane, Lanes
from streams.kafka.losses import Losses
from streams.kafka.pace import Pace
from streams.kafka.polls import QUEUED_BYTES, Poll
from streams.kafka.records import Record
from streams.kafka.role import Overtaking, Role, Stateful
from streams.kafka.settings import KafkaSettings
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)

BATCH_BYTES = QUEUED_BYTES["live"] // 2
"""Of one batch, at most: while it is handled, as much again may be read."""
IDLE_S = 1.0
STOP_S = 5.0


class Worker:
    """Runs one role until it is told to stop or cannot go on."""

    def __init__(self, settings: KafkaSettings, role: Role, telemetry: Telemetry) -> None:
        self.role = role
        self._settings = settings
        self._telemetry = telemetry
        self._app = new_app(settings, role)
        self._polls: Lanes[Any] = Lanes()
        self._pending: list[Any] = []
        self._epoch = -1
        self._failure: BaseException | None = None
        self.stopping = asyncio.Event()
        self._draining = False
        self._in_hand = 0
        """Live records of the batch that is being handled, with those that came into it."""
        if isinstance(role, Stateful):
            role.holds = self._holds
        if isinstance(role, Overtaking):
            role.newcomers = self._newcomers
        self._losses = Losses(telemetry)
        self._pace = Pace()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; raise what made the role unable to go on."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.request_stop)
        decompression.install()
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
        topic = self._app.topic(*self.role.topics, schema=PollSchema(allow_empty=True))

        async def agent(stream: Any) -> None:
            async for event in stream.noack().events():
                self._set_aside(event.value)
                self._polls.put(event.value.lane, event)

        self._app.agent(topic, name=self.role.name, concurrency=1)(agent)

    def _set_aside(self, poll: Poll) -> None:
        """Let what need not wait for the polls before it go ahead; the others take little room meanwhile."""
        if poll.lane != "live" or not isinstance(self.role, Overtaking):
            return
        before = [event.value for event in self._polls.waiting("live")]
        if before:
            poll.set_aside(self.role.goes_ahead, before)

    @property
    def _consumer(self) -> PollConsumer:
        consumer: Any = self._app.consumer
        return consumer  # type: ignore[no-any-return]

    async def _work(self) -> None:
        try:
            while True:
                lane, events = await self._collect()
                self._polls.took(lane, await self._finish(events))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.fail(error)

    async def _collect(self) -> tuple[Lane, list[Any]]:
        """Return polls of one lane for one batch; live ones, while they are there or the role lingers.

        None at all, when offsets are pending and nothing new comes for a second.
        """
        try:
            async with asyncio.timeout((0.05 if self._draining else IDLE_S) if self._pending else None):
                lane, event = await self._polls.next()
        except TimeoutError:
            return "live", []
        events = [event]
        event.value.unpack()
        if lane == "live":
            await self._add_live(events)
        return lane, events

    def _ahead(self, events: list[Any]) -> list[Record]:
        """Take what goes ahead: all of the polls of a batch, and of those that wait as much as fits."""
        taken: list[Record] = []
        for event in events:
            taken += event.value.ahead
            event.value.ahead = []
        return taken + self._overtaking(frozenset())

    def _newcomers(self, behind: Collection[bytes | None]) -> list[Record]:
        first = next(iter(self._polls.waiting("live")), None)
        if first is not None:
            assert isinstance(self.role, Overtaking)
            first.value.set_aside(self.role.goes_ahead, ())  # of which it was not known that it would wait
        taken = self._overtaking(behind)
        self._in_hand += len(taken)
        self._telemetry.count(catalogue.MESSAGES, len(taken))
        return taken

    def _overtaking(self, behind: Collection[bytes | None]) -> list[Record]:
        """Take, of the polls that wait, what goes ahead and has no key of `behind`, about a batch of it.

        What no longer goes ahead, since the role knows its app better now, waits for its turn.
        """
        taken: list[Record] = []
        passed = set(behind)
        for poll in (event.value for event in self._polls.waiting("live")):
            if len(taken) >= self.role.batch_records:
                break
            if poll.ahead and poll.epoch == self._consumer.epoch:
                assert isinstance(self.role, Overtaking)
                waiting, poll.ahead = poll.ahead, []
                for record, first in zip(waiting, self.role.goes_ahead(waiting), strict=True):
                    if first and (record.key is None or record.key not in passed):
                        taken.append(record)
                    else:
                        poll.ahead.append(record)
                        passed.add(record.key)
        return taken

    async def _add_live(self, events: list[Any]) -> None:
        rows, size = events[0].value.rows, events[0].value.size
        deadline = time.monotonic() + self.role.linger_s
        while rows < self.role.batch_records and size < BATCH_BYTES:
            event: Any = self._polls.pop("live")
            if event is None:
                wait = deadline - time.monotonic()
                if wait <= 0 or self._draining:
                    break
                try:
                    event = await asyncio.wait_for(self._polls.next_live(), wait)
                except TimeoutError:
                    break
            event.value.unpack()
            events.append(event)
            rows += event.value.rows
            size += event.value.size

    async def _finish(self, events: list[Any]) -> float:
        epoch, began = self._consumer.epoch, time.monotonic()
        current = [event for event in events if event.value.epoch == epoch]
        if epoch != self._epoch:
            # Whatever was read under the old assignment is read again under the new one.
            self._pending.clear()
        if current and epoch != self._epoch:
            assigned = self._consumer.assignment()
            await self.role.assigned(frozenset((tp.topic, tp.partition) for tp in assigned))
            self._epoch = epoch
        is_live = bool(events) and events[0].value.lane == "live"
        records = self._ahead(current) if current and is_live else []
        records += [record for event in current for record in event.value.records]
        self._in_hand = len(records) if is_live else 0
        # A poll without records says that there was nothing to read, such as the end of a transaction.
        commit = bool(events) and not self._pending
        if records or (self._pending and not events):
            fetched = min((event.value.fetched for event in current), default=None)
            with self._telemetry.batch(len(records), fetched):
                commit = await self.role.handle(records)
        seconds = time.monotonic() - began
        for event in events:
            self._consumer.release(event.value, seconds)
        self._polls.done(len(events))
        if is_live:
            self._pace.took(self._in_hand, seconds)
            self._in_hand = 0
        self._pending.extend(current)
        if commit:
            for event in self._pending:
                event.ack()
            self._pending.clear()
        return seconds

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
        consumer = self._consumer
        consumer.check()
        if consumer.joined and (lag := consumer.lag()) is not None:
            self._telemetry.ready = True
            self._telemetry.lag(sum(lag.values()))
            self._telemetry.behind_s = self._pace.behind_s(lag["live"])
            self._telemetry.others_wait = lag["live"] > self._in_hand
            ages = {lane: self._telemetry.oldest(lane, consumer.oldest(lane)) for lane in LANES}
            if topics.EVENTS in self.role.topics:
                self._telemetry.degrade("waiting", ages["live"] > self._settings.max_wait_s)
        self._losses.note(consumer.take_lost())
