"""What has changed is found soon, what has not is not, and the levels are those before and since."""

import math
import random
from collections.abc import Iterable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.monitors.cusum import FRESH, SegmentTests
from streams.monitors.reference import DAY_MS, SHARE, Reference, Wander
from streams.monitors.scales import Sort
from streams.monitors.views import Change, Layout, MetricState, StateError

PER_DAY = 5_000
QUIET = 200_000
SCORES: list[Sort] = ["score"] * 10
STATES = msgspec.msgpack.Decoder(MetricState)


def layout(*sorts: Sort, quiet: float = QUIET, learn: int = 64) -> Layout:
    return Layout(sorts or ("score",), quiet, learn)


def feed(tests: SegmentTests, values: Iterable[float], start: int = 0) -> list[tuple[int, Change]]:
    """Return what is found in the values of the first metric, and at which."""
    rest = [None] * (len(tests.layout.sorts) - 1)
    return [
        (number, change)
        for number, value in enumerate(values, start)
        for change in tests.update([float(value), *rest], number * DAY_MS // PER_DAY)
    ]


def rates(rng: np.random.Generator, *parts: tuple[int, float]) -> list[float]:
    return [float(hit) for count, rate in parts for hit in rng.random(count) < rate]


def slower(rng: np.random.Generator, before: int, after: int, factor: float) -> list[float]:
    drawn = np.exp(6 + 0.5 * rng.standard_normal(before + after))
    drawn[before:] *= factor
    return [float(value) for value in drawn]


@pytest.mark.parametrize("seed", range(3))
def test_a_rate_that_doubles_is_found_and_told_with_its_levels(seed: int) -> None:
    values = rates(np.random.default_rng(seed), (20_000, 0.02), (4_000, 0.04))
    [(at, change), *_] = feed(SegmentTests(layout("rate", *SCORES)), values)
    assert 20_000 < at < 23_000
    assert change.before == pytest.approx(0.02, abs=0.003)
    assert change.low < 0.04 < change.high
    assert change.after_samples <= at - 19_000
    assert abs(change.began * PER_DAY / DAY_MS - 20_000) < 1_000


@pytest.mark.parametrize("seed", range(3))
def test_a_fifth_more_latency_is_found_within_a_thousand_events(seed: int) -> None:
    values = slower(np.random.default_rng(seed), 10_000, 1_000, 1.2)
    [(at, change)] = feed(SegmentTests(layout("quantity", *SCORES)), values)
    assert 10_000 < at < 11_000
    assert change.low < 1.2 * math.exp(6) < change.high


def test_what_trebles_is_found_in_thirty_events_on_the_first_day() -> None:
    [(at, change)] = feed(SegmentTests(layout("quantity")), slower(np.random.default_rng(1), 200, 60, 3.0))
    assert 200 + FRESH < at <= 245
    assert change.before_samples + change.after_samples <= at + 1


@pytest.mark.parametrize("sort", ["score", "quantity", "rate"])
def test_nothing_is_found_where_nothing_changes(sort: Sort) -> None:
    rng = np.random.default_rng(3)
    drawn = {"score": rng.beta(1, 30, 20_000), "quantity": np.exp(rng.standard_t(2.5, 20_000))}
    assert feed(SegmentTests(layout(sort)), drawn.get(sort, rng.random(20_000) < 0.02)) == []


def test_a_metric_that_is_being_learned_does_not_alarm_and_says_so() -> None:
    tests = SegmentTests(layout("quantity"))
    assert not tests.is_learning, "it has no values"
    assert feed(tests, [100.0 * (1 + n // 32) for n in range(63)]) == []
    assert tests.is_learning
    feed(tests, [100.0], 63)
    assert not tests.is_learning


def test_after_a_drift_the_metric_is_learned_anew_and_finds_the_way_back() -> None:
    rng = np.random.default_rng(4)
    there, back = slower(rng, 400, 400, 3.0), slower(rng, 400, 0, 1.0)
    tests = SegmentTests(layout("quantity"))
    found = feed(tests, [*there, *back])
    assert [change.after > change.before for _, change in found] == [True, False]
    assert 400 < found[0][0] < 450 < 800 < found[1][0] < 850


def test_a_burst_is_no_new_level() -> None:
    values = rates(np.random.default_rng(5), (3_000, 0.02), (12, 1.0), (3_000, 0.02))
    assert feed(SegmentTests(layout("rate")), values) == []


def test_a_daily_rhythm_is_learned() -> None:
    rng = np.random.default_rng(6)
    days = np.arange(40_000) / PER_DAY
    values = np.exp(6 + 0.8 * rng.standard_normal(40_000) + 0.2 * np.sin(2 * np.pi * days))
    assert feed(SegmentTests(layout("quantity")), values) == []


def test_more_metrics_make_each_slower_not_louder() -> None:
    alone, among = layout("rate"), layout("rate", *SCORES, *SCORES)
    values = rates(np.random.default_rng(7), (10_000, 0.02), (8_000, 0.05))
    [(first, _), *_], [(later, _), *_] = (feed(SegmentTests(each), values) for each in (alone, among))
    assert 10_000 < first <= later
    assert among.run_length == 41 * alone.run_length


def test_a_threshold_gives_the_run_length_that_was_asked_for() -> None:
    """A short one, so that it can be waited for: one test of a rate of 5 %, with an exact reference."""
    reference = Reference(Wander(settled=True))
    reference.add([950_000, *[0] * 47, 50_000], [1.0, 0.0, 0.0])
    test = reference.tests(SHARE, 5_000.0)[0]
    rng = np.random.default_rng(8)
    alarms, walk = 0, 0.0
    for hit in rng.random(200_000) < 0.05:
        walk = max(0.0, walk + test.slope * hit - test.drop)
        if walk >= test.threshold:
            alarms, walk = alarms + 1, 0.0
    assert 8 <= alarms <= 40, "one in 5,000, or somewhat rarer"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), cut=st.integers(1, 700))
def test_what_is_exported_goes_on_as_if_nothing_had_happened(seed: int, cut: int) -> None:
    values = slower(np.random.default_rng(seed), 400, 300, 1.5)
    whole, first, second = (SegmentTests(layout("quantity")) for _ in range(3))
    expected = feed(whole, values)
    found = feed(first, values[:cut])
    state = first.export(0)
    assert state is not None
    second.samples = first.samples
    second.restore(0, STATES.decode(msgspec.msgpack.encode(state)))
    assert found + feed(second, values[cut:], cut) == expected
    assert second.export(0) == whole.export(0)


def test_a_state_of_another_sort_of_metric_is_refused() -> None:
    tests = SegmentTests(layout("score"))
    feed(tests, [0.1] * 70)
    state = tests.export(0)
    assert state is not None
    with pytest.raises(StateError, match="number of views"):
        SegmentTests(layout("rate")).restore(0, state)


@pytest.mark.parametrize("seed", range(12))
def test_no_state_that_can_be_read_ends_the_watch(seed: int) -> None:
    """Whoever may write the topic can make it say nonsense, but not stop it."""
    rng = random.Random(seed)
    tests = SegmentTests(layout("score"))
    feed(tests, np.random.default_rng(9).beta(1, 9, 300))
    fields = msgspec.to_builtins(tests.export(0))
    extremes = (0.0, 1.0, -1.0, 1e16, -1e16, 1e-300, 5.0)
    for view in fields[2]:
        for place in (1, 4, 5, 7, 8):
            view[place] = rng.choices(extremes, k=len(view[place]))
        view[0] = rng.choices((0, 1, 2**30), k=len(view[0]))
        view[10] = rng.choice((None, [rng.randrange(4), rng.choice(extremes), 99]))
    again = SegmentTests(layout("score"))
    again.restore(0, STATES.decode(msgspec.msgpack.encode(fields)))
    with np.errstate(all="ignore"):
        feed(again, [0.9] * 100)


def test_all_metrics_of_a_segment_take_less_than_64_kb() -> None:
    sorts: list[Sort] = [*["score"] * 9, *["quantity"] * 5, *["rate"] * 3]  # type: ignore[list-item]
    tests, rng = SegmentTests(layout(*sorts)), np.random.default_rng(10)
    for number, row in enumerate(rng.random((3_000, 17)).tolist()):
        tests.update(row, number * 20_000)
    states = [tests.export(metric) for metric in range(17)]
    assert len(msgspec.msgpack.encode(states)) < 32_000
