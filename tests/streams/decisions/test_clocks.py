"""Records from the future are judged, and the health says that a clock is wrong until it is right."""

from streams.decisions.clocks import SHOWN_S, Clocks
from streams.telemetry.metrics import Telemetry
from tests.streams.records import Clock


def test_records_from_the_future_show_for_a_while() -> None:
    clock, telemetry = Clock(), Telemetry("guard")
    clocks = Clocks(telemetry, 3_600_000, clock)
    clocks.note(3_600_000)
    assert telemetry.health()[1]["degraded"] == []
    clocks.note(7_200_000)
    health = telemetry.health()[1]
    assert (health["status"], health["degraded"]) == ("degraded", ["clock"])
    assert health["problems"]["clock"].startswith("records are 7,200 s ahead of this machine: set its clock")
    clock.now = SHOWN_S - 1
    clocks.note(0)
    assert telemetry.health()[1]["degraded"] == ["clock"]
    clock.now = SHOWN_S
    clocks.note(0)
    assert telemetry.health()[1]["problems"] == {}


def test_what_others_say_of_a_clock_is_left_alone() -> None:
    telemetry = Telemetry("guard")
    clocks = Clocks(telemetry, 3_600_000, Clock())
    telemetry.degrade("clock", problem="the broker refuses messages")
    clocks.note(0)
    assert telemetry.health()[1]["problems"] == {"clock": "the broker refuses messages"}
