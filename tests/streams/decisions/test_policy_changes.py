"""What follows the changes of the policy while the broker is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from streams.decisions.policy_changes import PolicyChanges
from streams.kafka import following as topic_following
from streams.kafka.clients import BrokerError
from streams.settings import Settings


async def test_a_broker_that_is_away_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = asyncio.Semaphore(0)

    @asynccontextmanager
    async def away(*_: object) -> AsyncIterator[None]:
        tried.release()
        raise BrokerError("no broker answers")
        yield

    monkeypatch.setattr(topic_following, "consuming", away)
    monkeypatch.setattr(topic_following, "RETRY_S", 0)
    with capture_logs() as logs:
        following = asyncio.create_task(PolicyChanges(Settings(_env_file=None), lambda _: None).follow())
        for _ in range(5):
            await tried.acquire()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert [each["problem"] for each in logs] == ["no broker answers"]
