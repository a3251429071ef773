"""One alert for one cause, and what becomes of it."""

import random
from collections.abc import Iterable

import msgspec
import pytest

from schemas.alerts import AlertChange
from schemas.events import Alert, DriftRecord, Severity
from streams.alerts.actions import acknowledge, resolve, silence
from streams.alerts.life_cycle import MOST, LifeCycle, Memory, Timing
from streams.alerts.signals import Signal, of_alert, of_drift

S = 1_000
T0 = 1_700_000_000 * S
TIMING = Timing(wait=10 * S, quiet=900 * S, cooldown=3600 * S, repeat=14_400 * S, accept=86_400 * S)


def alert(
    number: int, at: float = 0, *, app: str = "shop", severity: Severity = "high", **more: object
) -> Signal:
    found = of_alert(
        Alert(
            alert_id=f"a{number}", source="guard", severity=severity, rule="injection-block",
            title="injection 0.99", timestamp=T0 + int(at * S), app=app, decision_id=f"d{number}", **more,  # type: ignore[arg-type]
        )
    )  # fmt: skip
    assert found is not None
    return found


def drift(
    name: str, began: float, found: float, before: float, after: float, *, metric: str = "latency_ms",
    app: str = "shop", model: str = "m", cause: str = "", returns: str = "",
) -> Signal:  # fmt: skip
    record = DriftRecord(
        drift_id=name, app=app, model=model, kind="completion", metric=metric, detector="cusum",
        timestamp=T0 + int(found * S), began_at=T0 + int(began * S), event_id=f"e-{name}",
        before=before, after=after, cause=cause, returns=returns,
    )  # fmt: skip
    return of_drift(record)


class Run:
    """A life cycle, and all that it said."""

    def __init__(self) -> None:
        self.cycle = LifeCycle(TIMING)
        self.said: list[AlertChange] = []

    def at(self, seconds: float, *signals: Signal, caught_up: bool = True) -> list[str]:
        """Return what is said at a moment, after these signals."""
        now = T0 + int(seconds * S)
        for signal in signals:
            self.cycle.add(signal, now)
        changes = self.cycle.tick(now, caught_up=caught_up)
        self.said += changes
        return [each.change for each in changes]


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


def nine_drifts() -> list[Signal]:
    """Two metrics of four segments and one of another app with the same model, found one after the other."""
    signals = []
    for number, version in enumerate("abcd"):
        signals.append(drift(f"l{version}", 100, 110 + number, 700, 1_300, model=version))
        signals.append(drift(f"t{version}", 101, 112 + number, 200, 390, metric="ttft_ms", model=version))
    return [*signals, drift("other", 102, 120, 700, 1_300, app="writer", model="a")]


def test_metrics_and_segments_that_moved_together_are_one_alert_with_its_parts() -> None:
    names = set()
    for seed in range(10):
        signals = nine_drifts()
        random.Random(seed).shuffle(signals)
        run = Run()
        run.at(121, *signals)
        assert run.at(131) == ["opened"]
        names.add((run.said[0].alert_id, run.said[0].alerts, len(run.said[0].parts), run.said[0].app))
    assert len(names) == 1
    assert names.pop()[1:] == (9, 9, "")


def test_a_drift_is_over_when_half_of_its_parts_are_back() -> None:
    run = Run()
    run.at(121, *nine_drifts())
    run.at(131)
    back = [drift(f"back-{n}", 500, 520 + n, 1_300, 710, model=model) for n, model in enumerate("abcd")]
    ttft = [drift(f"back-t{m}", 500, 530, 390, 201, metric="ttft_ms", model=m) for m in "ab"]
    assert run.at(525, *back) == []
    assert run.at(531, *ttft) == []
    assert run.at(541) == ["resolved"]
    assert (run.said[-1].reason, run.said[-1].resolved_at) == ("returned", T0 + 530 * S)
    late = [drift("back-tc", 501, 540, 390, 199, metric="ttft_ms", model="c")]
    assert run.at(541, *late) == [], "the rest of the return opens nothing"
    tokens = [drift("tokens", 502, 545, 100, 60, metric="completion_tokens", model="a")]
    assert run.at(546, *tokens) == ["grew"], "nor does what moves only with the return"
    assert run.at(600) == []
    assert len({each.alert_id for each in run.said}) == 1


def test_what_moves_with_a_return_and_is_found_first_opens_nothing() -> None:
    run = Run()
    run.at(111, drift("l", 100, 110, 700, 1_300))
    run.at(121)
    assert run.at(515, drift("tokens", 500, 512, 100, 60, metric="completion_tokens")) == []
    assert run.at(520, drift("back", 499, 520, 1_300, 700)) == ["grew"]
    assert run.at(600) == ["resolved"]


def test_a_drift_that_moves_on_or_comes_again_is_the_same_alert() -> None:
    run = Run()
    run.at(111, drift("l1", 100, 110, 700, 1_300))
    run.at(121)
    assert run.at(300, drift("l2", 290, 300, 1_300, 2_600)) == []
    assert run.at(500, drift("l3", 490, 500, 2_600, 720)) == []
    assert run.at(510) == ["resolved"]
    assert run.at(700, drift("l4", 690, 700, 720, 1_400)) == ["reopened"]
    assert len({each.alert_id for each in run.said}) == 1


def test_a_drift_that_stays_is_taken_for_normal() -> None:
    run = Run()
    run.at(111, drift("l1", 100, 110, 700, 1_300))
    run.at(121)
    assert run.at(86_511) == ["resolved"]
    assert run.said[-1].reason == "accepted"


def test_a_record_can_say_itself_what_it_ends() -> None:
    run = Run()
    run.at(111, drift("topic", 100, 110, 0.1, 0.5, metric="topic"))
    run.at(121)
    run.at(500, drift("back", 490, 500, 0.1, 0.5, metric="topic", returns="topic"))
    assert run.at(510) == ["resolved"]


def test_a_segment_that_is_found_late_joins_the_metric_that_is_away() -> None:
    run = Run()
    run.at(111, drift("l1", 100, 110, 700, 1_300))
    run.at(121)
    assert run.at(1_000, drift("l2", 900, 1_000, 700, 1_300, model="rare")) == ["grew"]
    assert run.at(1_100, drift("other", 1_010, 1_090, 50, 90, metric="completion_tokens")) == []
    assert run.at(1_110) == ["opened"]


def test_the_end_of_what_nobody_knows_opens_nothing() -> None:
    run = Run()
    run.at(500, drift("back", 490, 500, 0.5, 0.1, metric="topic", returns="long ago"))
    assert run.at(600) == []


def test_what_moves_when_others_return_has_returned() -> None:
    run = Run()
    first = [drift("l", 100, 110, 700, 1_300), drift("t", 100, 112, 0.1, 0.5, metric="topic")]
    run.at(113, *first, drift("u", 100, 112, 0.1, 0.5, metric="topic", model="n"))
    run.at(123)
    run.at(515, drift("back-l", 500, 510, 1_300, 700))
    assert run.at(521, drift("back-t", 503, 520, 0.1, 0.5, metric="topic")) == []
    assert run.at(531) == ["resolved"]


def test_a_part_that_is_found_after_the_end_is_no_alert_of_its_own() -> None:
    run = Run()
    run.at(111, drift("l", 100, 110, 700, 1_300))
    run.at(121)
    run.at(515, drift("back", 500, 510, 1_300, 700))
    assert run.at(525) == ["resolved"]
    late = drift("late", 101, 120, 700, 1_300, model="n"), drift("late-back", 501, 530, 1_300, 700, model="n")
    assert run.at(540, *late) == ["grew"]
    assert (run.said[-1].state, len(run.said[-1].parts)) == ("resolved", 2)
    assert run.at(600) == []


def test_two_causes_are_two_alerts() -> None:
    run = Run()
    run.at(
        111,
        drift("l", 100, 110, 700, 1_300),
        drift("x", 100, 110, 0.1, 0.4, metric="toxicity", app="b", model=""),
    )
    assert run.at(121) == ["opened", "opened"]
    run.at(901, drift("later", 890, 900, 100, 300, metric="completion_tokens"))
    assert run.at(911) == ["opened"]


def restored(run: Run) -> None:
    """Go on with what was written down."""
    packed = msgspec.msgpack.encode(run.cycle.export())
    run.cycle = LifeCycle(TIMING)
    run.cycle.restore(msgspec.msgpack.decode(packed, type=Memory))


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
