"""Whoever is the first to be judged does not wait for what is loaded then."""

import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import registry
from detectors.models.screen import SPREAD
from detectors.models.weights import Models
from detectors.runner import Runner
from streams.decisions.judge import Judge
from streams.decisions.scoring import owners
from streams.decisions.text_storage import Keeper
from streams.decisions.warm_up import FIRST, warm_up
from streams.policy import DEFAULT_POLICY
from streams.policy.file import load, parse
from streams.policy.rules import CompiledPolicy
from streams.roles.guard import Guard
from streams.settings import Settings
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry


@pytest.fixture
def cold() -> Iterator[Judge]:
    runner = Runner(registry.build(models := Models()), models, 60.0)
    yield Judge(runner, Keeper("none", bytes(16), runner.finders))
    runner.close()


def policy_of(runner: Runner) -> CompiledPolicy:
    return load(DEFAULT_POLICY, owners(runner), runner.ranges).compile(runner.metrics)


def test_all_tiers_have_read_and_the_tables_of_tokens_have_their_memory(cold: Judge) -> None:
    policy, seen = policy_of(cold.runner), []
    score = cold.runner.score
    cold.runner.score = lambda batch: seen.append((batch, score(batch))) or seen[-1][1]  # type: ignore[func-returns-value, method-assign]
    warm_up(cold, policy)
    ((batch, scores),) = seen
    assert scores.failed == ()
    assert (batch.windows() > 0).all(), "the transformer has read each"
    assert not np.isnan(scores.matrix).all(axis=0).any(), "each metric applies to one of the texts"
    for table in (cold.runner.models.cascade.screen, cold.runner.models.cascade.encoder):
        places = np.flatnonzero(table._seen)
        assert np.diff(places, prepend=0, append=len(table._seen)).max() <= SPREAD


def test_models_that_no_detector_needs_are_not_loaded(tmp_path: Path) -> None:
    nowhere = Models(tmp_path)
    runner = Runner(registry.build(nowhere, ("pii",)), nowhere, 60.0)
    rules = "version: '1'\nname: pii\nrules:\n  - {id: a, when: [pii >= 1], action: redact}\n"
    try:
        warm_up(
            Judge(runner, Keeper("none", bytes(16), runner.finders)),
            parse(rules, owners(runner)).compile(runner.metrics),
        )
    finally:
        runner.close()
    assert runner.failures == {}


async def test_the_guard_is_warm_before_it_connects_and_counts_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    telemetry = Telemetry("guard")
    guard: Any = Guard(Settings(_env_file=None), telemetry)
    judged: list[int] = []
    judge = guard._judge.judge

    def noting(events: Any, *rest: Any, **options: Any) -> Any:
        judged.append(len(events))
        return judge(events, *rest, **options)

    async def start() -> None:
        assert judged == [len(FIRST)]
        raise ConnectionError

    monkeypatch.setattr(guard._judge, "judge", noting)
    monkeypatch.setattr(guard._producer, "start", start)
    try:
        with pytest.raises(ConnectionError):
            await guard.start()
    finally:
        guard._runner.close()
    for action in ("allow", "block", "redact", "flag"):
        assert telemetry._of(catalogue.DECISIONS, (action,))._value.get() == 0


_LOADED = """
from streams.decisions.in_force import PolicyInForce
from streams.decisions.judge import Judge
from streams.decisions.scoring import make_runner
from streams.decisions.text_storage import Keeper
from streams.decisions.warm_up import warm_up
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry

settings = Settings(_env_file=None)
runner = make_runner(settings)
judge = Judge(runner, Keeper("redacted", b"k" * 16, runner.finders))
warm_up(judge, PolicyInForce(settings, runner, Telemetry("guard")).compiled)
print(open("/proc/self/status").read())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is told is told of glibc on Linux")
def test_what_loading_took_for_a_while_is_given_back() -> None:
    said = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True).stdout
    held = {line.partition(":")[0]: line.split()[1] for line in said.splitlines() if line.startswith("Vm")}
    most, now = int(held["VmHWM"]), int(held["VmRSS"])
    assert now < most - 20_000, "kB"
    assert now < 600_000
