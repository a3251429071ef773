"""A store of its own for each test."""

import uuid
from collections.abc import Iterator

import pytest

from streams.store import tables
from streams.store.client import Store


@pytest.fixture(scope="module")
def migrated(clickhouse: str) -> Iterator[Store]:
    store = Store(clickhouse, database=f"test_{uuid.uuid4().hex}")
    store.migrate(["toxicity", "injection"])
    yield store
    store.client.command(f"DROP DATABASE {store.database}")
    store.close()


@pytest.fixture
def store(migrated: Store) -> Store:
    for table in tables.TABLES.values():
        migrated.client.command(f"TRUNCATE TABLE {table.log}")
    return migrated
