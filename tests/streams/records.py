"""Kafka records made by hand."""

from dataclasses import dataclass

import msgspec

from schemas import codec, topics
from schemas.events import Event

NOW_MS = 1_800_000_000_000


@dataclass
class FakeRecord:
    """A record as aiokafka hands it over."""

    value: bytes | None
    offset: int = 0
    topic: str = topics.EVENTS
    partition: int = 0
    timestamp: int = NOW_MS - 50
    key: bytes | None = None


def records_of(*messages: msgspec.Struct, topic: str = topics.EVENTS, start: int = 0) -> list[FakeRecord]:
    """Return records with these messages at consecutive offsets."""
    return [FakeRecord(codec.encode(m), start + i, topic) for i, m in enumerate(messages)]


def event(text: str, number: int = 0, **fields: object) -> Event:
    """Return a prompt."""
    values = {"event_id": f"e{number}", "app": "shop", "kind": "prompt", "text": text, **fields}
    return msgspec.convert(values, Event)
