"""Killed at any moment, watch and notify give the alerts that they would have given.

    WEIR_TEST_KILLS=50 python -m pytest tests/chaos/test_notify.py

The scores of apps go to `llm.scores` at a steady pace: the latency of three models rises and falls again.
What watch and notify would have said, undisturbed, is worked out from the topics in the end.
"""

import asyncio
import json
import os
import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from schemas import codec, topics
from schemas.alerts import AlertChange
from schemas.drift import DriftRecord
from schemas.events import Alert, Decision, Event, ScoredEvent
from streams.alerts.life_cycle import LifeCycle, Timing
from streams.alerts.signals import Signal, of_alert, of_drift
from streams.kafka.topics import create_topics
from streams.monitors.drift import DriftMonitor
from streams.monitors.watched import WatchedScores
from tests.brokers import apache_missing, new_broker
from tests.harness import PATIENCE_S, Weir, wait_until
from tests.streams.alerts.receivers import Receiver, receiving

KILLS = int(os.environ.get("WEIR_TEST_KILLS", "2"))
KILLS_OF_AN_APP = 3
EVENTS = 290
"""Of one segment."""
RATE = 300.0
WAIT_S = 15.0
"""Longer than watch is away when it is killed: of drifts of one cause some may come only when it is back."""
MODELS = {"one": 0, "two": 15, "three": 30}
"""By how many events later its latency rises and falls than that of the first."""

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(4 * PATIENCE_S + 20 * KILLS)]
APACHE = pytest.param("apache", marks=pytest.mark.skipif(bool(apache_missing()), reason=apache_missing()))
Message = tuple[bytes | None, bytes | None]


def scored(app: str, number: int, model: str, timestamp: int) -> Message:
    latency = (900.0 if 80 <= number - MODELS[model] < 200 else 100.0) + number % 7
    event = Event(
        event_id=f"{model}-{number}", app=app, kind="completion", text="", model=f"{app}-{model}",
        latency_ms=latency, timestamp=timestamp,
    )  # fmt: skip
    decision = Decision(
        decision_id=codec.decision_id(app, event.event_id), event_id=event.event_id, app=app,
        kind="completion", verdict="allow", action="allow",
    )  # fmt: skip
    item = ScoredEvent(event=event, scores={}, decision=decision, timestamp=timestamp)
    return codec.segment_key(event), codec.encode(item)


def raised(app: str, number: int, timestamp: int) -> Message:
    alert = Alert(
        alert_id=codec.alert_id(f"{app}-{number}", "a-rule"), source="guard", severity="high", rule="a-rule",
        title="a-rule", timestamp=timestamp, app=app, decision_id="d",
    )  # fmt: skip
    return app.encode(), codec.encode(alert)


def publish(weir: Weir, app: str) -> None:
    """Send scores at a steady pace, an alert of the policy now and then."""
    began = int(time.time() * 1000)
    moments = [began + int(1000 * number * len(MODELS) / RATE) for number in range(EVENTS)]
    weir.send(topics.ALERTS, [raised(app, number, moments[number]) for number in range(0, EVENTS, 20)])
    messages = [scored(app, n, model, moments[n]) for n in range(EVENTS) for model in MODELS]
    weir.send(topics.SCORES, messages, RATE)


@pytest.fixture(params=["embedded", APACHE])
def weir(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Weir]:
    """A broker of the test's own: no other watch finds the same drifts. No guard and no store."""
    broker = new_broker(request.param, tmp_path / "kafka")
    broker.start()
    running = Weir(broker.address, tmp_path)
    try:
        asyncio.run(create_topics(running.settings))
        running.roles["watch"] = running.role("watch").start(ready=False)
        yield running
    finally:
        for role in running.roles.values():
            role.kill()
        broker.stop()


@pytest.fixture
def receiver(weir: Weir, tmp_path: Path) -> Iterator[Receiver]:
    """What notify tells."""
    with receiving() as running:
        routes = tmp_path / "routes.yaml"
        routes.write_text(json.dumps({"routes": [{"name": "hook", "webhook": {"url": running.url}}]}))
        options = {"WEIR_ROUTES": str(routes), "WEIR_ALERT_WAIT_S": str(WAIT_S)}
        weir.roles["notify"] = weir.role("notify", **options).start()
        yield running


def expected(weir: Weir, apps: set[str]) -> dict[str, set[str]]:
    """Return the parts of each alert, by its changes, had nothing happened."""
    s = weir.settings
    monitor = DriftMonitor(s.watch_metrics, s.watch_quiet_events, s.watch_learn_values, 1_000)
    drifts: list[DriftRecord] = []
    for record in weir.read(topics.SCORES):
        item = msgspec.json.decode(record.value, type=WatchedScores)
        if item.event.app in apps:
            drifts += monitor.update(item, record)
    keys = {app.encode() for app in apps}
    alerts = [record.value for record in weir.read(topics.ALERTS) if record.key in keys]
    found = [of_alert(codec.decode(Alert, value)) for value in alerts]
    signals = [*(each for each in found if each is not None), *map(of_drift, drifts)]
    return said(in_time(signals))


def in_time(signals: list[Signal]) -> list[AlertChange]:
    wait_ms = int(1000 * WAIT_S)
    cycle = LifeCycle(Timing(wait_ms, quiet=900_000, cooldown=3_600_000, repeat=10**9, accept=10**9))
    changes: list[AlertChange] = []
    for signal in sorted(signals, key=lambda each: each.part.timestamp):
        cycle.add(signal, signal.part.timestamp)
        changes += cycle.tick(signal.part.timestamp, caught_up=True)
    end = max(signal.part.timestamp for signal in signals)
    later = (end + wait_ms * number for number in range(2, 5))
    return changes + [change for now in later for change in cycle.tick(now, caught_up=True)]


def said(changes: list[AlertChange]) -> dict[str, set[str]]:
    """Return of each change that is told the kinds of parts that its alert has in the end."""
    parts = {each.alert_id: {part.part_id for part in each.parts} for each in changes}
    return {each.change_id: parts[each.alert_id] for each in changes if each.change != "grew"}


def published(weir: Weir, apps: set[str]) -> dict[str, set[str]]:
    found = [codec.decode(AlertChange, record.value) for record in weir.read(topics.ALERT_STATES)]
    mine = [each for each in found if each.app in apps]
    return said(sorted(mine, key=lambda each: (each.version, each.timestamp)))


def told(receiver: Receiver, apps: set[str]) -> set[str]:
    found = [json.loads(request.body) for request in receiver.requests]
    return {each["change_id"] for each in found if each["app"] in apps}


def test_alerts_are_the_same_whenever_watch_and_notify_are_killed(weir: Weir, receiver: Receiver) -> None:
    seed = int(os.environ.get("WEIR_TEST_SEED", "0")) or random.SystemRandom().randrange(10**6)
    rng = random.Random(seed)
    apps: set[str] = set()
    victims = [*weir.roles.values()]
    # Each of both at least once, and in what order is up to chance.
    order = rng.sample(victims, 2) + rng.choices(victims, k=KILLS)
    for left in range(KILLS, 0, -KILLS_OF_AN_APP):
        app = f"kills-{uuid.uuid4().hex[:8]}"
        apps.add(app)
        sending = threading.Thread(target=publish, args=(weir, app))
        sending.start()
        for _ in range(min(left, KILLS_OF_AN_APP)):
            time.sleep(rng.uniform(0.0, 1.5))
            victim = order.pop(0)
            victim.kill()
            victim.start(ready=False)
        sending.join()
    for victim in victims:
        victim.await_ready()
    wait_until(lambda: weir.roles["watch"].lag() == 0, "watch is done")
    wanted = expected(weir, apps)
    # Of each app a drift that opened and returned, and one alert of the policy.
    assert len(wanted) == 3 * len(apps), wanted
    with suppress(AssertionError):  # what is missing is said by the next line
        wait_until(lambda: set(published(weir, apps)) >= set(wanted), f"all are published (seed {seed})")
    assert published(weir, apps) == wanted, f"seed {seed}"
    wait_until(lambda: told(receiver, apps) >= set(wanted), f"all are told (seed {seed})")
    assert told(receiver, apps) == set(wanted), f"seed {seed}"
