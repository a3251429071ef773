"""A message that a topic does not take, and one that is more than weir keeps, stop nobody."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas import codec, topics
from schemas.events import DeadLetter, Event
from streams.kafka.topics import TOPIC_CONFIG, administering
from tests.brokers import ApacheKafka, KafkaBroker
from tests.harness import Weir, make_events, wait_until

pytestmark = pytest.mark.kafka
LIMITED = (topics.DECISIONS, topics.SCORES, topics.ALERTS, topics.DEAD_LETTERS)


@contextmanager
def limited(weir: Weir, **changes: str) -> Iterator[None]:
    """Let the topics that roles write take only some messages."""
    asyncio.run(configure(weir, {name.replace("_", "."): value for name, value in changes.items()}))
    try:
        yield
    finally:
        asyncio.run(configure(weir, {}))


async def configure(weir: Weir, changes: dict[str, str]) -> None:
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, name, TOPIC_CONFIG[name] | changes) for name in LIMITED
    ]
    async with administering(weir.settings) as admin:
        for answer in await admin.alter_configs(resources):
            assert not any(code for code, *_ in answer.resources), answer


def letters(weir: Weir, app: str) -> dict[str, DeadLetter]:
    found = [codec.decode(DeadLetter, record.value) for record in weir.read(topics.DEAD_LETTERS)]
    return {each.dead_letter_id: each for each in found if each.app == app}


def test_a_long_key_stops_no_guard(weir: Weir) -> None:
    app = "long-key"
    bad = b'{"app": "%s", "kind": 7}' % app.encode()
    weir.send(topics.EVENTS, [(b"k" * 3_000_000, bad)])
    weir.publish(make_events(app, 20))
    weir.check_complete(app, 20)
    [letter] = letters(weir, app).values()
    assert (letter.size, letter.key, letter.payload) == (len(bad), b"", bad)


def test_what_is_too_large_for_a_topic_is_decided_and_kept_once_without_its_texts(weir: Weir) -> None:
    app = "too-large-for-topics"
    text = "Write to jane.roe@example-mail.org, please. " * 2_000
    large = Event(event_id=f"{app}-20", app=app, kind="prompt", text=text, contexts=("word " * 9_000,))
    with limited(weir, max_message_bytes="20000"):
        weir.publish([*make_events(app, 20), large, *make_events(app, 10, start=21)])
        weir.send(topics.EVENTS, [(b"k", b'{"app": "%s", "text": "%s"}' % (app.encode(), b"x" * 50_000))])
        weir.check_complete(app, 31)
        [letter] = wait_until(lambda: letters(weir, app), "the other one is refused").values()
    assert (letter.size > 50_000, letter.payload) == (True, b"")
    [decision] = {d.decision_id: d for d in weir.decisions(app) if d.event_id == large.event_id}.values()
    assert decision.action == "redact"
    assert re.fullmatch(r"\[WITHHELD \d{5} characters\]", decision.text or "")
    kept = "SELECT text, contexts, storage, notEmpty(text_hash), has(pii_types, 'EMAIL') FROM events"
    assert weir.query(f"{kept} WHERE event_id = {{id:String}}", id=large.event_id) == [
        ("", [], "oversize", True, True)
    ]


def test_a_clock_that_the_broker_does_not_believe_keeps_no_event_undecided(
    weir: Weir, kafka: KafkaBroker
) -> None:
    app, believes = "unbelieved", not isinstance(kafka, ApacheKafka)
    # Any time is too old then; that of a clock that is ahead is refused as well.
    with limited(weir, message_timestamp_before_max_ms="0"):
        weir.publish(make_events(app, 20))
        weir.check_complete(app, 20)
        records = [record for record in weir.read(topics.DECISIONS) if app.encode() in record.value]
    assert all((record.timestamp > 0) == believes for record in records)
    for role in ("guard", "archive"):
        assert weir.roles[role].get("healthz")[0] == 200
    assert believes or "clock" in json.loads(weir.roles["guard"].get("healthz")[1])["degraded"]
