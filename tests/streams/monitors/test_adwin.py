"""The numbers of an ADWIN are all of it; numbers that no ADWIN has do no harm."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.drift import ADWIN

from streams.monitors.adwin import BUCKETS, LIMIT, Adwin, Window, WindowError, check_layout, export, rebuild

DELTA = 0.002


def levels(seed: int, count: int) -> list[float]:
    """Return values that change their level now and then."""
    rng = random.Random(seed)
    return [rng.gauss(0.1 + 0.6 * (i // 400 % 2), 0.05) for i in range(count)]


def fed(values: list[float]) -> Adwin:
    detector = Adwin(DELTA)
    for value in values:
        detector.update(value)
    return detector


def heard(detector: Adwin, values: list[float]) -> list[tuple[bool, float, float]]:
    found = []
    for value in values:
        detector.update(value)
        found.append((detector.drift_detected, detector.width, detector.total))
    return found


def test_the_installed_river_lays_out_its_state_as_expected() -> None:
    check_layout()


def test_results_are_those_of_river() -> None:
    ours, theirs = Adwin(DELTA), ADWIN(delta=DELTA)  # type: ignore[no-untyped-call]
    drifts = 0
    for value in levels(5, 3000):
        ours.update(value)
        theirs.update(value)  # type: ignore[no-untyped-call]
        drifts += ours.drift_detected
        found = (ours.drift_detected, ours.width, ours.total, ours.estimation)
        assert found == (theirs.drift_detected, theirs.width, theirs.total, theirs.estimation)
    assert drifts > 3


@settings(max_examples=40)
@given(seed=st.integers(0, 99), cut=st.integers(1, 1500))
def test_a_rebuilt_detector_goes_on_as_if_nothing_had_happened(seed: int, cut: int) -> None:
    values = levels(seed, 2000)
    whole, window = fed(values[:cut]), export(fed(values[:cut]))
    packed = msgspec.msgpack.encode(window)
    again = rebuild(msgspec.msgpack.decode(packed, type=Window), DELTA) if window else Adwin(DELTA)
    assert heard(again, values[cut:]) == heard(whole, values[cut:])


def test_a_detector_that_found_a_drift_starts_from_nothing() -> None:
    detector = Adwin(DELTA)
    values = iter(levels(1, 2000))
    while not detector.drift_detected:
        detector.update(next(values))
    assert export(detector) is None


@settings(max_examples=300)
@given(
    counts=st.lists(st.integers(-1, 7), max_size=45),
    tick=st.integers(-1, 40),
    numbers=st.lists(st.floats(), max_size=120),
    more=st.integers(0, 9),
)
def test_numbers_are_refused_or_work(counts: list[int], tick: int, numbers: list[float], more: int) -> None:
    """Whoever may write the topic cannot end the process: a panic of river would."""
    cut = min(sum(c for c in counts if c > 0), len(numbers)) + more % 2
    raw = [0.5, 0.1, tick, counts, numbers[:cut], numbers[: max(0, cut - (counts or [0])[0])]]
    try:
        detector = rebuild(msgspec.msgpack.decode(msgspec.msgpack.encode(raw), type=Window), DELTA)
    except (msgspec.ValidationError, WindowError):
        return
    for value in levels(3, 300):
        detector.update(value)


@pytest.mark.parametrize("rows", [1, 8, 40])
@pytest.mark.parametrize("filled", [1, BUCKETS])
def test_a_window_of_any_size_works(rows: int, filled: int) -> None:
    counts = [filled] * rows
    totals = [float(row % 3) * (1 << row) for row in range(rows) for _ in range(filled)]
    detector = rebuild(Window(1.0, 4.0, 31, counts, totals, [0.1] * (filled * (rows - 1))), DELTA)
    for value in (0.0, 1.0, LIMIT, -LIMIT) * 200:
        detector.update(value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300])
def test_what_is_infinite_is_refused(number: float) -> None:
    with pytest.raises(WindowError):
        rebuild(Window(0.0, number, 0, [1], [0.0], []), DELTA)
