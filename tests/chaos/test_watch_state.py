"""The state of watch is what it would be had nothing happened: no score lost, none counted twice."""

import msgspec
import pytest

from schemas import codec, topics
from schemas.events import Alert, DriftRecord, Event
from streams.drift import DriftMonitor, WatchedScores
from tests.harness import Weir, make_events, wait_until

pytestmark = [pytest.mark.kafka]
METRIC = "latency_ms"


def shifting(app: str, count: int) -> list[Event]:
    """Return events whose latency rises half way."""
    return [
        msgspec.structs.replace(event, latency_ms=(100.0 if i < count // 2 else 900.0) + i % 7)
        for i, event in enumerate(make_events(app, count))
    ]


def uninterrupted(weir: Weir, app: str) -> tuple[int, list[DriftRecord]]:
    """Return samples and drifts of a monitor that reads the scores once, in order."""
    settings = weir.settings
    monitor = DriftMonitor(settings.watch_metrics, settings.watch_delta, 100)
    found = []
    for record in weir.read(topics.SCORES):
        item = msgspec.json.decode(record.value, type=WatchedScores)
        if item.event.app == app:
            found += monitor.update(item, record.offset, record.timestamp)
    return sum(state.samples for state in monitor._states.values()), found


def test_a_shift_is_found_once_although_watch_is_killed(weir: Weir) -> None:
    app, count = "shifting", 800
    events = shifting(app, count)
    weir.publish(events[: count // 2 + 100])
    watch = weir.roles["watch"]
    wait_until(lambda: watch.metric("weir_messages_total") > 0, "watch works")
    watch.kill()
    weir.publish(events[count // 2 + 100 :])
    watch.start()
    weir.await_rows(app, count)
    wait_until(lambda: watch.lag() == 0, "watch is done")
    samples, expected = uninterrupted(weir, app)
    assert samples >= count, "a score that was delivered twice counts twice, in both runs"
    assert any(record.metric == METRIC for record in expected)
    records = [codec.decode(DriftRecord, r.value) for r in weir.read(topics.DRIFT)]
    mine = {r.drift_id: r for r in records if r.app == app}
    assert mine == {r.drift_id: r for r in expected}
    alerts = [codec.decode(Alert, r.value) for r in weir.read(topics.ALERTS)]
    assert {a.event_id for a in alerts if a.app == app and a.source == "watch"} == {
        r.event_id for r in expected
    }
    kept = "SELECT DISTINCT drift_id FROM drift WHERE app = {app:String}"
    wait_until(lambda: {row[0] for row in weir.query(kept, app=app)} == set(mine), "rows of the drift")
