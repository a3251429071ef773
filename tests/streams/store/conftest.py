"""A store without a row for each test."""

import pytest

from streams.store.client import Store


@pytest.fixture
def store(emptied: Store) -> Store:
    return emptied
