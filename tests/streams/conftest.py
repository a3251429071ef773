"""The models, loaded once for the runners of all tests of a process."""

from collections.abc import Iterator

import pytest

from tests.models import MODELS


@pytest.fixture(scope="session", autouse=True)
def loaded_models() -> Iterator[None]:
    """Let `make_runner` take the models that are there: loading them anew takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.decisions.scoring.Models", lambda folder, threads: MODELS)
        yield
