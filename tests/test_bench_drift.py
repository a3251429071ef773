"""The benchmark of drift detectors: its streams are what they are called, its tables what was measured."""

import numpy as np
import pytest

from bench import drift_subjects, report
from bench.drift import PAGE, Found, arguments, markdown, measure_quiet, measure_shift
from bench.drift_detectors import DETECTORS, SLOW, Hourly
from bench.drift_streams import BEFORE, KINDS, METRICS, SCORES, quiet, shifts, synthetic_pools
from bench.drift_subject_detectors import DETECTORS as SUBJECT_DETECTORS
from bench.drift_subjects import Subjects, Texts
from schemas.sketches import COMPONENTS, pack

POOLS = synthetic_pools()
WEIR = next(iter(DETECTORS))


@pytest.mark.parametrize("kind", KINDS)
def test_quiet_streams_are_the_same_each_time_and_do_not_change(kind: str) -> None:
    one, other = (quiet(kind, 20_000, POOLS, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(one, other)
    first, second = np.log1p(one[:10_000]).mean(axis=0), np.log1p(one[10_000:]).mean(axis=0)
    assert np.abs(first - second).max() < 0.1


def test_each_stream_changes_where_it_says() -> None:
    for stream in shifts(POOLS):
        values = np.stack([stream.make(np.random.default_rng(seed)) for seed in range(3)]).astype(float)
        before, after = np.log1p(values[:, :BEFORE]).mean(), np.log1p(values[:, -5_000:]).mean()
        assert abs(after / before - 1) > 0.02, stream.name
        assert stream.metric in METRICS


def test_without_data_nothing_is_labelled() -> None:
    assert not POOLS.real
    assert not any(stream.name.startswith("toxic:") for stream in shifts(POOLS))


@pytest.mark.parametrize("name", [name for name in DETECTORS if name != SLOW])
def test_every_detector_finds_a_large_change(name: str) -> None:
    stream = next(stream for stream in shifts(POOLS) if stream.metric == "cost")
    found, _ = measure_shift(name, stream, 1)
    assert len(found.delays) == 1
    assert found.delays[0] < 1_000


def test_the_hourly_test_counts_an_hour_that_differs_once() -> None:
    detector = Hourly()
    rng = np.random.default_rng(2)
    values = [*rng.random(5_000), *rng.random(1_000), *(0.5 + rng.random(1_000))]
    alarms = [at for at, value in enumerate(values) if detector.update([value], at * 17_280)]
    assert len(alarms) == 1
    assert 6_000 < alarms[0] < 6_500


def made_up_subjects() -> Subjects:
    rng = np.random.default_rng(0)

    def texts(mean: float, part: int, count: int) -> Texts:
        points = 0.06 * rng.standard_normal((count, COMPONENTS))
        points[:, part] += mean
        return np.array([list(each) for each in pack(1, points)], np.uint8)

    by_name = {f"subject {part}": texts(0.3, part, 200) for part in range(5)}
    return Subjects(by_name, texts(0.0, 0, 600), list(range(600)))


@pytest.mark.parametrize("name", SUBJECT_DETECTORS)
def test_every_detector_of_subjects_is_measured_and_finds_another_one(name: str) -> None:
    outcome = drift_subjects.measure(name, made_up_subjects(), 1, 600, 600)
    assert set(outcome.alarms) == {*drift_subjects.KINDS, drift_subjects.CHAT}
    assert 0 <= outcome.delays["all of them"][0] < 200
    lines = drift_subjects.markdown({name: outcome})
    assert any(line.startswith(f"| {name} | 1/1: ") for line in lines)
    assert "\n".join(lines) in report.insert(PAGE.read_text(encoding="utf-8"), "\n".join(lines), "subjects")


def test_a_cell_tells_detections_and_delays() -> None:
    assert Found([100, 300, 1_200], 4).cell == "3/4: 300 (1,200)"
    assert Found([], 4).cell == "0/4"


def test_the_page_has_a_place_for_the_tables() -> None:
    options = arguments(["--seeds", "1"])
    outcome = measure_quiet(WEIR, POOLS, 200, 0)
    outcome.found = {stream.name: Found([5], 1) for stream in shifts(POOLS)}
    text = markdown({WEIR: outcome}, POOLS, options)
    assert "synthetic scores" in text
    assert text in report.insert(PAGE.read_text(encoding="utf-8"), text)
    assert len(SCORES) < len(METRICS)
