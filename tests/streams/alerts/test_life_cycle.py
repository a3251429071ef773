"""One alert for one cause, and what becomes of it."""

import random
from collections.abc import Iterable

import msgspec
import pytest

from schemas.events import Alert
from streams.alerts.actions import acknowledge, resolve, silence
from streams.alerts.life_cycle import MOST, LifeCycle, Memory
from streams.alerts.signals import Signal, of_alert
from tests.streams.alerts.cycles import T0, TIMING, Run, S, alert, drift, nine_drifts


def test_alerts_of_one_rule_are_one_that_opens_after_the_wait_and_ends_after_quiet() -> None:
    run = Run()
    assert run.at(0, alert(1, 0), alert(2, 1)) == []
    assert run.at(5, alert(3, 5)) == []
    assert run.at(10) == ["opened"]
    assert run.at(60, alert(4, 60)) == []
    assert run.at(71) == ["grew"], "at most once a minute"
    assert run.at(959) == []
    assert run.at(960) == ["resolved"]
    last = run.said[-1]
    assert {each.alert_id for each in run.said} == {"a1"}
    assert (last.state, last.reason, last.alerts, len(last.parts)) == ("resolved", "quiet", 4, 4)
    assert last.kind == "policy"
    assert [each.change_id for each in run.said] == ["a1:opened:1", "a1:grew:1", "a1:resolved:1"]
    assert [each.version for each in run.said] == [1, 2, 3]


def test_an_alert_is_told_though_the_clock_was_set_back() -> None:
    run = Run()
    assert run.at(3_600, alert(1, 3_600)) == []
    assert run.at(5) == ["opened"]


def test_an_alert_ends_and_is_told_again_in_time_though_the_clock_was_set_back() -> None:
    hours = 12 * 3_600
    for restarted in (False, True):
        run = Run()
        run.at(hours, alert(1, hours))
        assert run.at(hours + 10) == ["opened"]
        if restarted:
            packed = msgspec.msgpack.encode(run.cycle.export())
            run.cycle = LifeCycle(TIMING)
            run.cycle.restore(msgspec.msgpack.decode(packed, type=Memory))
        assert run.at(0) == []
        assert run.at(899) == []
        assert run.at(900) == ["resolved"], "as long after as if the clock had not been touched"
    lasting = Run()
    lasting.at(hours, alert(1, hours, open_ended=True))
    assert [lasting.at(at) for at in (hours + 10, 0, 4 * 3_600 - 1)] == [["opened"], [], []]
    assert lasting.at(4 * 3_600) == ["still_open"]


def test_a_repeat_counts_once() -> None:
    run = Run()
    run.at(0, alert(1), alert(1), alert(2))
    run.at(10, alert(2), alert(1))
    assert run.said[0].alerts == 2
    assert run.at(80) == []


def test_it_is_named_by_its_earliest_in_whatever_order_they_come() -> None:
    signals = [alert(number, number / 10) for number in range(20)]
    names = set()
    for seed in range(10):
        random.Random(seed).shuffle(signals)
        run = Run()
        run.at(3, *signals)
        run.at(13)
        names.add((run.said[0].alert_id, run.said[0].opened_at))
    assert names == {("a0", T0)}


def test_what_comes_back_within_the_cooldown_is_the_same_alert_and_later_another() -> None:
    run = Run()
    run.at(0, alert(1))
    run.at(10)
    assert run.at(901) == ["resolved"]
    assert run.at(2_000, alert(2, 2_000)) == ["reopened"]
    assert run.at(2_900) == ["resolved"]
    assert run.at(9_000, alert(3, 9_000)) == []
    assert run.at(9_010) == ["opened"]
    assert [each.alert_id for each in run.said] == ["a1"] * 4 + ["a3"]


def test_a_backlog_gives_the_alerts_that_it_would_have_given_in_time() -> None:
    """Nothing is over until all is read; then the timestamps say what was one."""
    run = Run()
    hours = [alert(number, 3600 * number * 2) for number in range(3)]
    assert run.at(50_000, *hours, caught_up=False) == []
    assert run.at(50_009) == []
    assert run.at(50_010) == ["opened", "resolved", "opened", "resolved", "opened"]
    assert [each.alert_id for each in run.said] == ["a0", "a0", "a1", "a1", "a2"]


def test_nothing_is_over_while_there_is_more_to_read() -> None:
    run = Run()
    run.at(0, alert(1))
    run.at(10)
    assert run.at(5_000, caught_up=False) == []
    assert run.at(5_000, alert(2, 4_000)) == ["grew"]


def test_it_is_told_again_until_somebody_acknowledges_and_when_it_gets_worse() -> None:
    run = Run()
    for minute in range(0, 600, 10):
        run.at(60 * minute, alert(minute, 60 * minute))
    told = [each.change for each in run.said if each.change != "grew"]
    assert told == ["opened", "still_open", "still_open"]
    now = T0 + 36_000 * S
    assert run.cycle.act(acknowledge("a0", "kim", "on it", now_ms=now), now)
    run.at(36_000)
    assert (run.said[-1].state, run.said[-1].who, run.said[-1].comment) == ("acknowledged", "kim", "on it")
    run.said.clear()
    for minute in range(600, 1_000, 10):
        run.at(60 * minute, alert(minute, 60 * minute))
    assert {each.change for each in run.said} == {"grew"}
    assert "escalated" in run.at(60_000, alert(7_000, 60_000, severity="critical"))
    assert (run.said[-1].state, run.said[-1].severity) == ("open", "critical")


def test_a_silence_ends_by_itself_and_a_person_can_end_the_alert() -> None:
    run = Run()
    run.at(0, alert(1))
    run.at(10)
    now = T0 + 20 * S
    run.cycle.act(silence("a1", "kim", now + 300 * S, now_ms=now), now)
    assert run.at(20) == ["silenced"]
    assert run.at(320) == ["unsilenced"]
    assert [each.state for each in run.said] == ["open", "silenced", "open"]
    run.cycle.act(resolve("a1", "kim", now_ms=now + 400 * S), now + 400 * S)
    assert run.at(420) == ["resolved"]
    assert run.said[-1].reason == "by hand"
    assert not run.cycle.act(resolve("nobody", "kim", now_ms=now), now)


def test_an_action_is_done_once_and_by_the_id_of_any_part() -> None:
    run = Run()
    run.at(0, alert(1), alert(2))
    run.at(10)
    action = acknowledge("a2", "kim", now_ms=T0)
    assert run.cycle.act(action, T0)
    assert run.cycle.act(action, T0)
    assert run.at(11) == ["acknowledged"]


def test_what_lasts_ends_when_it_is_said_to_be_over() -> None:
    run = Run()
    run.at(0, alert(1, open_ended=True, subject="user-7"))
    run.at(10)
    assert run.at(5_000) == []
    assert run.at(5_001, alert(1, open_ended=True, subject="user-7", resolved_at=T0 + 5_000 * S)) == [
        "resolved"
    ]
    assert (run.said[-1].reason, run.said[-1].resolved_at) == ("ended", T0 + 5_000 * S)


def test_a_rule_in_shadow_opens_nothing() -> None:
    assert of_alert(Alert(alert_id="a", source="guard", severity="high", rule="r", title="t", timestamp=1,
                          app="shop", mode="shadow")) is None  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_a_restart_anywhere_changes_nothing(seed: int) -> None:
    """What was read since the last snapshot is read again, and says the same."""
    rng = random.Random(seed)
    signals: list[tuple[float, Signal]] = [
        (at, alert(n, at)) for n, at in enumerate((0, 3, 400, 2_000, 9_000, 9_005))
    ]
    signals += [(121, each) for each in nine_drifts()]
    signals += [(530, drift(f"back-{m}", 500, 530, 1_300, 700, model=m)) for m in "abcd"]
    signals += [(531, drift(f"back-t{m}", 500, 531, 390, 200, metric="ttft_ms", model=m)) for m in "a"]
    signals.sort(key=lambda pair: pair[0])
    assert changes(signals, frozenset()) == changes(signals, frozenset(rng.sample(range(1_200), 40)))


def changes(signals: Iterable[tuple[float, Signal]], crashes: frozenset[int]) -> dict[str, tuple[str, int]]:
    """Return what is said, by id; a step takes ten seconds, and after a crash the step before comes again."""
    run = Run()
    packed = msgspec.msgpack.encode(run.cycle.export())
    timed = list(signals)
    for step in range(1_200):
        for again in range(1 + (step in crashes)):
            if again:
                run.cycle = LifeCycle(TIMING)
                run.cycle.restore(msgspec.msgpack.decode(packed, type=Memory))
            run.at(10 * step, *(each for at, each in timed if 10 * (step - 1) < at <= 10 * step))
        packed = msgspec.msgpack.encode(run.cycle.export())
    return {each.change_id: (each.state, each.alerts) for each in run.said}


def test_a_flood_of_names_is_bounded() -> None:
    run = Run()
    run.at(0, *(alert(number, 0, app=f"app-{number}") for number in range(MOST + 400)))
    run.at(10)
    assert run.cycle.open == MOST + 1
    crowd = next(each for each in run.said if each.app == "")
    assert (crowd.alerts, len(crowd.parts)) == (400, 32)
    run.at(2_000)
    assert run.cycle.open == 0
    assert len(run.cycle.export().alerts) <= MOST
