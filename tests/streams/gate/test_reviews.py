"""A request waits for a reviewer: the answer comes over a real broker, or the deadline does."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from schemas import codec, topics
from schemas.events import Decision
from streams.gate.keys import Keys
from streams.gate.reviews import Reviews
from streams.kafka.clients import producing
from streams.kafka.topics import create_topics
from streams.settings import Settings
from tests.harness import wait_until
from tests.streams.gate.test_server import Running

POLICY = """version: "1"
name: ask
rules:
  - {id: ask, when: [app == bank], action: escalate}
"""
BODY = {"app": "bank", "text": "May I?", "review_within_ms": 60_000}


@pytest.fixture
async def gate(tmp_path: Path, broker: str) -> AsyncIterator[Running]:
    (tmp_path / "policy.yaml").write_text(POLICY)
    options = {"kafka": broker, "policy": tmp_path / "policy.yaml", "detectors": ("text",)}
    reviews = Reviews(Settings(_env_file=None, **options))  # type: ignore[arg-type]
    await create_topics(reviews._settings)
    async with Running(tmp_path, Keys(None), **options) as running:
        running.service._reviews = reviews
        following = asyncio.create_task(reviews.follow())
        yield running
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def say(gate: Running, *decisions: Decision) -> None:
    async with producing(gate.settings) as producer:
        await producer.send(
            topics.DECISIONS, [(each.event_id.encode(), codec.encode(each)) for each in decisions]
        )


async def decision(gate: Running, event_id: str) -> Decision:
    """Return the gate's decision on an event, once it is recorded."""
    while True:
        for value in await gate.sent(topics.DECISIONS):
            found = codec.decode(Decision, value)
            if found.event_id == event_id:
                return found
        await asyncio.sleep(0.01)


def answered(decision: Decision, action: str, revision: int = 0) -> Decision:
    revision = revision or time.time_ns() // 1_000_000
    return replace(decision, action=action, decided_by="reviewer", revision=revision)


async def test_who_waits_gets_the_reviewers_answer_and_who_comes_again_too(gate: Running) -> None:
    asked = asyncio.create_task(gate.ask("/v1/check", BODY | {"event_id": "w1"}))
    twice = asyncio.create_task(gate.ask("/v1/check", BODY | {"event_id": "w1"}))
    waiting = await decision(gate, "w1")
    assert waiting.action == "escalate"
    await say(gate, answered(replace(waiting, decision_id="other"), "block"), answered(waiting, "allow"))
    for each in (asked, twice, gate.ask("/v1/check", BODY | {"event_id": "w1"})):
        answer = await each
        assert (answer["action"], answer["decided_by"]) == ("allow", "reviewer")
        assert answer["decision_id"] == waiting.decision_id
    assert not gate.service._reviews._waiting  # type: ignore[union-attr]


async def test_a_review_that_came_before_the_request_waits_is_found(gate: Running) -> None:
    first = await gate.ask("/v1/check", {**BODY, "event_id": "w2", "review_within_ms": 0})
    assert (first["action"], "decided_by" in first) == ("escalate", False)
    await say(gate, answered(await decision(gate, "w2"), "block"))
    answer = await gate.ask("/v1/check", BODY | {"event_id": "w2"})
    assert (answer["action"], answer["decided_by"]) == ("block", "reviewer")


async def test_without_a_review_it_stays_escalated_at_the_deadline_and_at_the_end(gate: Running) -> None:
    late = await gate.ask("/v1/check", {**BODY, "event_id": "w3", "review_within_ms": 1})
    assert late["action"] == "escalate"
    passed = await gate.ask("/v1/check", BODY | {"app": "shop"})
    assert passed["action"] == "allow", "what is not escalated does not wait"
    asked = asyncio.create_task(gate.ask("/v1/check", BODY | {"event_id": "w4"}))
    await decision(gate, "w4")
    reviews = gate.service._reviews
    assert reviews is not None
    await asyncio.to_thread(wait_until, lambda: reviews._waiting, "it waits")
    reviews.close()
    assert (await asked)["action"] == "escalate"


async def test_of_two_answers_the_higher_revision_counts() -> None:
    reviews = Reviews(Settings(_env_file=None))
    one = Decision(
        decision_id="d", event_id="e", app="a", kind="prompt", verdict="escalate", action="escalate"
    )
    for action, revision in (("allow", 2), ("block", 1)):
        reviews.take(answered(one, action, revision))
    assert (await reviews.answer(one, 1)).action == "allow"
