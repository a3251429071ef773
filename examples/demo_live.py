"""The demo's clients: one publishes the traffic, others follow what comes of it as it arrives."""

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from demo_lines import COUNTS, columns, fitted, number, quoted
from traffic import ABUSE, RUDENESS, SLOWNESS, SUBJECT, UNFAIRNESS

from schemas import codec, topics
from schemas.alerts import AlertChange
from schemas.events import Alert, Decision, Event, RuleHit

TICK_S = 0.05
PROGRESS_S = 5.0
PATIENCE_S = 60.0
SETTLING_S = 6.0
"""After the last decision: watch and notify have seen all of it by then, and what they found is open."""
MARGIN = 17
"""Characters that time and label take."""
AHEAD = 300
"""Events on their way to a decision, at most: on a busy machine it takes longer, and nothing piles up."""
PLANTED = {
    "distance_shop": SUBJECT,
    "bias_refusal women": UNFAIRNESS,
    "toxicity": RUDENESS,
    "user_injections_1m": ABUSE,
    "latency_ms": SLOWNESS,
}
"""What is planted, by the metric in which it shows."""
INTRODUCTION = """
{events:,} events of three apps, {rate:.0f} per second. Five things happen for a while, and each is to be
found as one alert that ends with it:
  {planted}.
A selection of what comes back:
"""
QUIET = """
{events:,} events of three apps, {rate:.0f} per second, in which nothing is wrong: no alert is to be raised.
"""
EVERY = 10
"""After a rule's first decision every so many are shown."""
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
        quiet: nothing is planted in them.

    """

    def __init__(self, kafka: str, events: list[Event], rate: float, *, quiet: bool = False) -> None:
        self._kafka = kafka
        self._events = {event.event_id: event for event in events}
        self._rate = rate
        self._started = time.monotonic()
        self._published = 0
        self._decisions: dict[str, Decision] = {}
        self._alerts: set[str] = set()
        self._quiet = quiet
        self._states: dict[str, AlertChange] = {}
        self._rules: Counter[str] = Counter()
        self._actions: Counter[str] = Counter()

    async def run(self, alive: Callable[[], bool]) -> None:
        """Run until every event is decided; raise `Unexpected` if something is missing or wrong."""
        planted = ";\n  ".join(each.what for each in PLANTED.values())
        told = QUIET if self._quiet else INTRODUCTION
        print(told.format(events=len(self._events), rate=self._rate, planted=planted))
        async with (
            self._following(topics.DECISIONS, Decision, self._on_decision) as decisions,
            self._following(topics.ALERTS, Alert, self._on_alert) as alerts,
            self._following(topics.ALERT_STATES, AlertChange, self._on_change) as states,
        ):
            self._started = time.monotonic()
            progress = asyncio.create_task(self._progress())
            publisher = asyncio.create_task(self._publish())
            try:
                await self._until_decided(alive, publisher, decisions, alerts, states)
                await self._until_resolved(alive)
            finally:
                for task in (progress, publisher):
                    task.cancel()
                await asyncio.gather(progress, publisher, return_exceptions=True)
        self._report()

    async def _publish(self) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self._kafka, acks="all") as producer:
            events = list(self._events.values())
            while self._published < len(events):
                due = int((time.monotonic() - self._started) * self._rate) + 1
                due = min(len(events), due, len(self._decisions) + AHEAD)
                batch = events[self._published : due]
                sent = [
                    await producer.send(topics.EVENTS, codec.encode(event), key=codec.partition_key(event))
                    for event in batch
                ]
                await asyncio.gather(*sent)
                self._tell_planted(self._published / len(events), due / len(events))
                self._published = due
                await asyncio.sleep(TICK_S)

    def _tell_planted(self, before: float, now: float) -> None:
        for metric, each in PLANTED.items() if not self._quiet else ():
            if before < each.begins <= now:
                self._say("", f"planted: {each.what} ({metric})")
            if before < each.ends <= now:
                self._say("", f"over: {each.what}")

    async def _until_resolved(self, alive: Callable[[], bool]) -> None:
        """Wait until no alert is open any more, or for long enough."""
        self._say("", "all is decided; waiting until no alert is open")
        deadline = time.monotonic() + PATIENCE_S
        while self._waits():
            await asyncio.sleep(0.1)
            if not alive():
                raise Unexpected("`weir up` ended by itself")
            if time.monotonic() > deadline:
                return

    def _waits(self) -> bool:
        """Whether an alert is open, or one that is to be found is still missing."""
        found = self._states.values()
        missing = set() if self._quiet else PLANTED.keys() - set().union(*map(_metrics, found))
        return bool(missing) or any(each.state != "resolved" for each in found)

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
        await asyncio.sleep(SETTLING_S)

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
        deciding = next((hit for hit in decision.rules if _decides(hit, decision)), None)
        if deciding is None:
            return
        self._rules[deciding.rule] += 1
        if self._rules[deciding.rule] == 1 or self._rules[deciding.rule] % EVERY == 0:
            self._show(decision, deciding, decision.text or event.text)

    def _show(self, decision: Decision, deciding: RuleHit, text: str) -> None:
        """Show a decision on one line: what is enforced, the rule behind it, how many others hit."""
        score = (
            "" if deciding.score is None else f"{deciding.metric} {number(deciding.metric, deciding.score)}"
        )
        line = f"{deciding.rule:24} {score:14}  "
        others = len(decision.rules) - 1
        more = f" +{others} rule{'s' if others > 1 else ''}" if others else ""
        if decision.text is None and any(hit.metric in COUNTS for hit in decision.rules):
            shown = "(not shown: personal data or a secret)"
        else:
            shown = quoted(text, columns() - MARGIN - len(line) - len(more))
        self._say(decision.action, line + shown + more)

    def _on_alert(self, alert: Alert) -> None:
        if alert.alert_id in self._alerts:
            return
        self._alerts.add(alert.alert_id)

    def _on_change(self, change: AlertChange) -> None:
        """Show what becomes of an alert, one for one cause."""
        before = self._states.get(change.alert_id)
        if before is None or before.version < change.version:
            self._states[change.alert_id] = change
            label = "DRIFT" if change.kind == "drift" else "ALERT"
            if change.change != "grew":
                why = f" ({change.reason})" if change.reason else ""
                self._say(label, f"{change.change}{why}: {change.severity} {change.app} {change.title}")

    async def _progress(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            stopped = self._actions.total() - self._actions["allow"] - self._actions["flag"]
            self._say(
                "",
                f"{self._published:,} published, {len(self._decisions):,} decided: "
                f"{self._actions['flag']:,} flagged, {stopped:,} blocked or redacted; "
                f"{sum(each.state != 'resolved' for each in self._states.values()):,} alerts open",
            )

    def _say(self, label: str, text: str) -> None:
        seconds = time.monotonic() - self._started
        mark = f"{label.upper() or '…':7}"
        text = fitted(text, columns() - MARGIN)
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
        found = list(self._states.values())
        if self._quiet:
            if found:
                raise Unexpected(f"nothing is wrong, yet there is an alert: {found[0].title}")
            print(f"\n{len(ids):,} events decided; no alert")
            return
        for action in ("block", "redact", "flag"):
            if not self._actions[action]:
                raise Unexpected(f"nothing was decided as {action}, though the traffic has cause for it")
        check_alerts(found)
        messages = (
            f"{len(self._alerts):,} messages on llm.alerts are {len(found):,} alerts, one for each cause"
        )
        print(
            f"\n{len(ids):,} events decided; {messages}; each thing planted was found once, and seen to end"
        )


def check_alerts(found: Sequence[AlertChange]) -> None:
    """Raise `Unexpected` unless each thing planted is one alert that is over, and no drift is left."""
    causes = [each for each in found if each.kind == "drift" or _metrics(each) & PLANTED.keys()]
    for metric, planted in PLANTED.items():
        mine = [each for each in causes if metric in _metrics(each)]
        if [each.state for each in mine] != ["resolved"]:
            states = ", ".join(each.state for each in mine) or "none"
            raise Unexpected(f"{planted.what}: one resolved alert was expected, there is: {states}")
    if len(causes) != len(PLANTED):
        titles = "; ".join(each.title for each in causes)
        raise Unexpected(f"{len(PLANTED)} things were planted, and {len(causes)} alerts found: {titles}")


def _metrics(change: AlertChange) -> set[str]:
    return {part.metric for part in change.parts}


def _decides(hit: RuleHit, decision: Decision) -> bool:
    return hit.mode == "enforce" and hit.action == decision.action
