"""The topics of weir on a broker: how they are made, and which are missing."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from schemas import topics
from schemas.topics import CHANNELS, Channel
from streams.kafka.clients import BrokerError, started
from streams.kafka.settings import KafkaSettings

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
MIB = 1024 * 1024


def _config(channel: Channel) -> dict[str, str]:
    largest = {"max.message.bytes": str(channel.megabytes * MIB)} if channel.megabytes else {}
    if not channel.hours:
        return {**largest, "cleanup.policy": "compact"}
    return {**largest, "retention.ms": str(channel.hours * HOUR_MS)}


TOPIC_CONFIG: dict[str, dict[str, str]] = {
    **{channel.topic: _config(channel) for channel in CHANNELS},
    topics.STATE: {
        "cleanup.policy": "compact",
        "max.message.bytes": str(8 * MIB),
        # Only closed segments are compacted; by default that is after a gigabyte or a week.
        "segment.ms": str(MINUTE_MS // 2),
        "segment.bytes": str(32 * MIB),
        "min.cleanable.dirty.ratio": "0.1",
        # A worker that is paused in the middle of a write may put an old snapshot after a new one. For so
        # long both are there, and the newest is found: twenty session timeouts. Longer is more to read back.
        "min.compaction.lag.ms": str(2 * MINUTE_MS),
        "max.compaction.lag.ms": str(4 * MINUTE_MS),
        "delete.retention.ms": str(HOUR_MS),
    },
    topics.USAGE: {
        # The longest window is a day: who was quiet for longer has used nothing.
        "cleanup.policy": "compact,delete",
        "retention.ms": str(48 * HOUR_MS),
        "segment.ms": str(MINUTE_MS),
        "segment.bytes": str(32 * MIB),
        "min.cleanable.dirty.ratio": "0.1",
        "min.compaction.lag.ms": str(2 * MINUTE_MS),
        "max.compaction.lag.ms": str(4 * MINUTE_MS),
    },
}


@contextlib.asynccontextmanager
async def administering(
    settings: KafkaSettings, within_s: float | None = None
) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started admin client, closed at the end."""
    patience_ms = int(1000 * (within_s or settings.kafka_start_timeout_s))
    admin = await started(settings, partial(AIOKafkaAdminClient, request_timeout_ms=patience_ms), within_s)
    try:
        yield admin
    finally:
        await admin.close()


async def missing_topics(settings: KafkaSettings, within_s: float | None = None) -> list[str]:
    """Return the topics of weir that the broker does not have."""
    async with administering(settings, within_s) as admin:
        present = set(await admin.list_topics())
    return [name for name in topics.ALL if name not in present]


async def unfit_topics(admin: AIOKafkaAdminClient, names: Iterable[str]) -> list[str]:
    """Return what topics of these are set to, by somebody else, that refuses or loses messages of weir."""
    wanted = {"cleanup.policy": "", "max.message.bytes": ""}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, wanted) for name in names]
    found: list[str] = []
    for answer in await admin.describe_configs(asked) if asked else ():
        for code, _, _, name, entries in answer.resources:
            if not code:  # else who asks may not know
                found += _unfit(name, {entry[0]: entry[1] for entry in entries})
    return found


def _unfit(name: str, config: dict[str, str]) -> Iterator[str]:
    size, policy = TOPIC_CONFIG[name].get("max.message.bytes", "0"), config.get("cleanup.policy", "")
    if int(config.get("max.message.bytes", size)) < int(size):
        yield f"{name}: max.message.bytes={config['max.message.bytes']}, not {size}"
    expected = TOPIC_CONFIG[name].get("cleanup.policy", "delete")
    if policy and ("compact" in policy) != ("compact" in expected):
        yield f"{name}: cleanup.policy={policy}, not {expected}"


async def create_topics(settings: KafkaSettings) -> list[str]:
    """Create the missing topics and return their names; a topic that exists is left as it is."""
    missing = await missing_topics(settings)
    if not missing:
        return []
    async with administering(settings) as admin:
        response = await admin.create_topics(
            [
                NewTopic(name, settings.partitions, settings.replication, topic_configs=TOPIC_CONFIG[name])
                for name in missing
            ]
        )
    for name, code, *why in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            reason = next(filter(None, why), error.description)
            raise BrokerError(f"the broker refused to create {name}: {error.__name__}: {reason}")
    return missing
