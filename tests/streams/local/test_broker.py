import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.kafka.clients import BrokerError
from streams.kafka.topics import create_topics
from streams.local.broker import Broker, answers
from streams.local.process import LocalServiceError, free_port
from streams.settings import Settings


async def test_records_come_back_in_order(broker: str) -> None:
    topic = f"broker-{uuid.uuid4()}"
    sent = [f"record {i}".encode() for i in range(50)]
    async with AIOKafkaProducer(bootstrap_servers=broker, acks="all") as producer:
        for value in sent:
            await producer.send_and_wait(topic, value, key=b"k")
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=broker, auto_offset_reset="earliest", fetch_max_wait_ms=10
    )
    async with consumer:
        assert [(await consumer.getone()).value for _ in sent] == sent


def test_starts_and_stops_within_its_directory(tmp_path: Path) -> None:
    port = free_port()
    assert not answers(port)
    with Broker(port, tmp_path) as running:
        assert answers(port)
        assert running.address == f"127.0.0.1:{port}"
        assert str(port) in (tmp_path / "broker.log").read_text()
    assert not answers(port)
    assert running.child.returncode == 0


def test_second_broker_on_the_port_says_so(broker: str, tmp_path: Path) -> None:
    port = int(broker.rpartition(":")[2])
    with pytest.raises(LocalServiceError, match=f"port {port} .* WEIR_KAFKA"):
        Broker(port, tmp_path).start()


def test_a_broker_that_dies_at_its_start_shows_its_log(tmp_path: Path) -> None:
    with Broker(free_port(), tmp_path), pytest.raises(LocalServiceError, match="another broker runs on"):
        Broker(free_port(), tmp_path).start()


@pytest.mark.parametrize(("name", "folder"), [("", False), ("lock", True), ("offsets.jsonl", True)])
def test_what_lies_in_the_way_is_named(tmp_path: Path, name: str, folder: bool) -> None:
    left = tmp_path / "broker" / name
    left.mkdir(parents=True) if folder else left.touch()
    with pytest.raises(LocalServiceError, match=f"the broker cannot run on .*: .*'{left}'") as refused:
        Broker(free_port(), tmp_path).start()
    assert "Traceback" not in str(refused.value)


async def test_a_topic_that_cannot_be_made_says_what_the_system_says(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "llm.state-0").touch()
    refused = pytest.raises(BrokerError, match=r"llm\.state: KafkaStorageError: .*is a file where the folder")
    with Broker(free_port(), tmp_path) as running, refused:
        await create_topics(Settings(_env_file=None, kafka=running.address))


@pytest.mark.parametrize("name", ["topics.json", "transactions.json"])
def test_a_file_that_was_torn_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / name).touch()
    with pytest.raises(LocalServiceError, match=f"{name} is damaged: put back a copy") as refused:
        Broker(free_port(), tmp_path).start()
    assert "Traceback" not in str(refused.value)


async def test_a_client_reads_on_behind_what_is_damaged(tmp_path: Path) -> None:
    with Broker(free_port(), tmp_path, create_topics=True) as running:
        async with AIOKafkaProducer(bootstrap_servers=running.address) as producer:
            for n in range(5):
                await producer.send_and_wait("t", b"value %d" % n, partition=0)
        running.stop()
        path = running.data / "t-0" / f"{0:020}.log"
        path.write_bytes(path.read_bytes().replace(b"value 2", b"value X"))
        running.start()
        assert f"{path} is damaged" in (tmp_path / "broker.log").read_text()
        consumer = AIOKafkaConsumer("t", bootstrap_servers=running.address, auto_offset_reset="earliest")
        async with consumer:
            found = [await consumer.getone() for _ in range(4)]
    assert [(each.offset, each.value) for each in found] == [(n, b"value %d" % n) for n in (0, 1, 3, 4)]
