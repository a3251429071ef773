"""What weir needs of a Kafka record."""

from typing import Protocol


class Record(Protocol):
    """A record as aiokafka hands it over."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since 1970 (UTC); -1 where the producer gave none."""
    key: bytes | None
    value: bytes | None
