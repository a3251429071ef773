"""What tests of decisions share."""

from collections.abc import Iterator
from typing import Any

import pytest

from detectors.runner import Runner
from streams.decisions.scoring import make_runner, owners
from streams.policy import DEFAULT_POLICY
from streams.policy.file import load as load_policy
from streams.policy.rules import CompiledPolicy
from streams.settings import Settings
from tests.models import MODELS
from tests.streams.decisions.pipelines import Broken


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    running = make_runner(Settings(_env_file=None))
    yield running
    running.close()


@pytest.fixture(scope="module")
def policy(runner: Runner) -> CompiledPolicy:
    return load_policy(DEFAULT_POLICY, owners(runner)).compile(runner.metrics)


@pytest.fixture
def broken(runner: Runner) -> Iterator[Runner]:
    """The default detectors, the one of personal data failing."""
    detectors: list[Any] = [Broken() if d.name == "pii" else d for d in runner.detectors]
    failing = Runner(detectors, MODELS, 2.0)
    yield failing
    failing.close()
