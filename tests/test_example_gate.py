"""The gate to copy into an app, and the other small examples."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas import topics
from schemas.events import Severity
from streams.kafka.topics import create_topics
from streams.local.broker import Broker
from streams.local.process import free_port
from streams.settings import Settings
from tests.example_scripts import ATTACK, EXAMPLES, load, python, run
from tests.harness import Weir

NODE = EXAMPLES / "node"


@pytest.fixture(scope="module")
def traffic() -> ModuleType:
    return load("traffic")


@pytest.mark.kafka
@pytest.mark.parametrize(("options", "status"), [((), 0), (("--closed",), 3)])
def test_gate_without_a_decision_in_time_does_what_was_asked(
    weir: Weir, options: tuple[str, ...], status: int
) -> None:
    found, output, errors = python(weir, "gate.py", "--timeout", "0", *options, "hello")
    assert found == status, errors
    assert "no decision within 0 s" in output


@asynccontextmanager
async def answering(broker: Broker) -> AsyncIterator[None]:
    """A guard of one line, that allows everything."""

    async def answer() -> None:
        async with (
            AIOKafkaConsumer(
                topics.EVENTS, bootstrap_servers=broker.address, metadata_max_age_ms=1_000
            ) as events,
            AIOKafkaProducer(bootstrap_servers=broker.address) as producer,
        ):
            await asyncio.gather(*(events.position(part) for part in events.assignment()))
            started.set()
            async for record in events:
                decision = {"event_id": json.loads(record.value)["event_id"], "action": "allow"}
                await producer.send(topics.DECISIONS, json.dumps(decision).encode())

    started = asyncio.Event()
    task = asyncio.create_task(answer())
    await started.wait()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def running(gate: Any) -> AsyncIterator[Any]:
    await gate.start()
    try:
        yield gate
    finally:
        await gate.stop()


async def until_allowed(gate: Any, patience: float = 60.0) -> None:
    """Ask until there is a decision again."""
    deadline = time.monotonic() + patience
    while (why := (await gate.ask("hello")).why) != "allow":
        assert time.monotonic() < deadline, why
        await asyncio.sleep(0.05)


def new_gate(broker: Broker, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    monkeypatch.setenv("WEIR_KAFKA", broker.address)
    return load("gate").Gate("shop", **{"timeout": 0.3, "fail_open": True, **options})


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(free_port(), tmp_path) as running:
        asyncio.run(create_topics(Settings(_env_file=None, kafka=running.address)))
        yield running


def test_gate_is_made_where_no_loop_runs(own_broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = new_gate(own_broker, monkeypatch)

    async def use() -> None:
        async with running(gate), answering(own_broker):
            await until_allowed(gate)

    asyncio.run(use())


async def test_gate_that_starts_before_the_broker_goes_on_when_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(free_port(), tmp_path)
    async with running(new_gate(broker, monkeypatch)) as gate:
        answer = await gate.ask("hello")
        assert (answer.allowed, answer.why) == (True, "not asked: no broker has answered yet")
        broker.start()
        try:
            await create_topics(Settings(_env_file=None, kafka=broker.address))
            async with answering(broker):
                await until_allowed(gate)
        finally:
            broker.stop()


async def test_gate_does_not_wait_for_a_weir_that_is_away(
    own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(new_gate(own_broker, monkeypatch, fail_open=False)) as gate:
        answers = [await gate.ask("hello") for _ in range(3)]
        assert {answer.why for answer in answers} == {"no decision within 0.3 s"}
        began = time.monotonic()
        answers = [await gate.ask("hello") for _ in range(500)]
        waited = [answer for answer in answers if not answer.why.startswith("not asked")]
        most = time.monotonic() - began + 2
        assert len(waited) <= most, "one a second waits, to see whether weir is back"
        assert not any(answer.allowed for answer in answers)
        async with answering(own_broker):
            await until_allowed(gate)


@pytest.mark.parametrize("log", ["kept", "lost"])
async def test_gate_goes_on_when_the_broker_is_started_again(
    own_broker: Broker, monkeypatch: pytest.MonkeyPatch, log: str
) -> None:
    async with running(new_gate(own_broker, monkeypatch)) as gate, answering(own_broker):
        await asyncio.gather(*(until_allowed(gate) for _ in range(200)))
        own_broker.kill()
        if log == "lost":  # the position of the gate then lies beyond the end
            shutil.rmtree(own_broker.data)
        own_broker.start()
        if log == "lost":
            await create_topics(Settings(_env_file=None, kafka=own_broker.address))
        await until_allowed(gate)


@pytest.mark.kafka
def test_alerts(weir: Weir) -> None:
    assert python(weir, "publish.py", ATTACK)[0] == 0
    status, output, errors = python(weir, "alerts.py", "1")
    assert status == 0, errors
    assert output.split()[0] in get_args(Severity)


@pytest.mark.parametrize("script", ["publish.py", "gate.py", "alerts.py"])
def test_without_a_broker_one_line_says_so(script: str) -> None:
    arguments = ["hello"] if script == "gate.py" else []
    environment = {**os.environ, "WEIR_KAFKA": f"127.0.0.1:{free_port()}"}
    done = subprocess.run(
        [sys.executable, script, *arguments],
        cwd=EXAMPLES, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no broker answers" in done.stderr
    assert "Traceback" not in done.stderr


def node_missing() -> str:
    """Return why the Node example cannot run; empty when it can."""
    if shutil.which("node") is None:
        return "Node is not installed"
    return "" if (NODE / "node_modules" / "kafkajs").is_dir() else "run `npm install` in examples/node"


@pytest.mark.kafka
@pytest.mark.skipif(bool(node_missing()), reason=node_missing())
def test_node(weir: Weir) -> None:
    status, output, errors = run(weir, "node", "publish-and-await.mjs", ATTACK, folder=NODE)
    assert status == 0, errors
    assert output.startswith("block (injection-block")
    assert "partitioner" not in output + errors


@pytest.mark.kafka
@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
def test_shell(weir: Weir) -> None:
    status, output, errors = run(weir, "sh", "shell.sh", 'What does "hi" mean?')
    assert status == 0, errors
    assert '"action":"allow"' in output


@pytest.mark.parametrize("name", ["traffic", "publish", "alerts", "gate"])
def test_an_example_says_how_it_is_used(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), "--help"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ")
