"""Volume of an app: what is usual at that hour is learned, far more is one alert, which resolves."""

import random
from collections.abc import Iterator

import pytest

from schemas.events import Alert
from streams.monitors import snapshots
from streams.monitors.snapshots import AppKey, Newest
from streams.monitors.volume import COLD_HOURS, FACTOR, HOUR_MS, LEAST, MOST_APPS, VolumeMonitor
from streams.monitors.watched import Counted, WatchedEvent, WatchedScores
from tests.streams.records import NOW_MS, FakeRecord

START = NOW_MS // HOUR_MS * HOUR_MS
BUSY, QUIET = 120, 6


class Traffic:
    """Events of one app, hour by hour; offsets go on."""

    def __init__(self) -> None:
        self.offset = 0
        self.hour = 0

    def hours(self, *counts: int, cost: float = 0.0) -> Iterator[Counted]:
        for count in counts:
            for number in range(count):
                at = START + self.hour * HOUR_MS + number * HOUR_MS // count
                event = WatchedEvent(event_id=f"e{self.offset}", app="a", kind="prompt", cost=cost)
                yield WatchedScores(event, {}, at), FakeRecord(b"", self.offset, timestamp=at)
                self.offset += 1
            self.hour += 1


def usual(hours: int, first: int = 0) -> list[int]:
    """Return a busy time of day and a quiet one, not the same from day to day."""
    rng = random.Random(first)
    return [
        round((BUSY if 8 <= hour % 24 < 18 else QUIET) * rng.uniform(0.7, 1.4))
        for hour in range(first, first + hours)
    ]


def told(alerts: list[Alert]) -> list[tuple[str, bool]]:
    return [(alert.metric, bool(alert.resolved_at)) for alert in alerts]


def learned(days: int) -> tuple[VolumeMonitor, Traffic]:
    monitor, traffic = VolumeMonitor(), Traffic()
    assert monitor.update(traffic.hours(*usual(24 * days))) == [], "a quiet time raises nothing"
    return monitor, traffic


def test_far_more_than_usual_is_one_alert_that_resolves() -> None:
    monitor, traffic = learned(15)
    found = monitor.update(traffic.hours(*[QUIET] * 9, 10 * BUSY, 10 * BUSY, BUSY, BUSY))
    assert told(found) == [("app_events_1h", False), ("", True)]
    raised, resolved = found
    assert (raised.alert_id, raised.rule, raised.app) == (resolved.alert_id, "volume", "a")
    assert raised.open_ended
    assert resolved.open_ended
    assert raised.score is not None
    assert FACTOR * BUSY * 0.7 < raised.score < FACTOR * BUSY * 2
    assert resolved.resolved_at == START + (15 * 24 + 12) * HOUR_MS


def test_what_is_usual_by_day_is_not_at_night() -> None:
    monitor, traffic = learned(15)
    assert told(monitor.update(traffic.hours(QUIET, QUIET, 3 * BUSY))) == [("app_events_1h", False)]


def test_cost_counts_as_well() -> None:
    monitor, traffic = VolumeMonitor(), Traffic()
    assert monitor.update(traffic.hours(*usual(15 * 24), cost=0.01)) == []
    assert told(monitor.update(traffic.hours(20, cost=5.0))) == [("app_cost_1h", False)]


@pytest.mark.parametrize("hours", [0, 10, COLD_HOURS])
def test_an_app_is_learned_first(hours: int) -> None:
    monitor, traffic = VolumeMonitor(), Traffic()
    monitor.update(traffic.hours(*[1] * hours))
    assert monitor.update(traffic.hours(5_000)) == []


@pytest.mark.parametrize(("count", "alerts"), [(int(LEAST[0]), 0), (int(LEAST[0]) + 1, 1)])
def test_little_is_never_too_much(count: int, alerts: int) -> None:
    monitor, traffic = VolumeMonitor(), Traffic()
    monitor.update(traffic.hours(*[1] * (2 * COLD_HOURS)))
    assert len(monitor.update(traffic.hours(count))) == alerts


def test_an_app_that_is_never_steady_raises_little() -> None:
    rng, alarms = random.Random(0), 0
    for _ in range(3):
        monitor, traffic = VolumeMonitor(), Traffic()
        counts = [round(40 * rng.lognormvariate(0, 0.8)) for _ in range(24 * 14)]
        alarms += sum(not alert.resolved_at for alert in monitor.update(traffic.hours(*counts)))
    assert alarms <= 1


def test_a_level_that_stays_becomes_usual() -> None:
    monitor, traffic = learned(15)
    higher = [5 * count for count in usual(24 * 7)]
    assert monitor.update(traffic.hours(*higher))
    assert monitor.update(traffic.hours(*higher[:48])) == []


@pytest.mark.parametrize("cut", [0, 500, 4_000])
def test_after_a_kill_it_is_as_if_nothing_had_happened(cut: int) -> None:
    traffic = Traffic()
    events = list(traffic.hours(*usual(24 * 4), 9 * BUSY, 9 * BUSY, BUSY, BUSY))
    alone, first, second = VolumeMonitor(), VolumeMonitor(), VolumeMonitor()
    expected = alone.update(events)
    early = first.update(events[:cut])
    newest = Newest(frozenset({0}), 1)
    for partition, key, value in first.changes(1):
        newest.offer(partition, key, value)
    second.restore(newest)
    late = second.update(events[max(0, cut - 100) :])
    assert [*early, *late] == expected
    assert len(expected) == 2
    assert list(second.changes(1)) == list(alone.changes(1))


def test_a_snapshot_that_cannot_be_read_costs_one_app() -> None:
    newest = Newest(frozenset({0}), 1)
    for app, content in (("a", b"\x90"), ("b", b"junk"), ("c", b"")):
        newest.offer(0, snapshots.encode_key(AppKey(0, app)), snapshots.encode(0, 1, 1, 1, content))
    monitor = VolumeMonitor()
    monitor.restore(newest)
    assert newest.unreadable == 2, "an empty state is one"
    assert monitor.update(Traffic().hours(3)) == []


def test_a_gap_of_a_year_is_passed_over() -> None:
    monitor, traffic = learned(3)
    traffic.hour += 24 * 365
    assert monitor.update(traffic.hours(5, 5)) == []


def test_names_that_are_made_up_push_out_no_app_that_is_known() -> None:
    monitor, traffic = learned(15)
    topic = list(monitor.changes(1))
    monitor.written()
    for number in range(3 * MOST_APPS):
        event = WatchedEvent(event_id=f"e{number}", app=f"made up {number}", kind="prompt")
        at = START + traffic.hour * HOUR_MS
        offset = traffic.offset + number
        monitor.update([(WatchedScores(event, {}, at), FakeRecord(b"", offset, timestamp=at))])
    assert len(monitor._apps) <= MOST_APPS
    assert not any(value is None for _, _, value in monitor.changes(1)), (
        "what was never written is not deleted"
    )
    traffic.offset += 3 * MOST_APPS
    found = monitor.update(traffic.hours(*[QUIET] * 9, 10 * BUSY))
    assert told(found) == [("app_events_1h", False)], "what is usual is still known"
    assert len(topic) == 1
