from pathlib import Path

import pytest

from streams.local.broker.topics import Topics
from tests.streams.local.test_broker_partition import batch


@pytest.fixture
def topics(tmp_path: Path) -> Path:
    """A broker's folder with two topics that hold records."""
    made = Topics(tmp_path)
    for name in ("a-b", "c"):
        made.create(name, 2, {})
        for log in made.partitions(name):
            log.append(batch(b"value"))
    made.close()
    return tmp_path
