"""What is in `llm.dlq`: the dead letters, and what was done about them."""

import contextlib
import datetime as dt
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from typing import Any, Final

import msgspec
from aiokafka.structs import ConsumerRecord

from schemas import codec, topics
from schemas.events import DeadLetter
from streams.kafka.clients import consuming
from streams.kafka.records import Message
from streams.kafka.settings import KafkaSettings

REPUBLISHED: Final = "republished"
DROPPED: Final = "dropped"
POLL_MS: Final = 200


class Letters:
    """The dead letters of the topic without their payloads, each once, with the last thing done about it.

    A letter may be there several times: after a replay, from two roles that read the same topic, and once
    more with a state for each time that something was done about it.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, DeadLetter] = {}
        self.unreadable = 0
        """Records that are no dead letters."""

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, value: bytes | None) -> None:
        """Take a record of the topic, in the order of its partition."""
        try:
            letter = codec.decode(DeadLetter, value)
        except codec.Rejected:
            self.unreadable += 1
            return
        known = self._by_id.get(letter.dead_letter_id)
        changes: dict[str, Any] = {"payload": b""}
        if known is not None:
            changes["state"] = letter.state or known.state
            changes["repeats"] = tuple(sorted({*known.repeats, *letter.repeats}))
        self._by_id[letter.dead_letter_id] = msgspec.structs.replace(letter, **changes)

    def find(self, prefix: str) -> list[DeadLetter]:
        """Return the letters whose id begins with `prefix`."""
        # A whole id means that letter, whatever else begins with it.
        if prefix in self._by_id:
            return [self._by_id[prefix]]
        return [letter for id_, letter in self._by_id.items() if id_.startswith(prefix)]

    def chosen(
        self, *, reason: str | None = None, app: str | None = None, since_ms: int = 0, handled: bool = True
    ) -> list[DeadLetter]:
        """Return those with all that is asked for, the oldest first; without `handled` ones if told so."""
        found = [
            letter
            for letter in self._by_id.values()
            if (reason is None or letter.reason == reason)
            and (app is None or letter.app == app)
            and letter.timestamp >= since_ms
            and (handled or not letter.state)
        ]
        return sorted(found, key=lambda x: (x.timestamp, x.topic, x.partition, x.offset))


def messages(letters: Iterable[DeadLetter]) -> int:
    """Return how many messages the letters stand for, each counted once."""
    return len({(x.topic, x.partition, offset) for x in letters for offset in (x.offset, *x.repeats)})


async def scan(settings: KafkaSettings, seen: Callable[[int, int], None]) -> AsyncIterator[ConsumerRecord]:
    """Yield what is in the topic now, in order within each partition; tells `seen` how many of how many."""
    async with consuming(settings, topics.DEAD_LETTERS) as consumer:
        parts = consumer.assignment()
        # What comes while this reads is for the next time: with a flood of letters it would never end.
        begins, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
        total, count = sum(ends.values()) - sum(begins.values()), 0
        for part, end in ends.items():
            while await consumer.position(part) < end:
                for records in (await consumer.getmany(part, timeout_ms=POLL_MS)).values():
                    for record in records:
                        yield record
                    count += len(records)
                    seen(count, total)


async def read(settings: KafkaSettings, seen: Callable[[int, int], None]) -> Letters:
    """Return all dead letters."""
    letters = Letters()
    async for record in scan(settings, seen):
        letters.add(record.value)
    return letters


async def payloads(
    settings: KafkaSettings, ids: Collection[str], seen: Callable[[int, int], None]
) -> AsyncIterator[tuple[str, bytes, bool]]:
    """Yield id and kept payload of letters, each once, and whether it is all of it."""
    left = set(ids)
    async for record in scan(settings, seen):
        if record.key is None or record.key.decode(errors="replace") not in left:
            continue
        with contextlib.suppress(codec.Rejected):
            letter = codec.decode(DeadLetter, record.value)
            # A record that says what was done about a letter has no payload; an earlier one of that id does.
            if letter.payload:
                left.discard(letter.dead_letter_id)
                yield letter.dead_letter_id, letter.payload, len(letter.payload) == letter.size


def marked(letters: Iterable[DeadLetter], state: str) -> list[Message]:
    """Return the records that say what was done about letters; they go to the topic of the letters."""
    return [
        (x.dead_letter_id.encode(), codec.encode(msgspec.structs.replace(x, state=state, payload=b"")))
        for x in letters
    ]


def moment_ms(text: str) -> int:
    """Return milliseconds since 1970 of `2h` (ago) or of a date and time (UTC); `ValueError` for others."""
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400}.get(text[-1:])
    if seconds and text[:-1].isdecimal():
        return int((time.time() - int(text[:-1]) * seconds) * 1000)
    moment = dt.datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000)
