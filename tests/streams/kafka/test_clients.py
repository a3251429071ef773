"""What is sent while the broker is away is kept by a patient producer, and told by another one."""

import asyncio
import re
from typing import Any

import pytest
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
)

from schemas import codec, topics
from schemas.events import Decision
from streams.kafka import clients
from streams.kafka.clients import BatchProducer
from streams.kafka.refusals import TimeRefusedError, TooLargeForTopicError
from streams.kafka.times import NO_TIME, UNTIMED_S, Times
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry
from tests.streams.records import Clock

MESSAGES = [(b"a", b"1"), (b"b", b"2"), (None, b"3")]


class RoomyBatch:
    """A batch of aiokafka that never is full."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.times: list[int | None] = []

    def append(self, *, key: bytes | None, value: bytes, timestamp: int | None) -> object:
        self.values.append(value)
        self.times.append(timestamp)
        return self


class Broker:
    """An aiokafka producer whose first answers are errors."""

    def __init__(self, *errors: KafkaError) -> None:
        self.errors = list(errors)
        self.taken: list[bytes] = []

    async def partitions_for(self, topic: str) -> set[int]:
        return {0, 1}

    def create_batch(self) -> RoomyBatch:
        return RoomyBatch()

    async def send_batch(self, batch: RoomyBatch, topic: str, *, partition: int) -> asyncio.Future[None]:
        answer = asyncio.get_running_loop().create_future()
        if self.errors:
            answer.set_exception(self.errors.pop(0))
        else:
            self.taken += batch.values
            answer.set_result(None)
        return answer


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "RETRY_S", 0.001)


def producer(broker: Any, *, patient: bool) -> BatchProducer:
    made = BatchProducer(Settings(_env_file=None), patient=patient)
    made._producer = broker
    return made


@pytest.mark.parametrize(
    "error", [KafkaTimeoutError(), NotLeaderForPartitionError(), InvalidTimestampError()]
)
async def test_a_patient_producer_sends_again_until_all_is_acknowledged(error: KafkaError) -> None:
    broker = Broker(error, error)
    await producer(broker, patient=True).send("topic", MESSAGES)
    assert set(broker.taken) == {b"1", b"2", b"3"}
    assert not broker.errors


async def test_an_impatient_producer_says_that_it_could_not() -> None:
    broker = Broker(KafkaTimeoutError())
    with pytest.raises(KafkaTimeoutError):
        await producer(broker, patient=False).send("topic", MESSAGES)


TIME_REFUSED = r"the broker refuses messages of 20\d\d-.* UTC, which is the time here: set the clock"


class Doubting(Broker):
    """Takes no message with a time while it doubts."""

    doubts = True

    async def send_batch(self, batch: RoomyBatch, topic: str, *, partition: int) -> asyncio.Future[None]:
        self.errors = [InvalidTimestampError()] * (self.doubts and batch.times[0] is None)
        return await super().send_batch(batch, topic, partition=partition)


async def test_what_a_broker_refuses_for_its_time_goes_without_until_the_clock_is_right() -> None:
    """A guard whose clock is ahead would keep its partitions and decide nothing."""
    broker, telemetry = Doubting(), Telemetry("guard")
    made = producer(broker, patient=False)
    clock = Clock()
    made.times = Times(telemetry, clock)
    await made.send("topic", MESSAGES)
    await made.send_to("topic", 0, (b"a", b"4"))
    assert sorted(broker.taken) == [b"1", b"2", b"3", b"4"]
    assert re.match(TIME_REFUSED, telemetry.health()[1]["problems"]["clock"])
    broker.doubts = False
    await made.send("topic", MESSAGES)
    assert telemetry.health()[1]["degraded"] == ["clock"], "it is asked again after a while"
    clock.now = UNTIMED_S
    await made.send("topic", MESSAGES)
    assert telemetry.health()[1]["degraded"] == []


async def test_a_time_that_is_tried_again_in_the_middle_of_sending_may_be_refused() -> None:
    clock = Clock()
    times = Times(clock=clock)
    stamps: list[int | None] = []

    async def once() -> None:
        clock.now = 0.0 if len(stamps) < 2 else UNTIMED_S
        stamps.append(times.stamp())
        if stamps[-1] is None:
            raise InvalidTimestampError

    await times.send("topic", once)
    await times.send("topic", once)
    assert stamps == [None, NO_TIME, None, NO_TIME]


async def test_a_broker_that_takes_no_message_without_a_time_either_is_told() -> None:
    with pytest.raises(TimeRefusedError, match=TIME_REFUSED):
        await producer(Broker(*[InvalidTimestampError()] * 4), patient=False).send("topic", MESSAGES)


class Narrow(Broker):
    """Takes batches of so many bytes at most."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    async def send_batch(self, batch: RoomyBatch, topic: str, *, partition: int) -> asyncio.Future[None]:
        if sum(map(len, batch.values)) > self.size:
            self.errors = [MessageSizeTooLargeError()]
        return await super().send_batch(batch, topic, partition=partition)


async def test_what_is_too_large_at_once_is_sent_in_parts() -> None:
    """A topic that somebody made with other limits must not stop a role for good."""
    broker = Narrow(3)
    messages = [(b"a", b"%d" % n) for n in range(10)]
    await producer(broker, patient=True).send("topic", messages)
    assert list(dict.fromkeys(broker.taken)) == [value for _, value in messages]


async def test_a_message_that_its_topic_never_takes_is_told_with_what_to_do() -> None:
    refused = pytest.raises(TooLargeForTopicError, match=r"^llm\.scores .* 1,001 bytes: raise its max\.mess")
    with refused:
        await producer(Narrow(3), patient=True).send("llm.scores", [*MESSAGES, (b"a", b"x" * 1_000)])
    with refused:
        await producer(Narrow(3), patient=True).send_to("llm.scores", 0, (b"a", b"x" * 1_000))


async def test_one_large_message_goes_without_its_text_and_stops_no_other() -> None:
    small, large = (codec.encode(Decision(
        decision_id=name, event_id="e", app="shop", kind="prompt", verdict="redact", action="redact",
        decided_at=1, text=name * size,
    )) for name, size in (("s", 9), ("l", 9_000)))  # fmt: skip
    broker = Narrow(400)
    await producer(broker, patient=True).send(topics.DECISIONS, [(b"a", small), (b"a", large), (b"a", small)])
    taken = [codec.decode(Decision, value) for value in dict.fromkeys(broker.taken)]
    assert [each.text for each in taken] == ["s" * 9, "[WITHHELD 9000 characters]"]
    with pytest.raises(TooLargeForTopicError, match=r"^llm\.decisions .* [12]\d\d bytes"):
        await producer(Narrow(20), patient=True).send(topics.DECISIONS, [(b"a", large)])


class Starved:
    """A client of a broker whose metadata name no broker at first."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.stopped = 0

    async def start(self) -> None:
        if self.refusals > self.stopped:
            raise AssertionError("Did we not perform bootstrap?")

    async def stop(self) -> None:
        self.stopped += 1


@pytest.mark.parametrize("refusals", [2, 1_000])
def test_a_starved_broker_is_asked_again_until_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    async def answers(*_: object) -> tuple[str, str]:
        return "b:9092", ""

    monkeypatch.setattr("streams.kafka.probe.first", answers)
    monkeypatch.setattr(clients, "RETRY_S", 0.02)
    client = Starved(refusals)
    starting = clients.started(Settings(_env_file=None), lambda **_: client, 0.3)
    if refusals < 10:
        assert asyncio.run(starting) is client
        assert client.stopped == refusals
    else:
        with pytest.raises(clients.BrokerError, match="answers, but a client could not start"):
            asyncio.run(starting)
