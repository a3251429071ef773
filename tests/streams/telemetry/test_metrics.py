"""Health means progress; metrics have few labels; logs of libraries do not flood."""

import logging

import pytest
from aiohttp import ClientSession

from streams.local.process import HOST, free_port
from streams.telemetry import catalogue
from streams.telemetry.logs import SeldomFilter
from streams.telemetry.metrics import Telemetry
from streams.telemetry.server import TelemetryServer
from tests.streams.records import Clock


def test_waiting_messages_without_progress_are_a_stall() -> None:
    clock = Clock()
    telemetry = Telemetry("guard", stall_s=10, clock=clock)
    telemetry.lag(5)
    clock.now += 9
    assert telemetry.health()[0]
    clock.now += 2
    healthy, body = telemetry.health()
    assert not healthy
    assert body["status"] == "stalled"
    with telemetry.batch(5):
        pass
    assert telemetry.health()[0]


def test_nothing_to_do_is_no_stall() -> None:
    clock = Clock()
    telemetry = Telemetry("guard", stall_s=10, clock=clock)
    for _ in range(5):
        clock.now += 9
        telemetry.lag(0)
    assert telemetry.health()[0]


def test_a_batch_that_never_ends_is_a_stall_even_without_lag() -> None:
    clock = Clock()
    telemetry = Telemetry("archive", stall_s=10, clock=clock)
    clock.now += 100
    telemetry.lag(0)
    with telemetry.batch(5):
        clock.now += 11
        telemetry.lag(0)
        assert not telemetry.health()[0]


def test_a_degraded_role_says_why_and_is_healthy() -> None:
    clock = Clock()
    telemetry = Telemetry("archive", stall_s=10, clock=clock)
    telemetry.degrade("store")
    telemetry.degrade("dead_letters")
    healthy, body = telemetry.health()
    assert (healthy, body["status"], body["degraded"]) == (True, "degraded", ["dead_letters", "store"])
    telemetry.degrade("store", False)
    telemetry.degrade("dead_letters", False)
    assert telemetry.health()[1]["status"] == "ok"
    assert telemetry.registry.get_sample_value("weir_degraded", {"reason": "store"}) == 0
    telemetry.degrade("store")
    clock.now += 11
    assert telemetry.health()[1]["status"] == "stalled"


def test_no_metric_has_a_label_of_many_values() -> None:
    few = {"stage", "detector", "action", "left_out", "rule", "mode", "reason", "severity", "metric", "table"}
    few |= {"version", "hash", "detectors", "lane", "endpoint", "status", "outcome", "route"}
    assert {label for metric in catalogue.ALL for label in metric.labels} == few
    assert len({metric.name for metric in catalogue.ALL}) == len(catalogue.ALL)


async def test_the_endpoints_answer() -> None:
    clock = Clock()
    telemetry = Telemetry("guard", stall_s=10, clock=clock)
    port = free_port()
    server = TelemetryServer(telemetry, HOST, port, "WEIR_GUARD_PORT")
    await server.start()
    try:
        async with ClientSession(f"http://{HOST}:{port}") as session:

            async def get(path: str) -> tuple[int, str]:
                async with session.get(path) as reply:
                    return reply.status, await reply.text()

            assert (await get("/readyz"))[0] == 503
            telemetry.ready = True
            assert (await get("/readyz"))[0] == 200
            telemetry.count(catalogue.DECISIONS, 3, "block")
            assert 'weir_decisions_total{action="block"} 3.0' in (await get("/metrics"))[1]
            telemetry.lag(1)
            clock.now += 11
            assert (await get("/healthz"))[0] == 503
        other = TelemetryServer(telemetry, HOST, port, "WEIR_GUARD_PORT")
        with pytest.raises(OSError, match="WEIR_GUARD_PORT"):
            await other.start()
    finally:
        await server.stop()


def test_a_message_is_let_through_once_in_ten_seconds() -> None:
    clock = Clock()
    seldom = SeldomFilter(clock)

    def passes(text: str, *args: object) -> bool:
        return seldom.filter(logging.LogRecord("aiokafka", logging.ERROR, "f", 1, text, args, None))

    assert passes("node %s", 1)
    assert not passes("node %s", 2)
    assert passes("other")
    clock.now += 10
    assert passes("node %s", 3)


def test_what_waits_with_the_broker_counts_as_waiting() -> None:
    telemetry = Telemetry("guard", clock=lambda: 10.0)
    with telemetry.batch(1, fetched=9.8):
        assert telemetry.waited_s == pytest.approx(0.2)
        telemetry.behind_s = 3.0
        assert telemetry.waited_s == 3.0
