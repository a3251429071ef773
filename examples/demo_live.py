"""The demo's clients: one publishes the traffic, two follow the decisions and alerts as they arrive."""

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas import codec, topics
from schemas.events import Alert, Decision, Event

TICK_S = 0.05
PROGRESS_S = 5.0
PATIENCE_S = 30.0
DRIFTS_SHOWN = 2
"""Of each metric."""
EVERY = 10
"""After the first decision of a rule every so many are shown."""
COLOURS = {
    "block": "31",
    "redact": "35",
    "flag": "33",
    "escalate": "31",
    "ALERT": "31",
    "DRIFT": "36",
    "": "2",
}


class Unexpected(Exception):  # noqa: N818 (what the demo found out, not a fault in it)
    """What arrived is not what was published."""


class Live:
    """Publishes `events` at `rate` per second and shows a selection of what comes back.

    Args:
        kafka: address of the broker.
        events: published in this order.
        rate: events per second.

    """

    def __init__(self, kafka: str, events: list[Event], rate: float) -> None:
        self._kafka = kafka
        self._events = {event.event_id: event for event in events}
        self._rate = rate
        self._started = time.monotonic()
        self._published = 0
        self._decisions: dict[str, Decision] = {}
        self._alerts: set[str] = set()
        self._drifts: Counter[str] = Counter()
        self._rules: Counter[str] = Counter()
        self._actions: Counter[str] = Counter()

    async def run(self, alive: Callable[[], bool]) -> None:
        """Run until every event is decided; raise `Unexpected` if something is missing or wrong."""
        print(
            f"\n{len(self._events):,} events, {self._rate:.0f} per second; a selection of what comes back:\n"
        )
        async with (
            self._following(topics.DECISIONS, Decision, self._on_decision) as decisions,
            self._following(topics.ALERTS, Alert, self._on_alert) as alerts,
        ):
            self._started = time.monotonic()
            progress = asyncio.create_task(self._progress())
            publisher = asyncio.create_task(self._publish())
            try:
                await self._until_decided(alive, publisher, decisions, alerts)
            finally:
                for task in (progress, publisher):
                    task.cancel()
                await asyncio.gather(progress, publisher, return_exceptions=True)
        self._report()

    async def _publish(self) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self._kafka, acks="all") as producer:
            events = list(self._events.values())
            while self._published < len(events):
                due = min(len(events), int((time.monotonic() - self._started) * self._rate) + 1)
                batch = events[self._published : due]
                sent = [
                    await producer.send(topics.EVENTS, codec.encode(event), key=codec.partition_key(event))
                    for event in batch
                ]
                await asyncio.gather(*sent)
                half = len(events) // 2
                if self._published < half <= due:
                    self._say("", "half way: the subject shifts, and harbour-large gets slower")
                self._published = due
                await asyncio.sleep(TICK_S)

    async def _until_decided(self, alive: Callable[[], bool], *tasks: "asyncio.Task[None]") -> None:
        last, quiet_since = 0, time.monotonic()
        while len(self._decisions) < len(self._events):
            await asyncio.sleep(0.1)
            if not alive():
                raise Unexpected("`weir up` ended by itself")
            for task in tasks:
                if task.done():
                    task.result()
            if len(self._decisions) > last:
                last, quiet_since = len(self._decisions), time.monotonic()
            if time.monotonic() - quiet_since > PATIENCE_S:
                raise Unexpected(
                    f"nothing decided for {PATIENCE_S:.0f} s, {last:,} of {self._published:,} until then"
                )
        await asyncio.sleep(2.0)  # the last alerts, and repeats if there were any

    @contextlib.asynccontextmanager
    async def _following(
        self, topic: str, kind: type[Any], handle: Callable[[Any], None]
    ) -> AsyncIterator["asyncio.Task[None]"]:
        decoder = msgspec.json.Decoder(kind)

        async def follow() -> None:
            async for record in consumer:
                handle(decoder.decode(record.value))

        async with AIOKafkaConsumer(
            topic, bootstrap_servers=self._kafka, auto_offset_reset="earliest", fetch_max_wait_ms=10
        ) as consumer:
            task = asyncio.create_task(follow())
            try:
                yield task
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def _on_decision(self, decision: Decision) -> None:
        event = self._events.get(decision.event_id)
        if event is None:
            raise Unexpected(f"a decision on {decision.event_id}, which was not published")
        if decision.failed:
            raise Unexpected(f"these detectors failed: {', '.join(decision.failed)}")
        if decision.event_id in self._decisions:
            return
        self._decisions[decision.event_id] = decision
        self._actions[decision.action] += 1
        for hit in decision.rules:
            self._rules[hit.rule] += 1
            again = hit.action == decision.action and self._rules[hit.rule] % EVERY == 0
            if self._rules[hit.rule] == 1 or again:
                text = _short(decision.text or event.text)
                if hit.metric in ("pii", "secrets") and decision.text is None:
                    text = "(not shown)"
                score = f"{hit.metric} {hit.score:.2f}" if hit.score is not None else ""
                self._say(hit.action, f"{hit.rule:25} {score:23} {decision.latency_ms:3.0f} ms  {text}")

    def _on_alert(self, alert: Alert) -> None:
        if alert.alert_id in self._alerts:
            return
        self._alerts.add(alert.alert_id)
        if alert.source == "watch":
            self._drifts[alert.metric] += 1
            if self._drifts[alert.metric] <= DRIFTS_SHOWN:
                where = f"{alert.app}, {alert.model}, prompt version {alert.prompt_version}"
                self._say("DRIFT", f"{alert.title.removeprefix('drift: ')} ({where})")
            return
        self._rules[f"alert {alert.rule}"] += 1
        if self._rules[f"alert {alert.rule}"] == 1:
            words = ", ".join(f"{item.text or item.label}" for item in alert.evidence[:3])
            self._say(
                "ALERT", f"{alert.severity:8} {alert.title}" + (f"   because of: {words}" if words else "")
            )

    async def _progress(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            stopped = self._actions.total() - self._actions["allow"] - self._actions["flag"]
            self._say(
                "",
                f"{self._published:,} published, {len(self._decisions):,} decided: "
                f"{self._actions['flag']:,} flagged, {stopped:,} blocked or redacted; "
                f"{len(self._alerts):,} alerts",
            )

    def _say(self, label: str, text: str) -> None:
        seconds = time.monotonic() - self._started
        mark = f"{label.upper() or '…':7}"
        if sys.stdout.isatty():
            colour = COLOURS.get(label, "0")
            line = f"\033[{colour}m{mark}\033[0m" if label else f"\033[{colour}m{mark}"
            print(f"{seconds:5.1f} s  {line} {text}\033[0m", flush=True)
        else:
            print(f"{seconds:5.1f} s  {mark} {text}", flush=True)

    def _report(self) -> None:
        """Check that what was planted was found."""
        ids = {decision.decision_id for decision in self._decisions.values()}
        if len(ids) != len(self._events):
            raise Unexpected(f"{len(self._events):,} events have {len(ids):,} distinct decision ids")
        for action in ("block", "redact", "flag"):
            if not self._actions[action]:
                raise Unexpected(f"nothing was decided as {action}, though the traffic has cause for it")
        if not self._drifts:
            raise Unexpected("no drift was found, though the subject and the latency changed half way")
        drifts = ", ".join(f"{metric} {count}" for metric, count in self._drifts.most_common())
        print(f"\n{len(ids):,} events decided; {len(self._alerts):,} alerts; drift: {drifts}")


def _short(text: str, limit: int = 70) -> str:
    line = " ".join(text.split())
    return f"“{line}”" if len(line) <= limit else f"“{line[: limit - 1]}…”"
