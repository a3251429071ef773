"""What every endpoint shares: judge events in time, record the decisions, answer."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import structlog

from detectors.privacy.tail import Tail
from schemas import codec, topics
from schemas.events import Event
from streams.decisions.judge import wall_clock_ms
from streams.gate.answers import Answer
from streams.gate.batcher import Batcher
from streams.gate.judging import GateJudge, JudgedEvent
from streams.gate.keys import Caller
from streams.gate.outbox import Outbox, OutboxFullError, Parcel
from streams.gate.settings import GateSettings
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)
REMEMBERED: Final = 10_000
"""Answers that a repeated event gets again, instead of a second judgement."""
Fingerprint = tuple[str, str, bytes]


class Service:
    """Answers events and records what was decided.

    A decision is in the outbox before its answer is given: whatever is answered ends as a row. Alerts, whose
    evidence takes time, follow.
    """

    def __init__(
        self,
        settings: GateSettings,
        judge: GateJudge,
        batcher: Batcher[JudgedEvent],
        outbox: Outbox,
        telemetry: Telemetry,
    ) -> None:
        self.decoder = judge.decoder
        self._refuses = settings.gate_outbox_full == "refuse"
        self._judge = judge
        self._batcher = batcher
        self._outbox = outbox
        self._telemetry = telemetry
        self._answers: OrderedDict[Fingerprint, asyncio.Future[Answer]] = OrderedDict()
        self._alerting: asyncio.Queue[list[JudgedEvent]] = asyncio.Queue(maxsize=100)

    async def answers(
        self, events: Sequence[Event], within_s: float, *, explain: bool = False
    ) -> list[Answer]:
        """Return the answer to each event. The same event again has the same answer, and is recorded once.

        Raises `BusyError` and, where WEIR_GATE_OUTBOX_FULL says so, `OutboxFullError`.
        """
        keys = [_fingerprint(event) for event in events]
        new = {key: event for key, event in zip(keys, events, strict=True) if key not in self._answers}
        waiting = {key: self._answers[key] for key in keys if key in self._answers}
        if new:
            waiting |= self._reserved(new)
            try:
                judged = await self._batcher.judged(list(new.values()), within_s)
                recorded = self._record(judged)
                for key, judgement in zip(new, judged, strict=True):
                    waiting[key].set_result(Answer(judgement.decision, judgement.scores, recorded))
            except BaseException:
                for key in new:  # or a repetition would wait for what never comes
                    self._answers.pop(key, None)
                    waiting[key].cancel()
                raise
            if explain:
                evidence = await asyncio.to_thread(self._judge.explain, judged)
                shown = dict(zip(new, evidence, strict=True))
                return [(await waiting[key])._replace(evidence=shown.get(key, ())) for key in keys]
        return [await asyncio.shield(waiting[key]) for key in keys]

    def _reserved(self, new: dict[Fingerprint, Event]) -> "dict[Fingerprint, asyncio.Future[Answer]]":
        loop = asyncio.get_running_loop()
        reserved = {key: loop.create_future() for key in new}
        self._answers |= reserved
        while len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        return reserved

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
        try:
            self._outbox.append(parcels)
        except OutboxFullError:
            if self._refuses:
                raise
            self._telemetry.count(catalogue.GATE_UNRECORDED, len(judged))
            return False
        self._telemetry.gauge(catalogue.OUTBOX_BYTES, self._outbox.waiting_bytes)
        if raised := [judgement for judgement in judged if judgement.raised is not None]:
            try:
                self._alerting.put_nowait(raised)
            except asyncio.QueueFull:
                self._telemetry.count(catalogue.ALERTS_UNEXPLAINED, len(raised))
                self._append_alerts(self._judge.alerts(raised, hurried=True))
        return self._outbox.delivering

    async def alert(self) -> None:
        """Record alerts with their evidence, for ever."""
        while True:
            raised = await self._alerting.get()
            alerts = await asyncio.to_thread(self._judge.alerts, raised, hurried=self._alerting.qsize() > 10)
            self._append_alerts(alerts)

    def _append_alerts(self, alerts: Sequence[Parcel]) -> None:
        try:
            self._outbox.append(alerts)
        except OutboxFullError:
            log.exception("alerts are lost", alerts=len(alerts))

    def publish(self, lines: Sequence[bytes], caller: Caller) -> dict[str, Any]:
        """Take events for the guard; return how many, and what is wrong with the others."""
        parcels, rejected = [], []
        for number, line in enumerate(lines):
            try:
                parcels.append(self.parcel(line, caller))
            except codec.Rejected as problem:
                rejected.append({"index": number, "reason": str(problem.reason), "detail": problem.detail})
        self.send(parcels)
        return {"accepted": len(parcels), "rejected": rejected}

    def parcel(self, payload: bytes, caller: Caller) -> Parcel:
        """Return the message of an event for the guard, as its key allows it; raise `Rejected`."""
        now = wall_clock_ms()
        event, _ = self.decoder.decode_event(payload, now, now)
        bound = {name: value for name in ("app", "tenant") if (value := getattr(caller, name))}
        if bound:
            event = msgspec.structs.replace(event, **bound)
        return Parcel(topics.EVENTS, codec.partition_key(event), codec.encode(event))

    def send(self, parcels: Sequence[Parcel]) -> None:
        """Keep messages until they are delivered: all, or none and `OutboxFullError`."""
        self._outbox.append(parcels)
        self._telemetry.gauge(catalogue.OUTBOX_BYTES, self._outbox.waiting_bytes)


def _fingerprint(event: Event) -> Fingerprint:
    """Return what makes an event the same: its id and all it holds, or one text could stand for another."""
    return event.app, event.event_id, hashlib.blake2b(codec.encode(event), digest_size=16).digest()
