"""What is made once for many tests: the tables of a module."""

import uuid
from collections.abc import Iterator

import pytest

from streams.store import tables
from streams.store.client import Store


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
