"""What is in a topic, asked again and again while more comes: each time only what is new is fetched."""

import asyncio
from itertools import chain
from typing import Any

from streams.kafka.clients import consuming
from streams.settings import Settings
from tests.waiting import LONG_S


class TopicReader:
    """Reads topics that grow; what is in them is kept here, however often it is asked for.

    A test that waits for decisions asks twenty times a second: read from the start each time, a few thousand
    of them take most of the CPU that those need who decide.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._records: dict[str, dict[Any, list[Any]]] = {}
        """By topic and partition."""
        self._positions: dict[Any, int] = {}

    async def read(self, topic: str) -> list[Any]:
        """Return all records of a topic, in order within each partition."""
        kept = self._records.setdefault(topic, {})
        async with consuming(self._settings, topic) as consumer, asyncio.timeout(LONG_S):
            ends = await consumer.end_offsets(consumer.assignment())
            for partition in ends.keys() & self._positions.keys():
                # Beyond the end where a broker came back with less than it had.
                consumer.seek(partition, min(self._positions[partition], ends[partition]))
            for partition, end in ends.items():
                mine = kept.setdefault(partition, [])
                while (position := await consumer.position(partition)) < end:
                    for fetched in (await consumer.getmany(partition, timeout_ms=200)).values():
                        mine += fetched
                self._positions[partition] = position
        return list(chain.from_iterable(kept[partition] for partition in sorted(kept)))
