"""What the demo plants is found, once each, and nothing else: rehearsed by a clock that nobody waits for."""

import random
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

import msgspec
import pytest

from detectors.runner import Runner
from schemas import codec
from schemas.alerts import AlertChange, AlertPart, AlertState
from schemas.events import Alert, Event
from streams.alerts.life_cycle import LifeCycle, Timing
from streams.alerts.signals import Signal, of_alert, of_drift
from streams.decisions.alerts import Alerting
from streams.decisions.judge import Judge
from streams.decisions.scoring import make_runner, owners
from streams.decisions.text_storage import Keeper
from streams.monitors.drift import DriftMonitor
from streams.monitors.usage import UsageMonitor
from streams.monitors.usage_view import UsageView
from streams.monitors.watched import WatchedScores
from streams.policy import DEFAULT_POLICY
from streams.policy.file import parse
from streams.settings import Settings
from tests.example_scripts import EXAMPLES, load
from tests.streams.records import NOW_MS, FakeRecord

BATCH = 40
TICK = 10
DECODER = msgspec.json.Decoder(WatchedScores)


class Judged(NamedTuple):
    """What watch and notify get of one event."""

    value: bytes
    signals: list[Signal]


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    return load("demo")


@pytest.fixture(scope="module")
def settings(demo: ModuleType) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in demo.SETTINGS.items():
            patch.setenv(name, value)
        return Settings(_env_file=None)


@pytest.fixture(scope="module")
def runner(settings: Settings) -> Iterator[Runner]:
    running = make_runner(settings)
    yield running
    running.close()


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXAMPLES)
    return load("demo_live")


def judged(demo: ModuleType, settings: Settings, runner: Runner, events: list[Event]) -> list[Judged]:
    """Judge events as the demo's guard does, with its policy, which asks for usage."""
    text = DEFAULT_POLICY.read_text("utf-8") + demo.ABUSIVE_USER
    policy = parse(text, owners(runner), runner.ranges).compile(runner.metrics)
    usage, view = UsageMonitor(settings.usage_entities, settings.watch_injection_score), UsageView(10_000)
    keeper = Keeper(settings.storage, settings.redaction_key_bytes, runner.finders)
    judge = Judge(runner, keeper, lambda: NOW_MS, view)
    found: list[Judged] = []
    for start in range(0, len(events), BATCH):
        batch = events[start : start + BATCH]
        judgement = judge.judge(batch, policy)
        values = [codec.encode(scored) for scored in judgement.scored]
        alerts = [codec.decode(Alert, value) for _, value in Alerting.bare(judgement.raised)]
        for event, value in zip(batch, values, strict=True):
            mine = [of_alert(alert) for alert in alerts if alert.event_id == event.event_id]
            found.append(Judged(value, [signal for signal in mine if signal is not None]))
        records = [FakeRecord(None, start + n, timestamp=NOW_MS) for n in range(len(batch))]
        counted = zip(map(DECODER.decode, values), records, strict=True)
        view.take([value for _, value in usage.update(list(counted), 1)])
    return found


def become(demo: ModuleType, settings: Settings, arriving: list[Judged]) -> list[AlertChange]:
    """Return the last change of each alert when these arrive, evenly in the demo's time."""
    monitor = DriftMonitor(
        settings.watch_metrics, settings.watch_quiet_events, settings.watch_learn_values, 100
    )
    cycle, states = LifeCycle(Timing.of(settings)), dict[str, AlertChange]()
    step = 1000 * demo.SECONDS / demo.EVENTS
    now = NOW_MS
    for offset, each in enumerate(arriving):
        now = NOW_MS + int(offset * step)
        item = msgspec.structs.replace(DECODER.decode(each.value), timestamp=now)
        drifts = monitor.update(item, FakeRecord(None, offset, timestamp=now))
        for signal in (*map(of_drift, drifts), *(_at(signal, now) for signal in each.signals)):
            cycle.add(signal, now)
        if offset % TICK == 0:
            states |= {change.alert_id: change for change in cycle.tick(now, caught_up=True)}
    for moment in range(now, now + 30_000, 1_000):
        states |= {change.alert_id: change for change in cycle.tick(moment, caught_up=True)}
    return list(states.values())


def _at(signal: Signal, now: int) -> Signal:
    return signal._replace(part=msgspec.structs.replace(signal.part, timestamp=now))


def as_read(arriving: list[Judged], seed: int) -> list[Judged]:
    """Return conversations in an order in which a guard may read them, from partitions that take turns."""
    rng = random.Random(seed)
    late = [rng.uniform(0, 150) for _ in arriving]
    order = sorted(range(len(arriving)), key=lambda number: (number // 2 * 2 + late[number // 2], number))
    return [arriving[number] for number in order]


def test_each_thing_planted_is_one_alert_that_ends(
    demo: ModuleType, settings: Settings, runner: Runner, live: ModuleType
) -> None:
    events = list(load("traffic").events(demo.EVENTS))
    found = judged(demo, settings, runner, events)
    for arriving in (found, as_read(found, 1), as_read(found, 2)):
        live.check_alerts(become(demo, settings, arriving))


def test_quiet_traffic_raises_nothing(demo: ModuleType, settings: Settings, runner: Runner) -> None:
    events = list(load("traffic").events(demo.EVENTS // 2, quiet=True))
    assert become(demo, settings, judged(demo, settings, runner, events)) == []


def change(metric: str, state: AlertState = "resolved", kind: str = "drift") -> AlertChange:
    parts = tuple(AlertPart(part_id=each, title=each, timestamp=1, metric=each) for each in metric.split("+"))
    return AlertChange(
        change_id=metric, alert_id=metric, change="resolved", state=state, severity="medium", kind=kind,
        rule=kind, app="shop", title=metric, timestamp=1, opened_at=1, last_at=1, parts=parts,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("metrics", "problem"),
    [
        (("toxicity", "latency_ms"), None),
        (("toxicity",), "slower: one resolved alert was expected, there is: none"),
        (("toxicity", "latency_ms", "latency_ms"), "there is: resolved, resolved"),
        (("toxicity+latency_ms",), "2 things were planted, and 1 alerts found: toxicity+latency_ms"),
        (("toxicity", "latency_ms", "cost"), "3 alerts found: toxicity; latency_ms; cost"),
    ],
)
def test_the_demo_says_what_was_not_found_once(
    live: ModuleType, monkeypatch: pytest.MonkeyPatch, metrics: tuple[str, ...], problem: str | None
) -> None:
    monkeypatch.setattr(live, "PLANTED", {"toxicity": live.RUDENESS, "latency_ms": live.SLOWNESS})
    found = [change(metric) for metric in metrics] + [change("injection", kind="policy")]
    if problem is None:
        live.check_alerts(found)
        found[0] = change(metrics[0], "open")
        problem = "rude to review-writer: one resolved alert was expected, there is: open"
    with pytest.raises(live.Unexpected, match=problem.replace("+", r"\+")):
        live.check_alerts(found)
