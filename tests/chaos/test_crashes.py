"""Workers, store and broker die in the middle of traffic; nothing is lost and nothing counts twice."""

import signal
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from schemas.events import Event
from streams.roles import ROLES
from tests.brokers import KafkaBroker, apache_missing
from tests.harness import EVENTS, OUTAGE_S, PATIENCE_S, Weir, make_events, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(4 * PATIENCE_S)]
RATE = EVENTS / 5
BEST = "embedded" if apache_missing() else "apache"
on_one_broker = pytest.mark.parametrize("kafka", [BEST], indirect=True)
"""For what has little to do with the kind of broker: each run takes seconds."""


@contextmanager
def traffic(weir: Weir, events: list[Event], rate: float | None = None) -> Iterator[None]:
    """Publish in the background, in `EVENTS / RATE` seconds unless told; at the end all is published."""
    thread = threading.Thread(target=weir.publish, args=(events, rate or RATE))
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_killed(weir: Weir, name: str) -> None:
    app = f"killed-{name}"
    with traffic(weir, make_events(app, EVENTS)):
        wait_until(lambda: weir.rows(app) > EVENTS / 20, "rows arrive")
        weir.roles[name].kill()
        time.sleep(0.5)
        weir.roles[name].start()
    weir.check_complete(app, EVENTS)


def test_workers_die_and_join(weir: Weir) -> None:
    app = "rebalanced"
    others = {name: weir.role(name) for name in ("guard", "archive")}
    third = weir.role("guard")
    try:
        with traffic(weir, make_events(app, EVENTS)):
            for other in others.values():
                other.start()
            for other in others.values():
                other.kill()
            third.start()
            assert third.stop() == 0
    finally:
        for worker in (*others.values(), third):
            worker.kill()
    weir.check_complete(app, EVENTS)


@on_one_broker
def test_the_store_is_killed(weir: Weir) -> None:
    app = "store-killed"
    with traffic(weir, make_events(app, EVENTS)):
        wait_until(lambda: weir.rows(app) > EVENTS / 20, "rows arrive")
        assert weir.store_child is not None
        weir.store_child.kill()
        weir.start_store()
    weir.check_complete(app, EVENTS)


@on_one_broker
def test_decisions_go_on_while_the_store_is_away(weir: Weir) -> None:
    app, rate = "store-away", 100.0
    calm, away = int(3 * rate), int(OUTAGE_S * rate)
    weir.publish(make_events(app, calm), rate)
    weir.stop_store()
    try:
        weir.publish(make_events(app, away, start=calm), rate)
        wait_until(lambda: weir.roles["guard"].lag() == 0, "the guard has decided")
    finally:
        weir.start_store()
    latencies: dict[bool, list[float]] = {False: [], True: []}
    for decision in weir.decisions(app):
        latencies[int(decision.event_id.rpartition("-")[2]) >= calm].append(decision.latency_ms)
    assert len(latencies[True]) == away, "decided while the store is away"
    before, during = (statistics.median(latencies[moment]) for moment in (False, True))
    print(f"median latency of a decision: {before:.1f} ms before, {during:.1f} ms with the store away")
    assert during < max(10 * before, 1000 * OUTAGE_S / 4), "else it waits for the store"
    weir.check_complete(app, calm + away)
    assert weir.roles["archive"].metric("weir_store_retries_total") > 0


def test_the_broker_crashes(weir: Weir, kafka: KafkaBroker) -> None:
    app = "broker-killed"
    with traffic(weir, make_events(app, EVENTS)):
        wait_until(lambda: weir.rows(app) > EVENTS / 20, "rows arrive")
        kafka.kill()
        time.sleep(1.0)
        kafka.start()
    weir.check_complete(app, EVENTS)
    assert all(role.running for role in weir.roles.values())


@on_one_broker
@pytest.mark.parametrize("name", ROLES)
def test_a_role_that_is_told_to_stop_finishes_and_exits_0(weir: Weir, name: str) -> None:
    app = f"stopped-{name}"
    role = weir.roles[name]
    with traffic(weir, make_events(app, EVENTS // 4), rate=EVENTS / 8):
        time.sleep(0.7)
        role.signal(signal.SIGTERM)
        assert role.wait() == 0
        role.start()
    weir.check_complete(app, EVENTS // 4)
    if name == "guard":
        # What it finished before it stopped was committed: a clean stop repeats nothing.
        assert len(weir.decisions(app)) == EVENTS // 4
