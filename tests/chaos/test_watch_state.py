"""The state of watch is what it would be had nothing happened: no score lost, none counted twice."""

import asyncio
import signal
import time

import msgspec
import numpy as np
import pytest

from schemas import codec, topics
from schemas.drift import DriftRecord
from schemas.events import Alert, Decision, Event, ScoredEvent
from streams.kafka.clients import producing
from streams.monitors import snapshots
from streams.monitors.drift import DriftMonitor
from streams.monitors.snapshots import Newest, Segment
from streams.monitors.usage import UsageMonitor
from streams.monitors.usage_table import UsageTable, entity_of
from streams.monitors.watched import WatchedScores
from streams.settings import Settings
from tests.harness import PATIENCE_S, Weir, make_events, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(4 * PATIENCE_S)]
METRIC = "latency_ms"
PARTITIONS, INJECTION = Settings(_env_file=None).partitions, 0.9


def shifting(app: str, count: int) -> list[Event]:
    """Return events whose latency rises half way."""
    return [
        msgspec.structs.replace(event, latency_ms=(100.0 if i < count // 2 else 900.0) + i % 7)
        for i, event in enumerate(make_events(app, count))
    ]


def uninterrupted(weir: Weir, app: str) -> tuple[int, list[DriftRecord]]:
    """Return samples and drifts of a monitor that reads the topic once, in order."""
    settings = weir.settings
    monitor = DriftMonitor(
        settings.watch_metrics, settings.watch_quiet_events, settings.watch_learn_values, 100
    )
    found = []
    for record in weir.read(topics.SCORES):
        item = msgspec.json.decode(record.value, type=WatchedScores)
        if item.event.app == app:
            found += monitor.update(item, record)
    return sum(state.samples for state in monitor._states.values()), found


def usage_of(table: UsageTable, events: list[Event]) -> list[bytes]:
    """Return all that is counted of the app and the conversations of some events."""
    entities = sorted({entity_of(of, event) for event in events for of in ("app", "conversation")})
    places = [table.find(partition, entities) for partition in range(PARTITIONS)]
    rows = np.array([row for found in places for row in found if row >= 0], np.intp)
    table.published(rows)  # when that was depends on when records came
    return [row.tobytes() for row in table.copy(rows)]


def uninterrupted_usage(weir: Weir, events: list[Event]) -> list[bytes]:
    """Return what is counted by who reads the topic once, in order."""
    settings = weir.settings
    once, usage = DriftMonitor([], settings.watch_quiet_events, 16, 100), UsageMonitor(10_000, INJECTION)
    for record in weir.read(topics.SCORES):
        item = msgspec.json.decode(record.value, type=WatchedScores)
        if item.event.app == events[0].app and not once.repeats(item, record):
            usage.update([(item, record)], PARTITIONS)
    return usage_of(usage._table, events)


def kept_usage(weir: Weir, events: list[Event]) -> list[bytes]:
    """Return what a watch would go on with."""
    newest, usage = Newest(frozenset(range(PARTITIONS)), PARTITIONS), UsageMonitor(10_000, INJECTION)
    for record in weir.read(topics.STATE):
        group, _, key = record.key.partition(b"\0")
        if group == weir.settings.group_prefix.encode():
            newest.offer(record.partition, key, record.value)
    usage.restore(newest)
    return usage_of(usage._table, events)


def test_a_shift_is_found_once_although_watch_and_guard_are_killed(weir: Weir) -> None:
    app, count = "shifting", 1_600
    events = shifting(app, count)
    weir.publish(events[: count // 2 + 100])
    watch = weir.roles["watch"]
    wait_until(lambda: watch.metric("weir_messages_total") > 0, "watch works")
    watch.kill()
    weir.roles["guard"].kill()
    weir.publish(events[count // 2 + 100 :])
    weir.roles["guard"].start()
    watch.start()
    weir.await_rows(app, count)
    wait_until(lambda: watch.lag() == 0, "watch is done")
    samples, expected = uninterrupted(weir, app)
    assert samples == count, "a score that is published twice counts once"
    wait_until(lambda: kept_usage(weir, events) == uninterrupted_usage(weir, events), "usage is the same")
    assert any(record.metric == METRIC for record in expected)
    records = [codec.decode(DriftRecord, r.value) for r in weir.read(topics.DRIFT)]
    mine = {r.drift_id: r for r in records if r.app == app}
    assert mine == {r.drift_id: r for r in expected}
    alerts = [codec.decode(Alert, r.value) for r in weir.read(topics.ALERTS)]
    assert {a.event_id for a in alerts if a.app == app and a.source == "watch"} == {
        r.event_id for r in expected if not r.cause
    }
    kept = "SELECT DISTINCT drift_id FROM drift WHERE app = {app:String}"
    wait_until(lambda: {row[0] for row in weir.query(kept, app=app)} == set(mine), "rows of the drift")


def scores(app: str, start: int, stop: int) -> list[tuple[bytes | None, bytes | None]]:
    """Return scored events of one segment, as the guard publishes them."""
    messages: list[tuple[bytes | None, bytes | None]] = []
    for event in make_events(app, stop - start, start):
        now = int(time.time() * 1000)
        event = msgspec.structs.replace(event, kind="completion", timestamp=now)
        decision = Decision(
            decision_id=codec.decision_id(app, event.event_id),
            event_id=event.event_id, app=app, kind=event.kind, verdict="allow", action="allow",
            decided_at=now,
        )  # fmt: skip
        item = ScoredEvent(event=event, scores={"toxicity": 0.1}, decision=decision, timestamp=now)
        messages.append((codec.segment_key(event), codec.encode(item)))
    return messages


def history(weir: Weir, prefix: str, app: str) -> list[tuple[tuple[int, int], int]]:
    """Return order and samples of the snapshots of an app's segment, as they lie in the topic."""
    found = []
    for record in weir.read(topics.STATE):
        group, _, key = record.key.partition(b"\0")
        name = snapshots.decode_key(key) if group == prefix.encode() else None
        if isinstance(name, Segment) and name.app == app and record.value:
            envelope = snapshots.decode(record.value)
            content = snapshots.decode_segment(snapshots.unpack(envelope))
            found.append((envelope.order, content.samples))
    return found


def test_a_paused_watch_overwrites_nothing(weir: Weir) -> None:
    """It stands still in the middle of its work, another takes over and goes on, then it wakes up."""
    app = prefix = "paused"
    options = {"WEIR_GROUP_PREFIX": prefix, "WEIR_WATCH_SNAPSHOT_S": "0.1"}
    first, second = weir.role("watch", **options), weir.role("watch", **options)
    number = 0

    async def feed(seconds: float) -> None:
        nonlocal number
        deadline = time.monotonic() + seconds
        async with producing(weir.settings) as producer:
            while time.monotonic() < deadline:
                await producer.send(topics.SCORES, scores(app, number, number + 50))
                number += 50
                await asyncio.sleep(0.05)

    try:
        first.start()
        asyncio.run(feed(1.5))
        first.signal(signal.SIGSTOP)
        second.start(ready=False)
        asyncio.run(feed(5.0))
        wait_until(lambda: second.metric("weir_messages_total") > number / 2, "the other took over")
        asyncio.run(feed(1.0))
        first.signal(signal.SIGCONT)
        asyncio.run(feed(1.0))
        wait_until(lambda: [s for _, s in history(weir, prefix, app)][-1:] == [number], "all is counted")
    finally:
        first.signal(signal.SIGCONT)
        first.kill()
        second.kill()
    orders = [order for order, _ in history(weir, prefix, app)]
    assert orders == sorted(orders), "no snapshot lies behind a newer one"
