"""One broker, one store, and what passes through them per second."""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic

from bench.latency import latencies
from bench.report import Results
from bench.texts import make_events, messages
from bench.workers import KINDS, TOPIC
from schemas import topics
from schemas.events import Event
from streams.kafka.clients import client_options, producing
from streams.kafka.topics import administering
from streams.roles.archive import Archive
from streams.roles.watch import Watch
from streams.settings import Settings
from streams.store.client import make_store
from tests.brokers import KafkaBroker
from tests.harness import Role, Weir

Say = Callable[[str], None]
POLL_S = 0.05
TIMEOUT_S = 300.0
TIMES = 10
"""How often the pass-through reads the same events in one run."""
NAMES = {
    "weir": "pass-through: weir's Faust worker, acknowledges only",
    "faust": "the same with Faust as shipped (`noack_take`)",
    "aiokafka": "the same with aiokafka alone",
}
GUARD = "guard, all default detectors"
ALL_ROLES = "guard, watch and archive, until the rows are in ClickHouse"
PRODUCTION = {
    "WEIR_KAFKA_SESSION_TIMEOUT_S": "6",
    "WEIR_WATCH_SNAPSHOT_S": "5",
    "WEIR_ARCHIVE_LINGER_S": "1",
    "WEIR_POLICY_RELOAD_S": "5",
    # The events are all there at once: measured is what it takes to read them in full.
    "WEIR_DEGRADE_AFTER_MS": "0",
}
"""The harness of the tests hurries; measured is what a user gets."""
_SAMPLE = re.compile(r'(\w+)(?:\{(\w+)="([^"]*)".*\})? (\S+)')


class BenchError(Exception):
    """Something that is measured did not work; the message says what."""


class Bench:
    """Measures on one broker. The events are published once; each run reads them in a group of its own.

    Args:
        broker: running, without the topics of weir.
        folder: for the store and the logs.
        events: `skip` to warm up, then those that count.
        skip: events that do not count.
        say: shows progress.

    """

    def __init__(self, broker: KafkaBroker, folder: Path, events: list[Event], skip: int, say: Say) -> None:
        self._weir = Weir(broker.address, folder, **PRODUCTION)
        self._events = events
        self._skip = skip
        self._say = say
        self._runs = count()

    def run(self, name: str, repeats: int, rate: float, seconds: float) -> Results:
        """Measure everything and stop what was started."""
        results = Results(name)
        weir = self._weir
        weir.start_store()
        try:
            _check(weir.run("topics"), "weir topics")
            asyncio.run(self._publish())
            for kind in sorted(KINDS, key=list(NAMES).index):
                self._repeat(results, NAMES[kind], repeats, partial(self._pass_through, kind))
            self._repeat(results, GUARD, repeats, lambda: self._guard(results))
            self._repeat(results, ALL_ROLES, repeats, self._all_roles)
            results.latencies_ms = self._latency(rate, seconds)
        finally:
            weir.stop()
        return results

    async def _publish(self) -> None:
        settings = self._weir.settings
        sent = messages(self._events)
        async with administering(settings) as admin:
            await admin.create_topics([NewTopic(TOPIC, settings.partitions, settings.replication)])
        async with producing(settings) as producer:
            await producer.send(topics.EVENTS, sent)
            await producer.send(TOPIC, sent[: self._skip])
            for _ in range(TIMES):
                await producer.send(TOPIC, sent[self._skip :])

    def _repeat(self, results: Results, name: str, repeats: int, measure: Callable[[], float]) -> None:
        runs = results.rates[name] = []
        for _ in range(repeats):
            runs.append(measure())
            self._say(f"{results.broker}: {name}: {runs[-1]:,.0f} events/s")

    def _pass_through(self, kind: str) -> float:
        # Faust as shipped is slow enough for the events to be read once.
        count = self._skip + (len(self._events) - self._skip) * (1 if kind == "faust" else TIMES)
        command = [sys.executable, "-m", "bench.workers", kind, str(self._skip), str(count)]
        environment = self._weir.environment(WEIR_GROUP_PREFIX=self._group())
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as worker:
            try:
                output, errors = worker.communicate(timeout=TIMEOUT_S)
            except BaseException:
                worker.kill()
                raise
        if worker.returncode or not output:
            raise BenchError(f"the pass-through {kind} failed:\n{errors.decode()[-2000:]}")
        measured = json.loads(output)
        return float(measured["events"] / measured["seconds"])

    def _guard(self, results: Results) -> float:
        with self._roles("guard") as roles:
            guard = roles[0]
            begin = self._await_count(guard, "weir_messages_total", "", self._skip)
            before = guard.get("metrics")[1]
            end = self._await_count(guard, "weir_messages_total", "", len(self._events))
            after = guard.get("metrics")[1]
        events = end[0] - begin[0]
        results.detectors = per_thousand("weir_detector_seconds_sum", before, after, events)
        results.stages = per_thousand("weir_stage_seconds_sum", before, after, events)
        return events / (end[1] - begin[1])

    def _all_roles(self) -> float:
        with self._running() as (settings, roles):
            guard, archive = roles[-1], roles[0]
            begin = self._await_count(guard, "weir_messages_total", "", self._skip)
            end = self._await_count(archive, "weir_rows_total", "events", len(self._events))
            self._check_rows(settings)
        return (len(self._events) - begin[0]) / (end[1] - begin[1])

    def _latency(self, rate: float, seconds: float) -> list[float]:
        self._say(f"latency: {rate:.0f} events/s for {seconds:.0f} s")
        warm = int(rate * 2)
        events = make_events(int(rate * seconds) + warm, f"steady-{next(self._runs)}")
        with self._running() as (settings, roles):
            self._await_count(roles[0], "weir_rows_total", "events", len(self._events))
            return asyncio.run(latencies(settings, events, rate))[warm:]

    @contextmanager
    def _running(self) -> Iterator[tuple[Settings, list[Role]]]:
        """All roles in a group and a database of their own, the guard last: it reads from the start."""
        group = self._group()
        options = {"WEIR_GROUP_PREFIX": group, "WEIR_CLICKHOUSE_DATABASE": group}
        settings = self._weir.settings.model_copy(update={"clickhouse_database": group})
        asyncio.run(_start_at_the_end(settings, group))
        _check(self._weir.run("migrate", **options), "weir migrate")
        with self._roles("archive", "watch", "guard", **options) as roles:
            yield settings, roles

    @contextmanager
    def _roles(self, *names: str, **options: str) -> Iterator[list[Role]]:
        roles = []
        options = options or {"WEIR_GROUP_PREFIX": self._group()}
        try:
            for name in names:
                role = self._weir.role(name, **options)
                roles.append(role)
                role.start(ready=name != "guard")
            yield roles
        finally:
            # What a run leaves unread is read by nobody: the next has a group of its own.
            for role in roles:
                role.kill()

    def _group(self) -> str:
        return f"bench_{next(self._runs)}"

    def _await_count(self, role: Role, metric: str, label: str, wanted: int) -> tuple[int, float]:
        """Return the first count that is `wanted` or more, and when it was seen."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            seen = int(samples(role.get("metrics")[1], metric).get(label, 0))
            now = time.perf_counter()
            if seen >= wanted:
                return seen, now
            if not role.running:
                raise BenchError(f"{role.name} ended:\n{role.log.read_text()[-2000:]}")
            time.sleep(POLL_S)
        raise BenchError(f"{role.name} did not finish {wanted:,} events within {TIMEOUT_S:.0f} s")

    def _check_rows(self, settings: Settings) -> None:
        store = make_store(settings)
        rows = store.query("SELECT count(), uniqExact(decision_id) FROM events").rows[0]
        store.close()
        if rows != (len(self._events), len(self._events)):
            raise BenchError(
                f"{len(self._events):,} events became {rows[0]:,} rows and {rows[1]:,} decisions"
            )


def samples(body: str, metric: str) -> dict[str, float]:
    """Return the values of a metric in Prometheus' text format, by the value of its label ("" if none)."""
    found = (_SAMPLE.fullmatch(line) for line in body.splitlines() if line.startswith(metric))
    return {match[3] or "": float(match[4]) for match in found if match and match[1] == metric}


def per_thousand(metric: str, before: str, after: str, events: int) -> dict[str, float]:
    """Return by label what a sum of seconds grew by between two readings, in ms per 1,000 events."""
    base = samples(before, metric)
    grown = {name: seconds - base.get(name, 0.0) for name, seconds in samples(after, metric).items()}
    return {name: 1e6 * seconds / events for name, seconds in grown.items() if seconds > 0}


async def _start_at_the_end(settings: Settings, group: str) -> None:
    """Let the groups of watch and archive begin where their topics end now."""
    for role in (Watch, Archive):
        async with AIOKafkaConsumer(
            **client_options(settings), group_id=f"{group}-{role.name}", enable_auto_commit=False
        ) as consumer:
            # Not a member of the group, so that the role need not wait for this one to leave.
            partitions = [TopicPartition(name, n) for name in role.topics for n in range(settings.partitions)]
            consumer.assign(partitions)
            await consumer.commit(await consumer.end_offsets(partitions))


def _check(done: tuple[int, str], command: str) -> None:
    if done[0]:
        raise BenchError(f"`{command}` failed: {done[1]}")
