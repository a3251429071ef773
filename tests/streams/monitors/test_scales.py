"""Values become bounded without losing what they say."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.monitors import scales
from streams.monitors.scales import GRID, LEVELS, LIMIT, MIN_SPREAD, Scale, learn

VALUES = st.floats(-LIMIT, LIMIT)


@given(st.lists(VALUES, min_size=1, max_size=80), VALUES, st.sampled_from(["score", "quantity", "rate"]))
def test_every_value_has_a_place_on_the_grid(learned: list[float], value: float, sort: scales.Sort) -> None:
    scale = learn(learned, sort)
    transformed = scale.transform(value)
    assert 0 <= scale.level(transformed) < GRID
    assert 0 <= scales.share(transformed) < GRID
    assert math.isfinite(scale.invert(transformed))


@given(st.lists(VALUES, min_size=4, max_size=80))
def test_a_larger_value_is_never_lower_on_the_grid(values: list[float]) -> None:
    scale = learn(values, "score")
    places = [scale.level(scale.transform(value)) for value in sorted(values)]
    assert places == sorted(places)


def test_probabilities_stay_and_quantities_become_logarithms() -> None:
    assert not learn([0.0, 0.3, 1.0], "score").logarithmic
    assert not learn([0.0, 1.0, 1.0], "rate").logarithmic
    assert learn([0.001, 0.002], "quantity").logarithmic, "dollars below one are no probability"
    assert learn([0.0, 3.0], "score").logarithmic


@pytest.mark.parametrize("value", [-12.5, 0.0, 7.0, 4e8])
def test_a_mean_is_told_in_the_unit_of_the_values(value: float) -> None:
    scale = learn([value, value], "score")
    assert scale.invert(scale.transform(value)) == pytest.approx(value)


def test_the_median_is_the_middle_and_spreads_are_those_of_the_middle_half() -> None:
    scale = learn([math.exp(n / 100) for n in range(101)], "quantity")
    assert LEVELS[scale.level(scale.transform(math.exp(0.5)))] == 0
    assert scale.spread == pytest.approx(0.5 / 1.349, abs=0.01)
    assert learn([5.0] * 10, "quantity").spread == MIN_SPREAD


def test_the_share_of_a_score_is_whether_it_is_a_hit() -> None:
    scale = Scale(False, False, 0.1, 0.05)
    shares = [scales.SHARES[scales.share(scale.transform(value))] for value in (0.0, 0.4, 0.5, 0.6, 1.0)]
    assert shares == [0.0, 0.0, 0.5, 1.0, 1.0]
