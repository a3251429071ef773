"""The embedded broker for commands."""

import asyncio
import uuid
from pathlib import Path

import pytest

from streams.kafka.topics import create_topics
from streams.settings import load
from tests.streams.weir import forget_settings


@pytest.fixture
def on_broker(broker: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Commands use the shared embedded broker, which has all topics."""
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("WEIR_KAFKA", broker)
    asyncio.run(create_topics(load()))


@pytest.fixture
def app() -> str:
    """An app of this test alone: the broker's topics are shared."""
    return f"app-{uuid.uuid4()}"
