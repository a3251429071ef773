"""Kafka records made by hand, a producer that only remembers, and a clock that stands still."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from schemas import codec, topics
from schemas.events import Event
from streams.kafka.records import Message

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


class FakeProducer:
    """Keeps what was sent, by topic."""

    def __init__(self) -> None:
        self.sent: dict[str, list[Message]] = {}

    async def send(self, topic: str, messages: Sequence[Message]) -> None:
        self.sent.setdefault(topic, []).extend(messages)


class Clock:
    """Stands still."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def records_of(*messages: msgspec.Struct, topic: str = topics.EVENTS, start: int = 0) -> list[FakeRecord]:
    """Return records with these messages at consecutive offsets."""
    return [FakeRecord(codec.encode(m), start + i, topic) for i, m in enumerate(messages)]


def event(text: str, number: int = 0, **fields: object) -> Event:
    """Return a prompt."""
    values = {"event_id": f"e{number}", "app": "shop", "kind": "prompt", "text": text, **fields}
    return msgspec.convert(values, Event)
