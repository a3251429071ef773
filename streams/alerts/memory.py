"""What notify remembers, as it lies in `llm.state`: alerts, how far each topic is read, changes to publish.

One record: so all of it is of one moment, whenever the process is killed. It is written before the changes in
it are published: what was decided once is not decided anew, otherwise, after a crash.
"""

import time
import zlib
from typing import Final, TypeVar

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import topics
from schemas.alerts import AlertChange
from streams.alerts.life_cycle import Memory
from streams.alerts.tracked import Tracked
from streams.kafka.clients import client_options
from streams.kafka.fetcher import bound
from streams.kafka.settings import KafkaSettings

log = structlog.get_logger(__name__)

FORMAT: Final = 1
MAX_BYTES: Final = 32 << 20
"""Unpacked. A full one (1,000 alerts with 32 parts each) has about 10 MB."""
MOST_BYTES: Final = 7 << 20
"""Packed: `llm.state` takes 8 MiB."""
PARTITION: Final = 0
"""Of `llm.state`."""
READ_S: Final = 60.0
Told = TypeVar("Told", Tracked, AlertChange)
Positions = dict[str, int]
"""The next offset, by `topic/partition`."""


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """All that notify goes on with."""

    format: int
    positions: Positions
    memory: Memory
    outbox: list[AlertChange] = []
    """Changes that may not be published yet."""


def key(settings: KafkaSettings) -> bytes:
    """Return the key in `llm.state`; no prefix of it is a key of watch."""
    return f"{settings.group_prefix}-notify\0alerts".encode()


def encode(positions: Positions, memory: Memory, outbox: list[AlertChange]) -> bytes:
    """Return a snapshot, with fewer parts or alerts where the whole would be too large to be kept or read."""
    while True:
        content = msgspec.msgpack.encode(Snapshot(FORMAT, positions, memory, outbox))
        packed = zlib.compress(content, 1)
        if (len(content) <= MAX_BYTES and len(packed) <= MOST_BYTES) or not memory.alerts:
            return packed
        memory, outbox = _less(memory), [_fewer_parts(change) for change in outbox]


def _less(memory: Memory) -> Memory:
    """Return about half of what is remembered: of each alert, or else of the alerts, the newest."""
    alerts = memory.alerts
    if all(len(each.parts) <= 1 and not each.comment for each in alerts):
        return Memory(alerts[(len(alerts) + 1) // 2 :], memory.seen)
    return Memory([_fewer_parts(each) for each in alerts], memory.seen)


def _fewer_parts(alert: Told) -> Told:
    kept = alert.parts[: (len(alert.parts) + 1) // 2]
    return msgspec.structs.replace(alert, parts=kept, comment="")


def decode(value: bytes) -> Snapshot | None:
    """Return a snapshot; None for what is none, or of another format."""
    inflater = zlib.decompressobj()
    try:
        snapshot = msgspec.msgpack.decode(inflater.decompress(value, MAX_BYTES), type=Snapshot)
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return snapshot if snapshot.format == FORMAT else None


async def read(settings: KafkaSettings) -> Snapshot | None:
    """Return the last snapshot; None where there is none that can be read. `KafkaError` without a broker."""
    found = await _last(settings, key(settings))
    snapshot = decode(found) if found else None
    if found and snapshot is None:
        log.error("what notify remembered cannot be read; alerts that are open begin anew")
    return snapshot


async def _last(settings: KafkaSettings, wanted: bytes) -> bytes | None:
    consumer = AIOKafkaConsumer(**client_options(settings), enable_auto_commit=False)
    place = TopicPartition(topics.STATE, PARTITION)
    last: bytes | None = None
    try:
        await consumer.start()
        bound(consumer)
        consumer.assign([place])
        await consumer.seek_to_beginning()
        end = (await consumer.end_offsets([place]))[place]
        deadline = time.monotonic() + READ_S
        while await consumer.position(place) < end:
            for record in (await consumer.getmany(place, timeout_ms=200)).get(place, ()):
                last = record.value if record.key == wanted else last
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topics.STATE} cannot be read to its end within {READ_S:.0f} s")
    finally:
        await consumer.stop()
    return last
