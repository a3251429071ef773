"""What is made once for many tests: the models of a process, the tables of a module."""

import uuid
from collections.abc import Iterator

import pytest

from streams.store import tables
from streams.store.client import Store
from tests.models import MODELS


@pytest.fixture(scope="session", autouse=True)
def loaded_models() -> Iterator[None]:
    """Let `make_runner` take the models that are there: loading them anew takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.decisions.scoring.Models", lambda folder, threads: MODELS)
        yield


@pytest.fixture(scope="module")
def migrated(clickhouse: str) -> Iterator[Store]:
    """A database of the module's own, with all tables: making them takes a second of CPU."""
    store = Store(clickhouse, database=f"test_{uuid.uuid4().hex}")
    store.migrate(["toxicity", "injection", "text_tokens"])
    yield store
    store.client.command(f"DROP DATABASE {store.database}")
    store.close()


@pytest.fixture
def emptied(migrated: Store) -> Store:
    """The module's database, without a row."""
    for table in tables.TABLES.values():
        migrated.client.command(f"TRUNCATE TABLE {table.log}")
    return migrated
