"""`weir tail` against the embedded broker; commands whose broker, reader or user goes."""

import asyncio
import contextlib
import json
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from aiokafka.errors import KafkaTimeoutError

from schemas import codec, topics
from schemas.events import Alert, Decision, Event, RuleHit
from streams.kafka.clients import BatchProducer, producing
from streams.kafka.records import Message
from streams.settings import Settings, load
from tests.streams.weir import run, start

pytestmark = pytest.mark.usefixtures("on_broker")


def seen(what: str, *options: str) -> list[dict[str, object]]:
    outcome = run("tail", what, "--no-follow", "--json", *options)
    assert outcome.code == 0, outcome.err
    return [json.loads(line) for line in outcome.out.split("\n") if line]


def send(topic: str, *messages: msgspec.Struct | bytes) -> None:
    async def sending() -> None:
        async with producing(load()) as producer:
            values = [each if isinstance(each, bytes) else codec.encode(each) for each in messages]
            await producer.send(topic, [(b"key", value) for value in values])

    asyncio.run(sending())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--raw", "--set", "app=x"], "--raw sends lines as they are"),
        (["--otel", "--map", "app=x"], "--otel takes the fields from the spans"),
        (
            ["--set", "kind=promt"],
            "--set kind=promt (did you mean 'prompt'?): a kind is prompt or completion",
        ),
        (["--map", "txt=a"], "no field 'txt' (did you mean 'text'?)"),
        (["--format", "csv", "--raw"], "--raw reads JSONL, not csv"),
        (["--rate", "0"], "--rate"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    outcome = run("publish", "a.jsonl", *options)
    assert (outcome.code, message in outcome.err) == (2, True), outcome.err


def decision(app: str, event_id: str, **changes: object) -> Decision:
    common = Decision(
        decision_id=f"d-{event_id}",
        event_id=event_id,
        app=app,
        kind="prompt",
        verdict="allow",
        action="allow",
        decided_at=1_700_000_000_000,
    )
    return msgspec.structs.replace(common, **changes)


@pytest.fixture
def decisions(on_broker: None, app: str) -> None:
    hit = RuleHit(
        rule="injection-block",
        action="block",
        severity="high",
        mode="enforce",
        metric="injection",
        score=0.97,
    )
    shadow = RuleHit(
        rule="bias-shadow", action="flag", severity="medium", mode="shadow", metric="bias", score=0.81
    )
    send(
        topics.DECISIONS,
        decision(app, "1"),
        decision(app, "2", verdict="block", action="block", severity="high", rules=(hit,), text="geheim"),
        decision(app, "3", verdict="flag", severity="medium", rules=(shadow,), failed=("toxicity",)),
    )


@pytest.mark.usefixtures("decisions")
def test_decisions_are_readable_and_hold_no_text(app: str) -> None:
    lines = run("tail", "decisions", "--no-follow", "--app", app).out.splitlines()
    assert lines[0].split() == ["2023-11-14", "22:13:20.000Z", "allow", "none", app, "prompt", "1", "0", "ms"]
    assert lines[1].endswith("injection-block (injection 0.97)")
    assert lines[2].endswith("shadow:bias-shadow (bias 0.81), failed: toxicity")
    assert "geheim" not in "".join(lines)


@pytest.mark.usefixtures("decisions")
@pytest.mark.parametrize(
    ("options", "events"),
    [
        (["--action", "block"], ["2"]),
        (["--severity", "medium"], ["2", "3"]),
        (["--rule", "bias-shadow"], ["3"]),
        (["--event", "1"], ["1"]),
        (["--limit", "2"], ["1", "2"]),
        (["--action", "block", "--severity", "critical"], []),
    ],
)
def test_decisions_can_be_filtered(app: str, options: list[str], events: list[str]) -> None:
    assert [each["event_id"] for each in seen("decisions", "--app", app, *options)] == events


def test_partitions_are_merged_by_kafkas_time(app: str) -> None:
    for number in range(12):  # keys of many partitions, one after the other
        event = Event(event_id=str(number), conversation_id=f"c{number}", app=app, kind="prompt", text="x")
        line = codec.encode(event).decode()
        assert run("publish", "-", stdin=line).code == 0
    assert [each["event_id"] for each in seen("events", "--app", app)] == [str(n) for n in range(12)]


def test_nothing_to_show_is_said(app: str) -> None:
    assert run("tail", "drift", "--no-follow", "--app", app) == (0, "", "0 messages\n")


def test_topics_without_a_broker_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_KAFKA", "127.0.0.1:1")
    with start("topics") as process:
        _, shown = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(shown.splitlines()) == 1


def test_alerts_are_filtered_by_their_rule(app: str) -> None:
    alert = Alert(
        alert_id="a",
        source="guard",
        severity="high",
        rule="r",
        title="r: injection 0.97",
        timestamp=5,
        app=app,
    )
    send(topics.ALERTS, alert, msgspec.structs.replace(alert, alert_id="b", rule="s"))
    assert [each["alert_id"] for each in seen("alerts", "--app", app, "--rule", "s")] == ["b"]


def test_a_message_that_cannot_be_read_is_named_and_passed_over(app: str) -> None:
    send(topics.FEEDBACK, b"no json")
    outcome = run("tail", "feedback", "--no-follow")
    assert outcome.code == 0
    assert "not readable: " in outcome.err
    assert "readable" not in run("tail", "feedback", "--no-follow", "--app", app).err


def test_a_filter_that_does_not_suit_is_refused() -> None:
    outcome = run("tail", "drift", "--rule", "x")
    assert outcome.code == 2
    assert "--rule does not go with drift: it goes with decisions, scores, alerts" in outcome.err


@pytest.mark.parametrize("command", [["tail", "decisions"], ["publish", "-"]])
def test_no_broker_is_one_clear_message(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_KAFKA", "127.0.0.1:1")
    outcome = run(*command, stdin="")
    assert outcome.code == 1
    assert outcome.err.startswith("Error: no Kafka broker answers at 127.0.0.1:1")


@pytest.mark.parametrize("command", [["tail", "events"], ["publish", "-"]])
def test_a_missing_topic_is_said(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def missing(settings: Settings) -> list[str]:
        return [topics.EVENTS_BULK]

    monkeypatch.setattr("streams.kafka.topics.missing_topics", missing)
    outcome = run(*command, stdin="")
    assert outcome.code == 1
    assert "has no topic llm.events.bulk: create the topics with `weir topics`" in outcome.err


def test_a_broker_that_stops_leaves_no_doubt_about_what_was_sent(
    app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_really, calls = BatchProducer.send, list[int]()

    async def send_once(self: BatchProducer, topic: str, messages: Sequence[Message]) -> None:
        calls.append(len(messages))
        if len(calls) > 1:
            raise KafkaTimeoutError
        await send_really(self, topic, messages)

    monkeypatch.setattr(BatchProducer, "send", send_once)
    line = json.dumps({"app": app, "kind": "prompt", "text": "hello"})
    (tmp_path / "a.jsonl").write_text((line + "\n") * 2500)
    outcome = run("publish", "a.jsonl")
    assert outcome.code == 1
    assert f"(KafkaTimeoutError): {calls[0]:,} events published, {calls[1]:,} more may be" in outcome.err


@contextlib.contextmanager
def process(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    with start(*arguments) as running:
        try:
            yield running
        finally:
            running.kill()


def test_following_begins_now_and_ends_quietly_with_ctrl_c(app: str) -> None:
    send(topics.DECISIONS, *(decision(app, f"before {number}") for number in range(50)))
    heard = threading.Event()

    def speak() -> None:
        # Nothing tells from outside when it has begun to listen: speak until it has heard.
        while not heard.wait(0.1):
            send(topics.DECISIONS, decision(app, "after"))

    with process("tail", "decisions", "--app", app, "--json") as tail, ThreadPoolExecutor(1) as pool:
        speaking = pool.submit(speak)
        assert tail.stdout is not None
        line = tail.stdout.readline()
        heard.set()
        speaking.result()
        assert json.loads(line)["event_id"] == "after"
        tail.send_signal(signal.SIGINT)
        assert tail.wait(60) == 130
        assert tail.stderr is not None
        assert "from the next message" in tail.stderr.read()


def test_a_closed_pipe_ends_quietly(app: str) -> None:
    send(topics.DECISIONS, *(decision(app, str(number)) for number in range(3000)))
    with process("tail", "decisions", "--from-start", "--app", app) as tail:
        assert tail.stdout is not None
        assert app in tail.stdout.readline()
        tail.stdout.close()
        assert tail.wait(60) == 141
        assert tail.stderr is not None
        assert tail.stderr.read() == ""


def test_a_live_pipe_is_published_while_it_is_open_and_ctrl_c_says_how_many(app: str) -> None:
    line = json.dumps({"app": app, "kind": "prompt", "text": "hello", "event_id": "1"})
    with process("publish", "-") as publish:
        assert publish.stdin is not None
        publish.stdin.write(line + "\n")
        publish.stdin.flush()
        assert (
            run("tail", "events", "--from-start", "--app", app, "--limit", "1", "--json").out == line + "\n"
        )
        publish.send_signal(signal.SIGINT)
        assert publish.wait(60) == 130
        assert publish.stderr is not None
        assert publish.stderr.read() == "interrupted: 1 event published\n"


def test_a_text_cannot_break_the_lines_nor_steer_the_terminal(app: str) -> None:
    event = Event(event_id="1", app=app, kind="completion", text="a\u2028b\x1b[31m")
    send(topics.EVENTS, event)
    readable = run("tail", "events", "--no-follow", "--app", app).out
    assert "completion" in readable
    assert "\x1b" not in readable
    assert seen("events", "--app", app)[0]["text"] == event.text
