"""A topic of its own for each test."""

import uuid

import pytest

from streams.settings import Settings
from tests.brokers import KafkaBroker
from tests.streams.kafka.working import create


@pytest.fixture
def settings(kafka: KafkaBroker) -> Settings:
    """Settings with a group of the test's own."""
    group = uuid.uuid4().hex
    return Settings(
        kafka=kafka.address, group_prefix=group, kafka_session_timeout_s=2, drain_timeout_s=5, _env_file=None
    )


@pytest.fixture
async def topic(settings: Settings) -> str:
    """A topic of the test's own, with one partition."""
    name = f"t{uuid.uuid4().hex}"
    await create(settings, name)
    return name
