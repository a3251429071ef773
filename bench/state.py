"""How `llm.state` grows, and what a rebalance costs watch: `python -m bench.state`.

Scored events go straight to `llm.scores`, so that no guard is needed: at a steady rate, over many segments
that have seen 900 events each before, as after an hour, and of many users, each with a conversation and an
attempt at an injection. At the end watch is started again, as after a rebalance, and a guard with and without
a policy that asks for usage.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.usage import Population, memory_mb, print_delay, print_guards, used
from schemas import codec, topics
from schemas.sketches import LENGTH
from streams.kafka.clients import BatchProducer, client_options, producing
from streams.kafka.topics import TOPIC_CONFIG, create_topics
from streams.monitors import snapshots
from streams.monitors.segment import SegmentState, Watched
from streams.monitors.snapshots import Segment
from streams.monitors.state_topic import Snapshot, StateTopic
from streams.monitors.watched import WatchedScores
from streams.settings import Settings
from tests.brokers import new_broker
from tests.harness import Weir, wait_until

SKETCHES = [random.Random(n).randbytes(LENGTH) for n in range(256)]
GROUPS = [f"group {n}" for n in range(16)]
NAMING = 0.3
"""Of the answers: they name a group."""
REBALANCE_S = 120.0
METRICS = (
    "toxicity", "injection", "harmful_request", "bias_identity_attack", "refusal", "distance_assistant"
)  # fmt: skip


def scored(number: int, population: Population, rng: random.Random) -> tuple[bytes, bytes]:
    """Return key and value of one event; every watched metric has a value, and it has a subject."""
    event = population.event(
        number,
        rng.randrange(population.users),
        latency_ms=round(rng.lognormvariate(6, 0.5), 1),
        completion_tokens=rng.randrange(5, 900),
        cost=round(rng.lognormvariate(-5, 0.5), 6),
    )
    scores = {name: round(rng.betavariate(1, 20), 6) for name in METRICS}
    scores |= {"pii": float(rng.random() < 0.05), "ungrounded": round(rng.betavariate(2, 3), 6)}
    scores["text_tokens"] = float(rng.randrange(5, 400))
    groups = (rng.choice(GROUPS),) if rng.random() < NAMING else ()
    # The first byte says which sketches compare.
    sketch = b"\x01" + rng.choice(SKETCHES)[1:]
    item = WatchedScores(event, scores, int(time.time() * 1000), named_groups=groups, sketch=sketch)
    return codec.segment_key(event), msgspec.json.encode(item)


def grown(segments: int, partitions: int) -> list[Snapshot]:
    """Return snapshots of segments that have seen 900 events each; 40 of them differ."""
    rng = random.Random(0)
    kinds = []
    settings = Settings(_env_file=None)
    watched = Watched(settings.watch_metrics, settings.watch_quiet_events, settings.watch_learn_values)
    for _ in range(40):
        state = SegmentState(watched)
        for number in range(900):
            state.update(msgspec.json.decode(scored(number, Population(1, 1), rng)[1], type=WatchedScores))
        kinds.append(state.content())
    names = [Segment(f"app-{n}", "model", "", "completion") for n in range(segments)]
    places = [name.partition(partitions) for name in names]
    return [
        (p, snapshots.encode_key(name), snapshots.encode(p, partitions, -1, 0, kinds[n % len(kinds)]))
        for n, (name, p) in enumerate(zip(names, places, strict=True))
    ]


async def seed(weir: Weir, population: Population) -> None:
    """Write the snapshots with which watch begins."""
    settings = weir.settings
    snapshots_, told = await asyncio.to_thread(used, population, settings)
    print(
        f"{len(told):,} records of usage, {sum(len(v or b'') for _, v in told) / 1e6:.0f} MB; "
        f"snapshots of it {sum(len(v or b'') for *_, v in snapshots_) / 1e6:.0f} MB",
        flush=True,
    )

    async def ours() -> bool:
        return True

    state = StateTopic(weir.settings)
    await state.start()
    assert await state.write([*grown(population.segments, settings.partitions), *snapshots_], ours)
    await state.stop()
    async with producing(settings) as producer:
        await producer.send(topics.USAGE, told)


async def written_mb(weir: Weir) -> float:
    """Return what the producers have written to `llm.state` so far, by its end offsets and mean size."""
    consumer = AIOKafkaConsumer(**client_options(weir.settings), fetch_max_wait_ms=10)
    await consumer.start()
    try:
        places = [TopicPartition(topics.STATE, n) for n in range(weir.settings.partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
        sizes = [len(r.value or b"") for f in (await consumer.getmany(timeout_ms=2000)).values() for r in f]
        records: int = sum(ends.values())
        return records * sum(sizes) / max(1, len(sizes)) / 1e6
    finally:
        await consumer.stop()


def kept_mb(folder: Path) -> float:
    """Return what the topic's logs take on the broker's disk, and what compaction is writing beside them."""
    sizes = 0
    for file in folder.glob(f"**/{topics.STATE}-*/*"):
        with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
            sizes += file.stat().st_size * (file.suffix != ".index" and file.suffix != ".timeindex")
    return sizes / 1e6


async def feed(weir: Weir, rate: int, seconds: float, population: Population, start: int = 0) -> int:
    """Publish scores at a rate; return the number of the next one."""
    rng = random.Random(start)
    producer = BatchProducer(weir.settings)
    await producer.start()
    number, begun = start, time.monotonic()
    while (now := time.monotonic() - begun) < seconds:
        until = start + int(now * rate)
        await producer.send(topics.SCORES, [scored(n, population, rng) for n in range(number, until)])
        number = max(number, until)
        await asyncio.sleep(0.1)
    await producer.stop()
    return number


@contextmanager
def running(kind: str, folder: Path, lag_s: int) -> Iterator[Weir]:
    """A broker with topics, for watch alone; snapshots are compacted after `lag_s`, twice that at most."""
    TOPIC_CONFIG[topics.STATE] |= {
        "segment.ms": str(250 * lag_s),
        "min.compaction.lag.ms": str(1000 * lag_s),
        "max.compaction.lag.ms": str(2000 * lag_s),
    }
    broker = new_broker(kind, folder / "kafka")
    broker.start()
    try:
        weir = Weir(broker.address, folder, WEIR_WATCH_SNAPSHOT_S="5", WEIR_KAFKA_SESSION_TIMEOUT_S="6")
        asyncio.run(create_topics(weir.settings))
        yield weir
    finally:
        broker.stop()


def measure(weir: Weir, folder: Path, arguments: argparse.Namespace) -> None:
    """Print a line per period, then the cost of a restart."""
    population = Population(arguments.segments, max(arguments.users, arguments.segments))
    asyncio.run(seed(weir, population))
    before = asyncio.run(written_mb(weir))
    print(f"{before:.0f} MB of snapshots at the start", flush=True)
    watch = weir.role("watch").start()
    number, begun = 0, time.monotonic()
    try:
        while (elapsed := time.monotonic() - begun) < arguments.seconds:
            number = asyncio.run(feed(weir, arguments.rate, arguments.period, population, number))
            elapsed, written = time.monotonic() - begun, asyncio.run(written_mb(weir)) - before
            hourly = written / elapsed * 3.6
            print(
                f"{elapsed:5.0f} s {number:8,} events {watch.metric('weir_segments'):6.0f} segments, "
                f"{watch.metric('weir_usage_entities'):,.0f} users and others: "
                f"{written:7.0f} MB written ({hourly:.2f} GB/h), {kept_mb(folder):7.0f} MB on disk, "
                f"watch {memory_mb(watch)[0]:.0f} MB",
                flush=True,
            )
    finally:
        watch.stop()
    restart(weir, population, number)
    print_guards(weir, folder)


def restart(weir: Weir, population: Population, number: int) -> None:
    """Start watch again, as after a rebalance, and print what that takes."""
    empty = memory_mb(idle := weir.role("watch", WEIR_GROUP_PREFIX="other").start())[1]
    idle.stop()
    begun = time.monotonic()
    watch = weir.role("watch").start()
    number = asyncio.run(feed(weir, 100, 1, population, number))
    try:
        wait_until(lambda: watch.metric("weir_messages_total") > 0, "it goes on", REBALANCE_S)
        first = time.monotonic() - begun
        seconds = watch.metric('weir_stage_seconds_sum{stage="restore"}')
        print(
            f"a rebalance: {watch.metric('weir_segments'):,.0f} segments and "
            f"{watch.metric('weir_usage_entities'):,.0f} users and others restored in {seconds:.1f} s; "
            f"{first:.1f} s from the start of the process to its first event"
        )
        now, peak = memory_mb(watch)
        print(
            f"watch: {now:.0f} MB, {peak:.0f} MB at most; without any state {empty:.0f} MB. "
            f"WEIR_WATCH_SEGMENTS ({weir.settings.watch_segments:,}) and WEIR_USAGE_ENTITIES "
            f"({weir.settings.usage_entities:,}) bound it",
            flush=True,
        )
        # Three events each: until its first one a segment stays packed.
        asyncio.run(feed(weir, 1_000, 3 * population.segments / 1_000, population, number))
        # What was published while it was away is no delay of an attempt.
        wait_until(lambda: watch.lag() == 0, "it has read all", REBALANCE_S)
        print(f"once 19 of 20 segments have had an event again: {memory_mb(watch)[0]:.0f} MB", flush=True)
        asyncio.run(print_delay(weir, population))
    finally:
        watch.stop()


def main() -> int:
    """Run the measurement that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.state", description=__doc__)
    parser.add_argument("--broker", choices=("apache", "embedded"), default="apache")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--period", type=float, default=30)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--segments", type=int, default=4_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument(
        "--lag-s", type=int, default=120, help="min.compaction.lag.ms of llm.state, in seconds"
    )
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(arguments.broker, Path(folder), arguments.lag_s) as weir,
    ):
        measure(weir, Path(folder), arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
