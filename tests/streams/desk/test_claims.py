"""The review queue over a real broker: several desks and reviewers at once, and a desk that dies."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from schemas.reviews import Claim
from streams.desk.claims import CLAIM_S, DONE_S, MOST, Claims, Held
from streams.kafka.clients import BatchProducer
from streams.kafka.topics import create_topics
from streams.settings import Settings

Desk = Callable[..., Claims]


@pytest.fixture
async def desk(broker: str) -> AsyncIterator[Desk]:
    """Make a desk's claims; each is a process of its own as far as the broker knows."""
    settings = Settings(kafka=broker, _env_file=None)
    await create_topics(settings)
    producer = BatchProducer(settings)
    await producer.start()
    tasks = []

    def make(late_ms: int = 0) -> Claims:
        claims = Claims(settings, producer, lambda: NOW_MS + late_ms)
        tasks.append(asyncio.create_task(claims.follow()))
        return claims

    yield make
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await producer.stop()


NOW_MS = 1_800_000_000_000


def items(count: int) -> list[str]:
    return [uuid.uuid4().hex for _ in range(count)]


async def test_reviewers_of_several_desks_never_get_one_item_twice(desk: Desk) -> None:
    desks, waiting = [desk(), desk(), desk()], items(24)
    shown = await asyncio.gather(*(desks[n % 3].claim(waiting, f"reviewer {n}") for n in range(24)))
    assert sorted(shown) == sorted(waiting), "24 at once, each another one"  # type: ignore[type-var]
    assert await desks[0].claim(waiting, "one more") is None


async def test_a_desk_that_dies_forgets_no_claim(desk: Desk) -> None:
    first, waiting = desk(), items(3)
    mine = await first.claim(waiting, "ann")
    judged = await first.claim(waiting, "bob")
    assert judged
    await first.done(judged, "bob")
    again = desk()
    assert await again.claim(waiting, "ann") == mine == waiting[0], "she gets back what she had"
    assert await again.claim(waiting, "eve") == waiting[2], "what bob has judged is not shown again"
    assert await again.claim(waiting, "ann", skip=True) is None


async def test_a_claim_ends(desk: Desk) -> None:
    waiting = items(1)
    assert await desk().claim(waiting, "ann") == waiting[0]
    assert await desk().claim(waiting, "bob") is None
    late = desk(late_ms=round(1000 * CLAIM_S) + 1)
    assert await late.claim(waiting, "bob") == waiting[0]
    await late.done(waiting[0], "bob")
    assert await late.claim(waiting, "ann") is None
    much_later = desk(late_ms=round(1000 * (CLAIM_S + DONE_S)) + 2)
    assert await much_later.claim(waiting, "ann") == waiting[0], "its review was lost after all"


def claim(reviewer: str, at: int, *, done: bool = False) -> Claim:
    return Claim(
        claim_id=f"{reviewer}{at}", decision_id="d", reviewer=reviewer, timestamp=at, until=at + 10, done=done
    )


def test_the_log_alone_says_who_holds() -> None:
    held = Held()
    claims = [claim("a", 0), claim("b", 5), claim("a", 6), claim("b", 12), claim("b", 16)]
    assert [held.take(each) for each in claims] == [True, False, True, False, True]
    assert held.take(claim("b", 17, done=True))
    assert not held.take(claim("b", 18)), "not even to who judged it"


def test_whoever_writes_claims_holds_no_event_for_ever_and_not_all_memory() -> None:
    held = Held()
    endless = Claim(claim_id="c", decision_id="d", reviewer="eve", timestamp=NOW_MS, until=2**62, done=True)
    assert held.take(endless)
    assert not held.take(claim("ann", NOW_MS + 1))
    assert held.take(claim("ann", NOW_MS + round(1000 * DONE_S)))
    for number in range(MOST + 100):
        held.take(msgspec.structs.replace(endless, decision_id=f"d{number}"))
    assert len(held._of) == MOST
    assert held.of(f"d{MOST + 99}", NOW_MS)
