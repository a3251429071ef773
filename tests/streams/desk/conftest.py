"""One store for all tests of the desk."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from streams.store.client import Store
from tests.pages import hostile, traffic
from tests.streams.desk.desks import OpenDesk


@pytest.fixture(scope="session")
def desk_store(clickhouse: str) -> Iterator[Store]:
    """Two days of two apps, and an app whose every field is hostile."""
    made = Store(clickhouse, database=f"test_{uuid.uuid4().hex}")
    traffic.fill(made)
    for batch in (hostile.rows(), *hostile.around()):
        made.insert(batch, uuid.uuid4().hex)
    yield made
    made.client.command(f"DROP DATABASE {made.database}")
    made.close()


@pytest.fixture
async def desk(desk_store: Store) -> AsyncIterator[OpenDesk]:
    async with OpenDesk(desk_store) as running:
        yield running
