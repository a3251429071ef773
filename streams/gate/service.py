"""What every endpoint shares: judge events in time, record the decisions, answer."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import structlog

from detectors.privacy.tail import Tail
from schemas import codec, topics
from schemas.events import Event
from streams.decisions.judge import wall_clock_ms
from streams.gate import native
from streams.gate.answers import Answer
from streams.gate.batcher import Batcher
from streams.gate.judging import GateJudge, JudgedEvent
from streams.gate.keys import Caller
from streams.gate.outbox import Outbox, OutboxFullError, Parcel
from streams.gate.remembered import Fingerprint, Remembered
from streams.gate.reviews import Reviews
from streams.gate.settings import GateSettings
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)
AT_ONCE: Final = 64 << 10
"""Bytes of events that are read on the event loop."""
FULL_S: Final = 1.0
"""Between two attempts to record an alert in an outbox that is full."""


class Service:
    """Answers events and records what was decided.

    A decision is in the outbox before its answer is given: whatever is answered ends as a row. So are its
    alerts, bare: those with evidence, which takes time, stand in for them unless the process is killed.
    """

    def __init__(
        self,
        settings: GateSettings,
        judge: GateJudge,
        batcher: Batcher[JudgedEvent],
        outbox: Outbox,
        telemetry: Telemetry,
        reviews: Reviews | None = None,
    ) -> None:
        self.decoder = judge.decoder
        self._refuses = settings.gate_outbox_full == "refuse"
        self._judge = judge
        self._batcher = batcher
        self._outbox = outbox
        self._telemetry = telemetry
        self._reviews = reviews
        self._answers = Remembered()
        self._turn = asyncio.Semaphore(1)
        self._explaining = ThreadPoolExecutor(1, "evidence")
        """Of its own: it may take long, and nobody else should wait for it."""
        self._alerting: asyncio.Queue[tuple[int, list[JudgedEvent]]] = asyncio.Queue(maxsize=100)

    def admit(self, within_s: float) -> None:
        """Raise `BusyError` when a request will not be judged in time, whatever it holds."""
        self._batcher.admit(within_s)

    async def answers(
        self, events: Sequence[Event], within_s: float, *, explain: bool = False
    ) -> list[Answer]:
        """Return the answer to each event. The same event again has the same answer, and is recorded once.

        Raises `BusyError` and, where WEIR_GATE_OUTBOX_FULL says so, `OutboxFullError`.
        """
        keys = [_fingerprint(event) for event in events]
        new = {key: event for key, event in zip(keys, events, strict=True) if key not in self._answers}
        waiting = {key: self._answers[key] for key in keys if key in self._answers}
        if not new:
            return await self._repeated(events, [waiting[key] for key in keys], within_s)
        began = time.monotonic()
        waiting |= self._answers.reserve(new)
        try:
            judged = await self._batcher.judged(list(new.values()), within_s)
            recorded = self._record(judged)
        except BaseException as error:
            self._answers.forget(new, error)
            raise
        for key, judgement in zip(new, judged, strict=True):
            self._answers.settle(key, Answer(judgement.decision, judgement.scores, recorded))
        left_s = max(0.0, within_s - (time.monotonic() - began))
        answers = await self._repeated(events, [waiting[key] for key in keys], left_s)
        if not explain:
            return answers
        loop = asyncio.get_running_loop()
        evidence = await loop.run_in_executor(self._explaining, self._judge.explain, judged)
        shown = dict(zip(new, evidence, strict=True))
        return [
            answer._replace(evidence=shown.get(key, ())) for key, answer in zip(keys, answers, strict=True)
        ]

    async def reviewed(self, answers: Sequence[Answer], within_s: float) -> list[Answer]:
        """Return the answers, those that are escalated as a reviewer decides in this time."""

        async def reviewed(answer: Answer) -> Answer:
            if self._reviews is None or answer.decision.action != "escalate":
                return answer
            return answer._replace(decision=await self._reviews.answer(answer.decision, within_s))

        return list(await asyncio.gather(*map(reviewed, answers)))

    async def _repeated(
        self, events: Sequence[Event], waiting: "Sequence[asyncio.Future[Answer]]", within_s: float
    ) -> list[Answer]:
        """Return the answers that another request may still wait for; its time is not that of this one."""
        if late := [future for future in waiting if not future.done()]:
            await asyncio.wait(late, timeout=within_s)
        return [
            self._late(event) if not future.done() else future.result()
            for event, future in zip(events, waiting, strict=True)
        ]

    def _late(self, event: Event) -> Answer:
        """Return what the rules say of an event without scores; the request that came first records it."""
        [judgement] = self._judge.unjudged([event])
        return Answer(judgement.decision, judgement.scores, self._outbox.delivering)

    async def judged(self, event: Event, within_s: float) -> JudgedEvent:
        """Return the judgement of an event, which is not recorded by that."""
        return (await self._batcher.judged([event], within_s))[0]

    def unjudged(self, event: Event) -> JudgedEvent:
        """Return the judgement for which there is no time."""
        return self._judge.unjudged([event])[0]

    def recorded(self, judgement: JudgedEvent) -> Answer:
        """Record a judgement; return the answer."""
        return Answer(judgement.decision, judgement.scores, self._record([judgement]))

    def tail(self, conversation_id: str) -> Tail:
        """Return what redacts a completion while it is written."""
        return self._judge.keeper.tail(conversation_id)

    def _record(self, judged: Sequence[JudgedEvent]) -> bool:
        """Put the decisions into the outbox; return whether they will be with Kafka in a moment."""
        parcels = [parcel for judgement in judged for parcel in judgement.parcels]
        raised = [judgement for judgement in judged if judgement.raised is not None]
        try:
            if raised and not self._alerting.full():
                ticket = self._outbox.append(parcels, self._judge.bare_alerts(raised))
                self._alerting.put_nowait((ticket, raised))
            else:
                alerts = self._judge.alerts(raised, hurried=True) if raised else []
                self._outbox.append([*parcels, *alerts])
        except OutboxFullError:
            if self._refuses:
                raise
            self._telemetry.count(catalogue.GATE_UNRECORDED, len(judged))
            return False
        self._telemetry.gauge(catalogue.OUTBOX_BYTES, self._outbox.waiting_bytes)
        return self._outbox.delivering

    async def alert(self) -> None:
        """Record alerts with their evidence, for ever."""
        while True:
            ticket, raised = await self._alerting.get()
            alerts = await asyncio.to_thread(self._judge.alerts, raised, hurried=self._alerting.qsize() > 10)
            while True:
                try:
                    self._outbox.settle(ticket, alerts)
                    break
                except OutboxFullError:
                    await asyncio.sleep(FULL_S)
            self._alerting.task_done()

    async def drain(self, within_s: float) -> None:
        """Wait until the alerts of all that was answered are recorded with their evidence."""
        with contextlib.suppress(TimeoutError):  # the next process sends them without
            await asyncio.wait_for(self._alerting.join(), within_s)

    async def publish(self, lines: Sequence[bytes], caller: Caller, app: str = "") -> dict[str, Any]:
        """Take events for the guard; return how many, what is wrong with the others, and warnings.

        Those without an app are of `app`, or of that of the key. Many are read in a thread, for one request
        at a time: they must not hold up those who wait for an answer.
        """
        if sum(map(len, lines)) <= AT_ONCE:
            parcels, taken = self._parcels(lines, caller, app)
        else:
            async with self._turn:
                parcels, taken = await asyncio.to_thread(self._parcels, lines, caller, app)
        self.send(parcels)
        return taken

    def _parcels(
        self, lines: Sequence[bytes], caller: Caller, app: str
    ) -> tuple[list[Parcel], dict[str, Any]]:
        parcels, rejected, warnings = [], [], set[str]()
        for number, line in enumerate(lines):
            try:
                event = self._event(native.with_app(line, app))
            except codec.Rejected as problem:
                rejected.append({"index": number, "reason": str(problem.reason), "detail": problem.detail})
                continue
            warnings.update(caller.warnings([event]))
            parcels.append(_parcel(event, caller))
        return parcels, {"accepted": len(parcels), "rejected": rejected, "warnings": sorted(warnings)}

    def parcel(self, payload: bytes, caller: Caller) -> Parcel:
        """Return the message of an event for the guard, as its key allows it; raise `Rejected`."""
        return _parcel(self._event(payload), caller)

    def _event(self, payload: bytes) -> Event:
        now = wall_clock_ms()
        return self.decoder.decode_event(payload, now, now)[0]

    def send(self, parcels: Sequence[Parcel]) -> None:
        """Keep messages until they are delivered: all, or none and `OutboxFullError`."""
        self._outbox.append(parcels)
        self._telemetry.gauge(catalogue.OUTBOX_BYTES, self._outbox.waiting_bytes)


def _parcel(event: Event, caller: Caller) -> Parcel:
    event = caller.binds(event)
    return Parcel(topics.EVENTS, codec.partition_key(event), codec.encode(event))


def _fingerprint(event: Event) -> Fingerprint:
    """Return what makes an event the same: its id and all it holds, or one text could stand for another."""
    return event.app, event.event_id, hashlib.blake2b(codec.encode(event), digest_size=16).digest()
