import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from detectors.batch import Batch
from detectors.runner import FEATURES, Runner
from schemas.events import Evidence
from tests.detectors.scripted import BATCH, Scripted, constant
from tests.models import MODELS
from tests.waiting import wait_until


def raising(error: BaseException) -> Callable[[Batch], Any]:
    def act(batch: Batch) -> Any:
        raise error

    return act


def giving(result: object) -> Callable[[Batch], Any]:
    return lambda batch: result


def test_all_matrices_stand_side_by_side(make: Callable[..., Runner]) -> None:
    runner = make(constant("a", 0.25), constant("b", 0.5, width=2))
    result = runner.score(BATCH)
    assert result.metrics == runner.metrics == ("a_0", "b_0", "b_1")
    assert result.matrix.dtype == np.float32
    assert result.matrix.tolist() == [[0.25, 0.5, 0.5]] * 3
    assert result.failed == ()
    assert list(result.seconds) == [FEATURES, "a", "b"]
    assert all(0 <= seconds < 5 for seconds in result.seconds.values())
    assert runner.failures == {}


def test_metrics_know_their_detector(make: Callable[..., Runner]) -> None:
    runner = make(constant("a", 0), constant("b", 0, width=2))
    assert [runner.owner(metric) for metric in runner.metrics] == ["a", "b", "b"]
    with pytest.raises(KeyError):
        runner.owner("c_0")


def test_no_detectors_and_no_events(make: Callable[..., Runner]) -> None:
    assert make().score(BATCH).matrix.shape == (3, 0)
    assert make(constant("a", 1)).score(Batch([], MODELS)).matrix.shape == (0, 1)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (raising(ValueError("a text that must not be logged")), "ValueError"),
        (raising(MemoryError()), "MemoryError"),
        (raising(SystemExit(3)), "DetectorExitError"),
        (raising(KeyboardInterrupt()), "DetectorExitError"),
        (giving(None), "BadScoresError"),
        (giving([[0.0]] * 3), "BadScoresError"),
        (giving(np.zeros((3, 1))), "BadScoresError"),
        (giving(np.zeros((3, 2), dtype=np.float32)), "BadScoresError"),
        (giving(np.zeros((2, 1), dtype=np.float32)), "BadScoresError"),
        (giving(np.zeros(3, dtype=np.float32)), "BadScoresError"),
        (giving(np.full((3, 1), np.inf, dtype=np.float32)), "BadScoresError"),
    ],
)
def test_a_failing_detector_costs_only_its_columns(
    make: Callable[..., Runner], act: Callable[[Batch], Any], reason: str
) -> None:
    runner = make(constant("a", 0.25), Scripted("bad", act), constant("c", 0.75))
    for _ in range(2):
        result = runner.score(BATCH)
        assert result.failed == ("bad",)
        assert np.isnan(result.matrix[:, 1]).all()
        assert result.matrix[:, [0, 2]].tolist() == [[0.25, 0.75]] * 3
    assert runner.failures == {"bad": reason}


def test_nan_is_a_score_that_does_not_apply(make: Callable[..., Runner]) -> None:
    result = make(constant("a", np.nan)).score(BATCH)
    assert np.isnan(result.matrix).all()
    assert result.failed == ()


def test_a_hanging_detector_is_left_behind_and_comes_back(make: Callable[..., Runner]) -> None:
    release = threading.Event()
    calls: list[int] = []

    def hang_once(batch: Batch) -> Any:
        calls.append(1)
        if len(calls) == 1:
            release.wait(60)
        return np.ones((len(batch), 1), dtype=np.float32)

    runner = make(Scripted("slow", hang_once), constant("b", 0.5), budget_s=1.0)
    first = runner.score(BATCH)
    assert first.failed == ("slow",)
    assert runner.failures == {"slow": "timeout"}
    assert first.matrix[:, 1].tolist() == [0.5] * 3

    again = runner.score(BATCH)
    assert again.failed == ("slow",)
    # Of several, since a busy machine may take its time for one.
    assert min(runner.score(BATCH).seconds["slow"] for _ in range(5)) < 0.1, "its budget is not spent again"
    assert len(calls) == 1
    found = runner.explain(BATCH, 0, ["slow_0", "b_0"])
    assert [item.detector for item in found] == ["slow", "b"], "explanations have threads of their own"

    release.set()
    wait_until(lambda: not runner.score(BATCH).failed, "it is back")
    back = runner.score(BATCH)
    assert back.failed == ()
    assert back.matrix.tolist() == [[1.0, 0.5]] * 3
    assert np.isnan(first.matrix[:, 0]).all(), "the late result must not reach a batch that was answered"


def test_evidence_is_only_of_the_metrics_asked_for(make: Callable[..., Runner]) -> None:
    asked: list[str] = []

    def noting(batch: Batch) -> None:
        asked.append("b")

    runner = make(constant("a", 0, width=2), Scripted("b", noting))
    assert runner.explain(BATCH, 2, {"a_1"}) == [Evidence(detector="a", metric="a_1", label="2")]
    assert asked == []


def test_explain_never_raises(make: Callable[..., Runner]) -> None:
    runner = make(Scripted("bad", raising(ValueError("secret"))), constant("b", 0))
    assert [e.detector for e in runner.explain(BATCH, 0, runner.metrics)] == ["b"]
    assert runner.failures == {"bad": "ValueError"}


def test_an_explanation_that_hangs_costs_no_scores(make: Callable[..., Runner]) -> None:
    slow, release = constant("slow", 0.5), threading.Event()
    slow.explain = lambda batch, row: release.wait(60) or []  # type: ignore[assignment, method-assign, return-value]
    runner = make(slow, budget_s=0.5)
    assert runner.explain(BATCH, 0, runner.metrics) == []
    assert runner.failures == {"slow": "timeout"}
    assert runner.score(BATCH).failed == ()
    release.set()
