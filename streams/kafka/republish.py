"""Messages of dead letters published again, from what was kept of them or from where they were."""

import base64
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition

from schemas import codec, topics
from schemas.events import DeadLetter, Event
from streams.kafka.clients import consuming
from streams.kafka.dlq import REPUBLISHED, marked
from streams.kafka.records import Message, Producer
from streams.kafka.settings import EventLimits, KafkaSettings

BATCH_BYTES: Final = 4 << 20
PATIENCE_MS: Final = 3_000
"""Without a record for so long there is none."""


def mended(lines: Iterable[bytes]) -> dict[str, bytes]:
    """Return payloads by id from lines of JSON; `ValueError` says which line is none."""
    payloads = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = msgspec.json.decode(line, type=dict[str, Any])
            payloads[str(entry["dead_letter_id"])] = _payload(entry)
        except (ValueError, TypeError, KeyError):
            expected = "a JSON object with dead_letter_id and payload (or payload_base64)"
            raise ValueError(f"line {number}: expected {expected}") from None
    return payloads


def _payload(entry: dict[str, Any]) -> bytes:
    if "payload_base64" in entry:
        return base64.b64decode(entry["payload_base64"], validate=True)
    payload = entry["payload"]
    return payload.encode() if isinstance(payload, str) else msgspec.json.encode(payload)


@dataclass
class Tally:
    """What became of the letters that were to be published again."""

    letters: int = 0
    messages: int = 0
    topics: set[str] = field(default_factory=set)
    gone: list[str] = field(default_factory=list)
    """Neither kept whole nor still in their topic."""
    refused: dict[str, str] = field(default_factory=dict)
    """They would be refused again; the detail by id."""
    lost: int = 0
    """Messages of a flood that are no longer in their topic."""


class Republisher:
    """Publishes the messages of dead letters to their topics again.

    A payload that was not kept whole is read from where it was, as long as the topic still has it. After
    the messages of a letter the letter itself is marked: stopped in between, they are sent again the next
    time, with the same event ids.
    """

    def __init__(self, settings: EventLimits, producer: Producer, *, checked: bool = True) -> None:
        self.tally = Tally()
        self._settings = settings
        self._producer = producer
        self._checked = checked
        self._waiting: dict[str, list[Message]] = {}
        self._done: list[DeadLetter] = []
        self._bytes = 0
        self._decoder = settings.decoder

    async def publish(self, letter: DeadLetter, payload: bytes | None, source: "Source | None") -> None:
        """Send what a letter stands for; `payload` is None where it has to be read from `source`."""
        original = None if source is None else await source.original(letter)
        if payload is None:
            payload = original
        if payload is None:
            self.tally.gone.append(letter.dead_letter_id)
            return
        if problem := self._problem(letter.topic, payload):
            self.tally.refused[letter.dead_letter_id] = problem
            return
        await self._send(letter, letter.key, payload)
        if letter.repeats:
            found = 0
            if source is not None and original is not None:  # it is still the topic that the letter speaks of
                async for key, value in source.repeats(letter):
                    found += 1
                    await self._send(letter, key, value)
            self.tally.lost += len(letter.repeats) - found
        self._done.append(letter)

    async def flush(self) -> None:
        """Deliver what waits, and then the marks."""
        for topic, waiting in self._waiting.items():
            await self._producer.send(topic, waiting)
            self.tally.messages += len(waiting)
            self.tally.topics.add(topic)
        await self._producer.send(topics.DEAD_LETTERS, marked(self._done, REPUBLISHED))
        self.tally.letters += len(self._done)
        self._waiting, self._done, self._bytes = {}, [], 0

    def _problem(self, topic: str, payload: bytes) -> str | None:
        """Return why a payload would be refused again under the settings of this process."""
        now = time.time_ns() // 1_000_000
        channel = topics.BY_TOPIC.get(topic)
        if channel is None or not self._checked:
            return None
        try:
            if channel.from_outside:
                self._decoder.decode(channel.message, payload, now, now)
            else:
                codec.decode(channel.message, payload)
        except codec.Rejected as rejected:
            return f"{rejected.reason}: {rejected.detail}"
        return None

    async def _send(self, letter: DeadLetter, key: bytes | None, payload: bytes) -> None:
        if letter.topic in (topics.EVENTS, topics.EVENTS_BULK):
            with contextlib.suppress(codec.Rejected):
                key = codec.partition_key(codec.decode(Event, payload))
        self._waiting.setdefault(letter.topic, []).append((key or None, payload))
        self._bytes += len(payload)
        if self._bytes > BATCH_BYTES:
            await self.flush()


class Source:
    """The topics that the refused messages were read from."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    async def original(self, letter: DeadLetter) -> bytes | None:
        """Return the payload of a letter's own message, None where the topic no longer has it."""
        async for record in self._between(letter, letter.offset, letter.offset):
            value: bytes | None = record.value
            same = hashlib.sha256(value or b"").hexdigest() == letter.payload_sha256
            return value if same and record.timestamp == letter.timestamp else None
        return None

    async def repeats(self, letter: DeadLetter) -> AsyncIterator[tuple[bytes | None, bytes]]:
        """Yield key and payload of the messages that a letter stands for beside its own."""
        wanted = set(letter.repeats)
        async for record in self._between(letter, min(wanted), max(wanted)):
            if record.offset in wanted and record.value is not None:
                yield record.key, record.value

    async def _between(self, letter: DeadLetter, first: int, last: int) -> AsyncIterator[ConsumerRecord]:
        part = TopicPartition(letter.topic, letter.partition)
        self._consumer.assign([part])
        begin = (await self._consumer.beginning_offsets([part]))[part]
        if last < begin:
            return
        self._consumer.seek(part, max(first, begin))
        while True:
            # Asked without regard to the end: a topic made anew may end before, and then nothing comes.
            fetched = await self._consumer.getmany(part, timeout_ms=PATIENCE_MS)
            records = [record for each in fetched.values() for record in each]
            for record in records:
                if not first <= record.offset <= last:
                    return
                yield record
            if not records or records[-1].offset == last:
                return


@contextlib.asynccontextmanager
async def reading_again(settings: KafkaSettings) -> AsyncIterator[Source]:
    """A `Source` on a consumer of its own."""
    async with consuming(settings) as consumer:
        yield Source(consumer)
