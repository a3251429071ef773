"""Runners that are closed after a test."""

from collections.abc import Callable, Iterator

import pytest

from detectors.runner import Runner
from tests.detectors.scripted import Scripted
from tests.models import MODELS


@pytest.fixture
def make() -> Iterator[Callable[..., Runner]]:
    runners: list[Runner] = []

    def build(*detectors: Scripted, budget_s: float = 5.0) -> Runner:
        runners.append(Runner(detectors, MODELS, budget_s))
        return runners[-1]

    yield build
    for runner in runners:
        runner.close()
