"""What follows the changes of the policy while the broker is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from schemas import codec
from schemas.policy import PolicyChange
from streams.decisions import policy_changes
from streams.decisions.policy_changes import PolicyChanges
from streams.kafka import following as topic_following
from streams.kafka.clients import BrokerError
from streams.settings import Settings
from tests.streams.records import FakeRecord


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


async def test_what_is_no_change_of_a_policy_takes_no_demotion_away(monkeypatch: pytest.MonkeyPatch) -> None:
    demoted = PolicyChange(change_id="x", what="demoted", timestamp=1, by="reviews", rule="inj")

    async def read(*_: object) -> AsyncIterator[FakeRecord]:
        for offset, value in enumerate((None, b"{", codec.encode(demoted), b"\xff")):
            yield FakeRecord(value, offset)

    monkeypatch.setattr(policy_changes, "read_to_end", read)
    assert list((await policy_changes.demotions(Settings(_env_file=None))).of) == ["inj"]
