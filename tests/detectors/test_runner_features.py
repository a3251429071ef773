"""Explanations, shared features and threads of the runner."""

import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from detectors import registry
from detectors.batch import Batch
from detectors.runner import FEATURES, Runner
from detectors.steps.lanes import beat
from tests.detectors.scripted import BATCH, Scripted, constant
from tests.models import MODELS
from tests.waiting import wait_until


def test_explain_survives_a_detector_that_gives_no_list(make: Callable[..., Runner]) -> None:
    odd = constant("odd", 0)
    odd.explain = lambda batch, row: None  # type: ignore[assignment, method-assign, return-value]
    runner = make(odd)
    assert runner.explain(BATCH, 0, runner.metrics) == []
    assert runner.failures == {"odd": "TypeError"}


class Featured(Batch):
    """A batch whose feature `tokens`, and so `embeddings`, does what the test says."""

    act: Callable[[], object]

    @cached_property
    def tokens(self) -> Any:
        return self.act()

    @cached_property
    def embeddings(self) -> Any:
        return self.tokens

    @classmethod
    def doing(cls, act: Callable[[], object]) -> "Featured":
        batch = cls(BATCH.events, MODELS)
        batch.act = act
        return batch


def needing(name: str, *features: str) -> Scripted:
    """Return a detector that reads features."""

    def read(batch: Batch) -> Any:
        for feature in features:
            getattr(batch, feature)
        return np.full((len(batch), 1), 0.5, dtype=np.float32)

    made = Scripted(name, read)
    made.needs = features  # type: ignore[attr-defined]
    return made


def test_shared_features_are_not_charged_to_a_detector(make: Callable[..., Runner]) -> None:
    batch = Featured.doing(lambda: time.sleep(0.15) or "tokens")  # type: ignore[func-returns-value]
    result = make(needing("a", "embeddings"), budget_s=60.0).score(batch)
    assert result.failed == ()
    assert result.seconds[FEATURES] >= 0.15
    assert result.seconds["a"] < result.seconds[FEATURES]
    assert vars(batch)["embeddings"] == "tokens", "explanations find what was computed"


def test_a_feature_that_overruns_fails_all_who_need_it_and_nobody_else(make: Callable[..., Runner]) -> None:
    release, ended = threading.Event(), threading.Event()
    batch = Featured.doing(lambda: release.wait(60) and ended.set())  # type: ignore[func-returns-value]
    runner = make(constant("a", 0.25), needing("b", "embeddings"), needing("c", "tokens"), budget_s=1.0)
    result = runner.score(batch)
    assert not ended.is_set()
    assert result.failed == ("b", "c")
    assert result.matrix[:, 0].tolist() == [0.25] * 3
    assert runner.failures == {"b": "timeout", "c": "timeout"}

    took = []
    for _ in range(5):  # a busy machine may take its time for one
        began = time.monotonic()
        assert runner.score(Featured.doing(lambda: "quick")).failed == ("b", "c"), "it still hangs"
        took.append(time.monotonic() - began)
    assert min(took) < 0.1, "and must not cost its budget again"
    assert len(_threads("weir-score")) == 2, "one is left behind, one goes on"

    release.set()
    wait_until(lambda: len(_threads("weir-score")) == 1, "the late one ends")
    assert runner.score(Featured.doing(lambda: "quick")).failed == ()
    assert not {"tokens", "embeddings"} & set(vars(batch)), "a late feature reaches nobody's batch"


def test_a_thousand_hanging_calls_leave_one_thread_behind(make: Callable[..., Runner]) -> None:
    release = threading.Event()
    runner = make(Scripted("slow", lambda batch: release.wait(110)), needing("b", "tokens"), budget_s=0.05)
    for _ in range(1_000):
        assert runner.score(Featured.doing(lambda: release.wait(110))).failed == ("slow", "b")
    assert len(_threads("weir-score")) <= 3
    release.set()
    wait_until(lambda: len(_threads("weir-score")) <= 1, "they end")


def test_an_abandoned_call_keeps_no_batch_once_it_ends(make: Callable[..., Runner]) -> None:
    release = threading.Event()
    runner = make(Scripted("slow", lambda batch: release.wait(110)), budget_s=0.05)
    batch = Batch(BATCH.events, MODELS)
    alive = weakref.ref(batch)
    runner.score(batch)
    del batch
    release.set()
    wait_until(lambda: gc.collect() >= 0 and alive() is None, "nobody holds it")


def test_work_that_shows_progress_does_not_overrun(make: Callable[..., Runner]) -> None:
    def work() -> None:
        for _ in range(12):
            time.sleep(0.05)
            beat()

    assert make(needing("a", "tokens"), budget_s=0.5).score(Featured.doing(work)).failed == ()


def test_a_feature_that_raises_leaves_the_other_detectors_alone(make: Callable[..., Runner]) -> None:
    def damaged() -> None:
        raise RuntimeError("a text that must not be logged")

    runner = make(constant("a", 0.5), needing("b", "embeddings"))
    result = runner.score(Featured.doing(damaged))
    assert result.failed == ("b",)
    assert result.matrix[:, 0].tolist() == [0.5] * 3
    assert runner.failures == {"b": "RuntimeError"}


def test_one_thread_scores_and_one_explains(make: Callable[..., Runner]) -> None:
    names: list[str] = []
    note = Scripted("a", lambda batch: names.append(threading.current_thread().name))
    runner = make(note, Scripted("b", lambda batch: names.append(threading.current_thread().name)))
    runner.score(BATCH)
    runner.explain(BATCH, 0, runner.metrics)
    assert names == ["weir-score"] * 2 + ["weir-explain"] * 2


def test_only_features_that_a_detector_needs_are_computed(make: Callable[..., Runner]) -> None:
    batch = Batch(BATCH.events, MODELS)
    make(constant("a", 0.5), registry.build(MODELS, ("text",))[0]).score(batch)
    assert "tokens" in vars(batch)
    assert not {"embeddings", "verdicts"} & set(vars(batch))


def test_close_ends_the_threads() -> None:
    before = len(_threads("weir-score"))
    runner = Runner([constant("closing", 0)], MODELS, 5.0)
    runner.score(BATCH)
    assert len(_threads("weir-score")) == before + 1
    runner.close()
    wait_until(lambda: len(_threads("weir-score")) == before, "it ends")


def test_a_hanging_detector_does_not_keep_the_process_alive() -> None:
    program = """
import time
from detectors.batch import Batch
from detectors.steps.lanes import beat
from detectors.runner import Runner
from tests.models import MODELS
class Hanging:
    name, version, metrics = "hanging", "1", ("hanging",)
    def score(self, batch): time.sleep(600)
    def explain(self, batch, row): return []
runner = Runner([Hanging()], MODELS, 0.05)
print(runner.score(Batch.of_texts(["a"], MODELS)).failed)
runner.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "('hanging',)\n"


def _threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]
