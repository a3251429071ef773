"""Usage at scale, for `bench.state`: many users, what a guard takes that asks, and how soon it knows."""

import asyncio
import contextlib
import random
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from schemas import codec, topics
from schemas.events import Event
from streams.kafka.clients import BatchProducer, producing
from streams.kafka.records import Message
from streams.monitors.snapshots import Segment
from streams.monitors.state_topic import Snapshot
from streams.monitors.usage import UsageMonitor
from streams.monitors.usage_topic import UsageReader
from streams.monitors.watched import WatchedEvent, WatchedScores
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry
from tests.harness import Role, Weir

POLICY = """version: "1"
name: bench
rules:
  - {id: attacks, when: [injection >= 0.9], action: flag}
"""
USAGE_RULE = "  - {id: abuse, when: [user_injections_1h >= 5], action: block}\n"


class Population(NamedTuple):
    """Whose events there are: each user has one app, which is a segment."""

    segments: int
    users: int

    def event(self, number: int, user: int, **fields: Any) -> WatchedEvent:
        """Return an event of a user."""
        return WatchedEvent(
            event_id=f"event-{number}",
            app=f"app-{user % self.segments}",
            kind="completion",
            model="model",
            user=f"user-{user}",
            tenant=f"tenant-{user % 100}",
            conversation_id=f"conversation-{user}",
            **fields,
        )


@dataclass
class Counted:
    """The record of an event that was counted before the measurement."""

    partition: int
    timestamp: int
    offset: int = 0
    topic: str = topics.SCORES
    key: bytes | None = None
    value: bytes | None = None


def used(population: Population, settings: Settings) -> tuple[list[Snapshot], list[Message]]:
    """Return the snapshots of the usage of all users, and what a policy is told of it."""
    monitor, prefix = UsageMonitor(settings.usage_entities, 0.9), f"{settings.group_prefix}\0".encode()
    counted, now = [], int(time.time() * 1000)
    for number in range(population.users):
        event = population.event(number, number)
        record = Counted(Segment(event.app, "model", "", "completion").partition(settings.partitions), now)
        counted.append((WatchedScores(event, {"injection": 0.95}, record.timestamp), record))
    counted.sort(key=lambda pair: pair[1].partition)
    told = dict(monitor.update(counted, settings.partitions))
    messages: list[Message] = [(prefix + key, value) for key, value in told.items()]
    return list(monitor.changes(settings.partitions)), messages


def memory_mb(role: Role) -> tuple[float, float]:
    """Return the resident memory of a role now, and its peak."""
    assert role.process is not None
    lines = Path(f"/proc/{role.process.pid}/status").read_text().splitlines()
    found = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return int(found["VmRSS"]) / 1024, int(found["VmHWM"]) / 1024


def print_guards(weir: Weir, folder: Path) -> None:
    """Print what a guard takes under a policy that asks for no usage, and under one that does."""
    for name, rules in (("without", POLICY), ("with", POLICY + USAGE_RULE)):
        _print_guard(weir, folder, name, rules)


def _print_guard(weir: Weir, folder: Path, name: str, rules: str) -> None:
    policy = folder / f"{name}.yaml"
    policy.write_text(rules)
    begun = time.monotonic()
    guard = weir.role("guard", WEIR_POLICY=str(policy), WEIR_DETECTORS="injection").start()
    print(
        f"a guard {name} a rule on usage: {memory_mb(guard)[0]:.0f} MB, "
        f"{guard.metric('weir_usage_entities'):,.0f} users and others, ready after "
        f"{time.monotonic() - begun:.1f} s"
    )
    guard.stop()


async def print_delay(weir: Weir, population: Population, attempts: int = 30) -> None:
    """Print how long after its scores an attempt at an injection is known to a policy."""
    reader = UsageReader(weir.settings, weir.settings.usage_entities, Telemetry("guard"), lambda: True)
    begun = time.monotonic()
    task = asyncio.create_task(reader.run())
    await reader.ready()
    print(f"a reader knows {len(reader.view):,} users and others after {time.monotonic() - begun:.1f} s")
    seconds = []
    async with producing(weir.settings) as producer:
        for number in range(attempts):
            await asyncio.sleep(random.random())
            seconds.append(await _known_after(reader, producer, population, number))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    print(
        f"an attempt is known {statistics.median(seconds):.2f} s after its scores in the median, "
        f"{max(seconds):.2f} s at most"
    )


async def _known_after(
    reader: UsageReader, producer: BatchProducer, population: Population, user: int
) -> float:
    event = population.event(-1 - user, user)
    asked = Event(app=event.app, event_id="e", kind="prompt", text="", user=event.user, tenant=event.tenant)
    name = "user_injections_1d"

    def count() -> float:
        return float(reader.view([name], [asked], int(time.time() * 1000))[name][0])

    before, begun = count(), time.monotonic()
    item = WatchedScores(event, {"injection": 0.95}, int(time.time() * 1000))
    await producer.send(topics.SCORES, [(codec.segment_key(event), msgspec.json.encode(item))])
    while count() <= before:  # noqa: ASYNC110 -- as a policy would ask
        await asyncio.sleep(0.005)
    return time.monotonic() - begun
