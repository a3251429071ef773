"""Bulk events do not delay those that an app waits for; what every codec packs is decided and kept."""

import asyncio
import threading
import time

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from schemas import codec, topics
from schemas.events import Decision, Event
from streams.kafka.clients import client_options
from tests.harness import PATIENCE_S, Weir, make_events, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(4 * PATIENCE_S)]
BULK = 8_000
LIVE = 40
CODECS = ("gzip", "lz4", "snappy", "zstd")
EACH = 300


def messages(events: list[Event]) -> list[tuple[bytes, bytes]]:
    return [(codec.partition_key(event), codec.encode(event)) for event in events]


@pytest.mark.parametrize("kafka", ["embedded"], indirect=True)
def test_bulk_does_not_delay_live_events(weir: Weir) -> None:
    bulk = make_events("lanes-bulk", BULK)
    sending = threading.Thread(target=weir.send, args=(topics.EVENTS_BULK, messages(bulk)))
    sending.start()
    wait_until(lambda: weir.roles["guard"].lag() > BULK / 4 or not sending.is_alive(), "bulk waits")
    weir.publish(make_events("lanes-live", LIVE), rate=10)
    sending.join()
    wait_until(lambda: len(weir.decisions("lanes-live")) >= LIVE, "live events are decided")
    weir.check_complete("lanes-bulk", BULK)
    weir.check_complete("lanes-live", LIVE)
    sent = times(weir, topics.EVENTS, "lanes-live")
    decided = times(weir, topics.DECISIONS, "lanes-live")
    bulk_decided = sorted(times(weir, topics.DECISIONS, "lanes-bulk").values())
    assert bulk_decided[-1] > min(sent.values()), "bulk waited, so the live events did not just come after it"
    for name, at in sent.items():
        waited = [each for each in bulk_decided if each > at]
        before = sum(each < decided[name] for each in waited)
        # A slow machine takes longer for both, a quick one has done much of the bulk before one looks.
        assert decided[name] - at < 2_000 or before < len(waited) / 2, (name, before, len(waited))


def times(weir: Weir, topic: str, app: str) -> dict[str, int]:
    """Return when the first message about each event of an app was published, in ms."""
    found: dict[str, int] = {}
    for record in weir.read(topic):
        if f'"{app}"'.encode() in (record.value or b""):
            found.setdefault(msgspec.json.decode(record.value)["event_id"], record.timestamp)
    return found


def test_the_same_event_on_both_lanes_has_one_row(weir: Weir) -> None:
    events = make_events("lanes-both", 50)
    for topic in (topics.EVENTS, topics.EVENTS_BULK):
        weir.send(topic, messages(events))
    wait_until(lambda: len(weir.decisions("lanes-both")) == 100, "both are decided")
    wait_until(lambda: weir.roles["archive"].lag() == 0, "both are kept")
    weir.check_complete("lanes-both", 50)


def test_what_every_codec_packs_is_decided_and_kept(weir: Weir) -> None:
    events = make_events("codecs", len(CODECS) * EACH)
    asyncio.run(_publish(weir, events))
    weir.check_complete("codecs", len(events))


async def _publish(weir: Weir, events: list[Event]) -> None:
    for number, name in enumerate(CODECS):
        producer = AIOKafkaProducer(**client_options(weir.settings), compression_type=name)
        await producer.start()
        try:
            mine = messages(events[number * EACH : (number + 1) * EACH])
            await asyncio.gather(*[await producer.send(topics.EVENTS, value, key) for key, value in mine])
        finally:
            await producer.stop()


def test_a_record_without_a_time_has_a_latency_of_its_reading(weir: Weir) -> None:
    given = msgspec.structs.replace(make_events("timeless", 1)[0], timestamp=time.time_ns() // 1_000_000)
    asyncio.run(_without_time(weir, given))
    decisions: list[Decision] = wait_until(lambda: weir.decisions("timeless"), "it is decided")
    assert [0 <= decision.latency_ms < 60_000 for decision in decisions] == [True]


async def _without_time(weir: Weir, event: Event) -> None:
    producer = AIOKafkaProducer(**client_options(weir.settings))
    await producer.start()
    try:
        await producer.send_and_wait(topics.EVENTS, codec.encode(event), timestamp_ms=0)
    finally:
        await producer.stop()
