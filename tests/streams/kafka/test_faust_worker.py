"""The run loop on the embedded broker: whole polls, in order, committed only when the role says so."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import pytest
from aiokafka.partitioner import DefaultPartitioner

from schemas import topics
from streams.kafka.clients import producing
from streams.kafka.faust_worker import Worker
from streams.kafka.pace import Pace
from streams.kafka.records import Record
from streams.kafka.topics import create_topics
from streams.local.broker import Broker
from streams.local.process import free_port
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry

COUNT = 300


class Recorder:
    """A role that notes what it is given and commits when told to."""

    name = "guard"
    topics: tuple[str, ...] = (topics.FEEDBACK,)
    batch_records = 100
    linger_s = 0.0

    def __init__(self, *, commit: bool = True, fail_after: int | None = None, full: int = COUNT) -> None:
        self.commit = commit
        self.count = full
        self.fail_after = fail_after
        self.calls: list[str] = []
        self.seen: list[tuple[int, int, bytes | None]] = []
        self.full = asyncio.Event()

    async def start(self) -> None:
        self.calls.append("start")

    async def assigned(self, partitions: frozenset[tuple[str, int]]) -> None:
        self.calls.append(f"assigned {len(partitions)}")

    async def handle(self, records: Sequence[Record]) -> bool:
        self.seen += [(r.partition, r.offset, r.value) for r in records]
        self.calls.append("handle" if records else "flush")
        if self.fail_after is not None and len(self.seen) > self.fail_after:
            raise ValueError("cannot go on")
        if len({value for *_, value in self.seen}) >= self.count:
            self.full.set()
        return self.commit or not records

    async def stop(self) -> None:
        self.calls.append("stop")


class Keeper(Recorder):
    """A role with state, which asks whether its partitions are still its own."""

    def __init__(self) -> None:
        super().__init__()
        self.draining = False
        self.held: list[bool] = []

    async def holds(self) -> bool:
        raise AssertionError("the worker sets this")

    async def handle(self, records: Sequence[Record]) -> bool:
        self.held.append(await self.holds())
        return await super().handle(records)


class Wanting(Recorder):
    """A role of a topic of its own that is done once it has seen some values."""

    def __init__(self, topic: str, wanted: Iterable[bytes], *, fail_after: int | None = None) -> None:
        super().__init__(fail_after=fail_after, full=1 << 30)
        self.topics = (topic,)
        self.wanted = set(wanted)
        self.done: set[bytes | None] = set()

    async def handle(self, records: Sequence[Record]) -> bool:
        done = await super().handle(records)
        self.done.update(record.value for record in records)
        if self.wanted <= self.done:
            self.full.set()
        return done


class Overtaken(Wanting):
    """A slow one, in which what begins with a q need not wait."""

    quick_after = 0
    """So many had been handled before the first batch with such a one."""
    newcomers: Callable[[Collection[bytes | None]], list[Record]]

    def __init__(self, topic: str, wanted: Iterable[bytes], *, fail_after: int | None = None) -> None:
        super().__init__(topic, wanted, fail_after=fail_after)
        self.newcomers = self._not_set

    def _not_set(self, behind: Collection[bytes | None]) -> list[Record]:
        raise AssertionError("the worker sets this")

    def goes_ahead(self, records: Sequence[Record]) -> Sequence[bool]:
        return [(r.value or b"").startswith(b"q") for r in records]

    async def handle(self, records: Sequence[Record]) -> bool:
        if not self.quick_after and any(self.goes_ahead(records)):
            self.quick_after = len(self.seen)
        await asyncio.sleep(0.5)
        return await super().handle(records)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a broker of these tests alone: each record in their topics is theirs."""
    with Broker(free_port(), tmp_path_factory.mktemp("broker"), create_topics=True) as running:
        yield running.address


@pytest.fixture
async def settings(broker: str, request: pytest.FixtureRequest) -> Settings:
    """Settings with a group and values of the test's own."""
    values = Settings(
        kafka=broker,
        group_prefix=request.node.name,
        kafka_session_timeout_s=2,
        drain_timeout_s=5,
        _env_file=None,
    )
    await create_topics(values)
    return values


@pytest.fixture(autouse=True)
async def published(settings: Settings) -> None:
    async with producing(settings) as producer:
        await producer.send(topics.FEEDBACK, [(b"%d" % (i % 7), b"%d" % i) for i in range(COUNT)])


async def run(settings: Settings, role: Recorder, telemetry: Telemetry | None = None) -> None:
    worker = Worker(settings, role, telemetry or Telemetry("guard"))
    running = asyncio.create_task(worker.run())
    full = asyncio.create_task(role.full.wait())
    await asyncio.wait({running, full}, return_when=asyncio.FIRST_COMPLETED, timeout=60)
    full.cancel()
    worker.request_stop()
    await running


async def test_every_record_is_handled_once_and_in_order(settings: Settings) -> None:
    role = Recorder()
    await run(settings, role)
    assert {value for *_, value in role.seen} >= {b"%d" % i for i in range(COUNT)}
    for partition in range(settings.partitions):
        offsets = [offset for p, offset, _ in role.seen if p == partition]
        assert offsets == list(range(len(offsets)))
    assert role.calls[:2] == ["start", f"assigned {settings.partitions}"]
    assert role.calls[-1] == "stop"


async def test_a_clean_stop_commits_what_was_handled(settings: Settings) -> None:
    first, again = Recorder(), Recorder(full=7)
    await run(settings, first)
    async with producing(settings) as producer:
        await producer.send(topics.FEEDBACK, [(b"%d" % i, b"new %d" % i) for i in range(7)])
    await run(settings, again)
    assert {value for *_, value in again.seen} == {b"new %d" % i for i in range(7)}


async def test_pending_records_are_committed_by_the_flush_at_the_end(settings: Settings) -> None:
    role = Recorder(commit=False)
    await run(settings, role)
    assert role.calls[-2:] == ["flush", "stop"]


async def test_a_failure_ends_the_worker_and_commits_nothing_of_its_batch(settings: Settings) -> None:
    with pytest.raises(ValueError, match="cannot go on"):
        await run(settings, Recorder(fail_after=0))
    again = Recorder()
    await run(settings, again)
    assert again.full.is_set()
    assert {p for p, offset, _ in again.seen if offset == 0} == {p for p, *_ in again.seen}


class Learning(Overtaken):
    """One that knows of nobody what need not wait before it has handled something."""

    def goes_ahead(self, records: Sequence[Record]) -> Sequence[bool]:
        return super().goes_ahead(records) if self.seen else [True] * len(records)


class Long(Overtaken):
    """One that, in the middle of its first batch, waits for who comes."""

    def __init__(self, topic: str, wanted: Iterable[bytes], more_than: int) -> None:
        super().__init__(topic, wanted)
        self._more_than = more_than
        self.begun = asyncio.Event()
        self.came: list[Record] = []

    async def handle(self, records: Sequence[Record]) -> bool:
        if not self.begun.is_set() and len(records) > self._more_than:
            self.begun.set()
            async with asyncio.timeout(30):
                while not self.came:
                    await asyncio.sleep(0.05)
                    self.came = self.newcomers({record.key for record in records})
            await super().handle(self.came)
        return await super().handle(records)


class Asking(Wanting):
    """One that takes longer than a look at the lag, and notes whether others wait."""

    batch_records = 1

    def __init__(self, topic: str, wanted: Iterable[bytes]) -> None:
        super().__init__(topic, wanted)
        self.telemetry = Telemetry("guard")
        self.begun = asyncio.Event()
        self.others: list[bool] = []

    async def handle(self, records: Sequence[Record]) -> bool:
        if records:
            self.begun.set()
            await asyncio.sleep(2.5)
            self.others.append(self.telemetry.others_wait)
        return await super().handle(records)


async def test_what_is_being_handled_does_not_wait_for_itself(settings: Settings) -> None:
    role = Asking("t-others", [b"alone", b"one", b"two"])
    async with producing(settings) as producer:
        await producer.send(role.topics[0], [(b"k", b"alone")])
        running = asyncio.create_task(run(settings, role, role.telemetry))
        async with asyncio.timeout(30):
            while not role.others:  # noqa: ASYNC110 (for a moment)
                await asyncio.sleep(0.05)
        role.begun.clear()
        await producer.send(role.topics[0], [(b"k", b"one")])
        async with asyncio.timeout(30):
            await role.begun.wait()
        await producer.send(role.topics[0], [(b"k", b"two")])
        await running
    assert role.others == [False, True, False]


BACKLOG = [(b"%d" % (i % 50), b"wait %d" % i) for i in range(12_000)]


async def test_what_need_not_wait_overtakes_a_backlog_and_no_record_of_its_own_key(
    settings: Settings,
) -> None:
    quick = [(b"new", b"q %d" % i) for i in range(20)]
    sent = [*BACKLOG, *quick, (b"7", b"q behind")]
    async with producing(settings) as producer:
        await producer.send(topics.DRIFT, sent)
    role = Overtaken(topics.DRIFT, (value for _, value in sent))
    await run(settings, role)
    assert role.quick_after < len(BACKLOG) * 2 / 3
    values = [value for *_, value in role.seen]
    assert len(values) == len(sent), "each once"
    of_new, of_7 = ([value for k, value in sent if k == key] for key in (b"new", b"7"))
    assert [value for value in values if value in set(of_new)] == of_new
    assert [value for value in values if value in set(of_7)] == of_7
    async with producing(settings) as producer:
        await producer.send(topics.DRIFT, [(b"1", b"later")])
    again = Wanting(topics.DRIFT, [b"later"])
    await run(settings, again)
    assert {value for *_, value in again.seen} == {b"later"}, "all before it is committed"


async def test_what_went_ahead_before_the_role_knew_better_waits(settings: Settings) -> None:
    places = range(settings.partitions)
    beside = DefaultPartitioner()(b"new", places, places)
    keys = [key for i in range(99) if DefaultPartitioner()(key := b"%d" % i, places, places) == beside]
    sent = [*((keys[i % len(keys)], b"wait %d" % i) for i in range(12_000)), (b"new", b"q")]
    async with producing(settings) as producer:
        await producer.send(topics.CLAIMS, sent)
    role = Learning(topics.CLAIMS, (value for _, value in sent))
    await run(settings, role)
    assert role.quick_after < len(sent) / 2
    assert len(role.seen) == len(sent), "each once"


@pytest.mark.parametrize(("topic", "size"), [(topics.ALERTS, 1_500), (topics.SCORES, 50)])
async def test_what_need_not_wait_comes_into_a_batch_that_is_under_way(
    settings: Settings, topic: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also into one of few records: they may take as long as many."""
    timed: list[int] = []
    monkeypatch.setattr(Pace, "took", lambda _, messages, seconds: timed.append(messages))
    backlog, later = BACKLOG[:size], [(b"7", b"q behind"), (b"new", b"q")]
    async with producing(settings) as producer:
        await producer.send(topic, backlog)
        role = Long(topic, (value for _, value in [*backlog, *later]), min(size, Long.batch_records) // 2)
        running = asyncio.create_task(run(settings, role))
        await asyncio.wait_for(role.begun.wait(), 60)
        await producer.send(topic, later)
        await running
    assert [record.value for record in role.came] == [b"q"], "of another key than what waits"
    values = [value for *_, value in role.seen]
    assert Counter(values) == Counter(value for _, value in [*backlog, *later]), "each once"
    assert sum(timed) == len(values), "the pace is that of all"


async def test_what_went_ahead_of_records_that_failed_is_handled_again(settings: Settings) -> None:
    async with producing(settings) as producer:
        await producer.send(topics.BIAS, [*BACKLOG, (b"new", b"q")])
    first = Overtaken(topics.BIAS, [b"never"], fail_after=len(BACKLOG) * 2 // 3)
    with pytest.raises(ValueError, match="cannot go on"):
        await run(settings, first)
    assert b"q" in {value for *_, value in first.seen}
    left = {b"q", *(value for _, value in BACKLOG)} - first.done
    again = Wanting(topics.BIAS, left)
    await run(settings, again)
    assert left <= again.done, "what was not finished is read again"


async def test_a_role_with_state_is_told_whose_the_partitions_are_and_when_it_ends(
    settings: Settings,
) -> None:
    role = Keeper()
    await run(settings, role)
    assert role.held
    assert all(role.held)
    assert role.draining


async def test_partitions_are_anothers_once_the_group_has_forgotten_the_worker(settings: Settings) -> None:
    role = Keeper()
    worker = Worker(settings, role, Telemetry("guard"))
    running = asyncio.create_task(worker.run())
    await asyncio.wait_for(role.full.wait(), 60)
    consumer = worker._consumer
    epoch = consumer.epoch
    assert await consumer.holds(epoch)
    assert not await consumer.holds(epoch - 1), "of an earlier assignment"
    coordinator = consumer._thread._ensure_consumer()._coordinator
    coordinator.member_id = "somebody-else"
    consumer._held_until = 0.0
    assert not await consumer.holds(epoch)
    async with asyncio.timeout(60):
        while consumer.epoch == epoch or not consumer.joined:  # noqa: ASYNC110 (Faust has no event for it)
            await asyncio.sleep(0.05)
    assert await consumer.holds(consumer.epoch), "it has joined again"
    worker.request_stop()
    await running


async def test_stop_is_heard_while_the_group_is_joined(settings: Settings) -> None:
    role = Recorder()
    worker = Worker(settings, role, Telemetry("guard"))
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.05)
    worker.request_stop()
    await asyncio.wait_for(running, 60)
    assert role.calls == ["start", "stop"]
