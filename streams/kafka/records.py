"""What weir needs of a Kafka record, and of what sends them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.rejection import Reason, Rejected

Message = tuple[bytes | None, bytes | None]
"""Key and value; no value deletes the key in a compacted topic."""


class Producer(Protocol):
    """What sends: `streams.kafka.clients.BatchProducer`."""

    async def send(self, topic: str, messages: Sequence[Message]) -> None:
        """Send all and return when every one is acknowledged."""
        ...


class Record(Protocol):
    """A record as aiokafka hands it over."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since 1970 (UTC); 0 or less where the producer gave none."""
    key: bytes | None
    value: bytes | None


@dataclass(slots=True)
class Packed:
    """A record that was packed while it waited."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(slots=True)
class RefusedBatch:
    """Stands in the stream for a record batch that cannot be read, at the last offset of the batch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    reason: Reason
    detail: str
    key: bytes | None = None
    value: bytes | None = None


def require_readable(record: Record) -> None:
    """Raise `Rejected` for what stands for a batch that cannot be read."""
    if isinstance(record, RefusedBatch):
        raise Rejected(record.reason, record.detail)
