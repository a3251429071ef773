"""No command hands on to a terminal what a terminal obeys: controls, escape sequences, bidi, surrogates."""

import asyncio
import json
import os
import re
import sys
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from schemas import codec, topics
from schemas.drift import DriftRecord
from schemas.events import Alert, DeadLetter, Decision, Event, Feedback, RuleHit, ScoredEvent
from streams.cli import COMMANDS, weir
from streams.kafka.clients import producing
from streams.kafka.topics import create_topics
from streams.local.process import free_port
from streams.settings import load
from streams.store.client import Store
from tests.brokers import new_broker
from tests.streams.weir import forget_settings

HOSTILE = (
    "a\x1b[31m\x1b]0;title\x07b\x9b2Jc\x85\x7f\u202ed\u2066e\u2069f\u200e\u200f\u061cg\u2028h\u2029\rI\bj"
)
"""C0, C1 (CSI, NEL), DEL, overrides, isolates, marks, separators, carriage return, backspace."""
VISIBLE = HOSTILE.replace("\x1b", "").replace("\x07", "").replace("\b", "").replace("\r", "")
"""What a policy may hold: YAML takes no C0 controls."""
OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
OURS = ("\x1b[0m", "\x1b[1m", "\x1b[2m", *(f"\x1b[{number}m" for number in range(30, 38)))
"""What colours our own lines."""
PROGRESS = re.compile(r"\r[\d,]+ [a-z ]+  [\d,]+/s +\d+% *|\r *\r")
"""Our own line that changes while a command works, and its removal."""


def offending(text: str) -> set[str]:
    text = PROGRESS.sub("", text)
    for sequence in OURS:
        text = text.replace(sequence, "")
    return {c for c in text.replace("\n", "").replace("\t", "") if unicodedata.category(c) in OBEYED}


def on_a_terminal(*arguments: str, stdin: bytes = b"", monkeypatch: pytest.MonkeyPatch) -> str:
    """Run `weir` in this process with a pseudo-terminal as stdout and stderr; return what arrives there."""
    controller, terminal = os.openpty()
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.extend(iter(lambda: _read(controller), b"")))
    reader.start()
    source, sink = os.pipe()
    os.write(sink, stdin)
    os.close(sink)
    with (
        os.fdopen(terminal, "w", encoding="utf-8", errors="surrogateescape") as screen,
        os.fdopen(source, "r", encoding="utf-8") as keyboard,
        monkeypatch.context() as patch,
    ):
        for name, stream in (("stdout", screen), ("stderr", screen), ("stdin", keyboard)):
            patch.setattr(sys, name, stream)
        with pytest.raises(SystemExit):
            weir.main(list(arguments), prog_name="weir")
    reader.join(10)
    os.close(controller)
    return b"".join(received).decode(errors="surrogateescape").replace("\r\n", "\n")


def _read(controller: int) -> bytes:
    try:
        return os.read(controller, 65_536)
    except OSError:  # the terminal was closed
        return b""


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of its own, with hostile messages on every topic."""
    broker = new_broker("embedded", tmp_path_factory.mktemp("hostile"))
    broker.start()
    settings = load(kafka=broker.address)

    async def send() -> None:
        await create_topics(settings)
        async with producing(settings) as producer:
            for topic, message in messages().items():
                # As other programs write it: a terminal's controls as they are, not as \\u escapes.
                text = json.dumps(json.loads(codec.encode(message)), ensure_ascii=False)
                await producer.send(topic, [(b"k", text.encode()), (b"k", HOSTILE.encode())])

    asyncio.run(send())
    yield broker.address
    broker.stop()


def messages() -> dict[str, msgspec.Struct]:
    event = Event(
        event_id=f"e{HOSTILE}", app=HOSTILE, kind="prompt", text=HOSTILE, model=HOSTILE,
        conversation_id=HOSTILE, metadata={HOSTILE: HOSTILE},
    )  # fmt: skip
    hit = RuleHit(rule=HOSTILE, action="block", severity="high", mode="enforce", metric=HOSTILE, score=1.0)
    decision = Decision(
        decision_id="d", event_id=HOSTILE, app=HOSTILE, kind="prompt", verdict="block", action="block",
        rules=(hit,), failed=(HOSTILE,), text=HOSTILE,
    )  # fmt: skip
    return {
        topics.EVENTS: event,
        topics.DECISIONS: decision,
        topics.SCORES: ScoredEvent(event=event, scores={HOSTILE: 0.5}, decision=decision, timestamp=1),
        topics.ALERTS: Alert(
            alert_id="a", source="guard", severity="high", rule=HOSTILE, title=HOSTILE,
            timestamp=1, app=HOSTILE,
        ),
        topics.DRIFT: DriftRecord(
            drift_id="x", app=HOSTILE, model=HOSTILE, kind="prompt", metric=HOSTILE,
            detector="adwin", timestamp=1, event_id=HOSTILE, before=0.1, after=0.5, samples=1,
        ),
        topics.FEEDBACK: Feedback(
            feedback_id="f", event_id=HOSTILE, app=HOSTILE, reviewer=HOSTILE, judgement="false_positive"
        ),
        topics.DEAD_LETTERS: DeadLetter(
            dead_letter_id="l", topic=HOSTILE, partition=2, offset=7, timestamp=1, reason="empty",
            detail=HOSTILE, size=4, payload=HOSTILE.encode(),
        ),
    }  # fmt: skip


def stored() -> ScoredEvent:
    """An event in the store."""
    event = Event(
        event_id=f"h{HOSTILE}",
        app=HOSTILE,
        kind="prompt",
        text=HOSTILE,
        model=HOSTILE,
        metadata={"x": HOSTILE},
    )
    hit = RuleHit(rule=HOSTILE, action="block", severity="high", mode="enforce", metric=HOSTILE, score=1.0)
    decision = Decision(
        decision_id="d", event_id=event.event_id, app=HOSTILE, kind="prompt", verdict="block", action="allow",
        rules=(hit,), degraded=(HOSTILE,), policy_version=HOSTILE, policy_hash=HOSTILE,
        detectors_hash=HOSTILE,
    )  # fmt: skip
    return ScoredEvent(event=event, scores={"injection": 0.5}, decision=decision, timestamp=1_700_000_000_000)


@pytest.fixture(scope="module")
def filled(migrated: Store) -> Store:
    migrated.insert([stored()], "hostile")
    return migrated


@pytest.fixture
def files(stream: str, filled: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with hostile files, and settings that a user may have typed."""
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("WEIR_KAFKA", stream)
    monkeypatch.setenv("WEIR_CLICKHOUSE", filled.url)
    monkeypatch.setenv("WEIR_CLICKHOUSE_DATABASE", filled.database)
    for role in ("GUARD", "WATCH", "ARCHIVE"):
        monkeypatch.setenv(f"WEIR_{role}_PORT", str(free_port()))
    rule = {"id": HOSTILE, "when": [f"{HOSTILE} >= 1", f"app = {HOSTILE}"], HOSTILE: "1", "action": HOSTILE}
    policy = {"version": "1", "name": HOSTILE, "rules": [rule]}
    (tmp_path / "policy.yaml").write_text(json.dumps(policy))  # JSON is YAML
    event = {"event_id": "e", "app": HOSTILE, "kind": "prompt", "text": HOSTILE}
    lines = [event, event | {HOSTILE: 1, "kind": HOSTILE}, event | {"timestamp": HOSTILE}]
    (tmp_path / "events.jsonl").write_text(
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    )
    (tmp_path / "good.jsonl").write_text(json.dumps(event) + "\n")
    for name, action in (("live", "block"), ("flag", "flag")):
        named = [f"model == '{VISIBLE}'", f"metadata.x != '{VISIBLE}'"]
        hostile = {
            "id": "a",
            "description": VISIBLE,
            "when": ["injection >= 0"],
            "unless": named,
            "action": action,
        }
        content = {"version": VISIBLE[:60], "name": VISIBLE[:60], "rules": [hostile]}
        (tmp_path / f"{name}.yaml").write_text(json.dumps(content))
    (tmp_path / "table.csv").write_text(f'"{HOSTILE}",text\n"{HOSTILE}","{HOSTILE}"\n')
    return tmp_path


FORMATS = ("table", "tsv", "csv", "json")
TAILED = ("decisions", "alerts", "drift", "dlq", "scores", "feedback", "events")
CALLS: dict[str, Sequence[tuple[str, ...]]] = {
    "up": [("up", "--data", f"{HOSTILE}/no/such"), ("up", HOSTILE)],
    "guard": [("guard", HOSTILE)],
    "watch": [("watch", HOSTILE)],
    "archive": [("archive", HOSTILE)],
    "desk": [("desk", HOSTILE), ("desk", f"--{HOSTILE}")],
    "gate": [("gate", HOSTILE), ("gate", "--new-key", "--app", HOSTILE), ("gate", "--new-key")],
    "notify": [("notify", HOSTILE), ("notify", "--test", HOSTILE)],
    "alerts": [
        ("alerts", "list", "--all", "--app", HOSTILE), ("alerts", "list", "--rule", HOSTILE, "--json"),
        ("alerts", "show", HOSTILE), ("alerts", "ack", HOSTILE, "--comment", HOSTILE),
        ("alerts", "silence", "0", "--for", HOSTILE), ("alerts", HOSTILE),
    ],
    "reviews": [
        ("reviews", "--since", "2000-01-01"), ("reviews", "--since", "2000-01-01", "--json"),
        ("reviews", "--since", HOSTILE), ("reviews", "--app", HOSTILE),
    ],
    "export": [
        ("export", "--reviewed", f"{HOSTILE}.jsonl"), ("export", "--reviewed", HOSTILE),
        ("export", "--reviewed", "reviewed.jsonl", "--since", HOSTILE), ("export", HOSTILE),
    ],
    "topics": [("topics",), ("topics", f"--{HOSTILE}")],
    "migrate": [("migrate", "--to", HOSTILE)],
    "publish": [
        ("publish", "events.jsonl", "--skip-bad"), ("publish", "events.jsonl"), ("publish", "table.csv"),
        ("publish", "good.jsonl", "--dry-run", "--metadata", HOSTILE), ("publish", HOSTILE),
        ("publish", "good.jsonl", "--map", HOSTILE), ("publish", "good.jsonl", "--set", f"{HOSTILE}=1"),
    ],
    "tail": [
        *(("tail", name, "--no-follow") for name in TAILED),
        *(("tail", name, "--no-follow", "--json") for name in TAILED),
        ("tail", HOSTILE),
    ],
    "check": [
        ("check", HOSTILE), ("check", HOSTILE, "--json"), ("check", "-"),
        ("check", "x", "--policy", "policy.yaml"),
        ("check", f"mail jane@example.com {HOSTILE}", "--app", HOSTILE, "--set", f"{HOSTILE}={HOSTILE}"),
        ("check", "\udcff half"), ("check", "x", "--context", HOSTILE, "--kind", HOSTILE),
    ],
    "sql": [
        *(("sql", "--format", name, "SELECT {} AS `{}`, [{}] AS b, map({}, 1) AS c") for name in FORMATS),
        ("sql", "SELECT {} AS `{}`"), ("sql", f"SELECT {HOSTILE}"), ("sql", "SELECT throwIf(1, {})"),
    ],
    "dlq": [
        ("dlq", "list"), ("dlq", "list", "--json"), ("dlq", "list", "--since", HOSTILE),
        ("dlq", "show", HOSTILE),
        ("dlq", "republish", HOSTILE), ("dlq", "drop", "--reason", HOSTILE), ("dlq", HOSTILE),
    ],
    "backtest": [
        ("backtest", "policy.yaml"), ("backtest", HOSTILE), ("backtest", "live.yaml", "--since", HOSTILE),
        ("backtest", "live.yaml", "--app", HOSTILE), ("backtest", "live.yaml", "--against", HOSTILE),
        ("backtest", "live.yaml", "--max-new-blocks", HOSTILE), ("backtest", "live.yaml", "--text"),
        ("backtest", "live.yaml", "--since", "2000-01-01", "--against", "flag.yaml", "--text"),
        ("backtest", "live.yaml", "--since", "2000-01-01", "--against", "flag.yaml", "--text", "--json"),
    ],
    "policy": [
        ("policy", "check", "policy.yaml"), ("policy", "check", HOSTILE), ("policy", HOSTILE),
        ("policy", "diff", "live.yaml", "flag.yaml"), ("policy", "diff", "live.yaml", "flag.yaml", "--json"),
        ("policy", "explain", f"h{HOSTILE}"), ("policy", "explain", f"h{HOSTILE}", "--json"),
        ("policy", "explain", HOSTILE), ("policy", "explain", "e", "--app", HOSTILE),
    ],
    "feedback": [
        ("feedback", HOSTILE, "correct"), ("feedback", f"h{HOSTILE}", HOSTILE),
        ("feedback", f"h{HOSTILE}", "correct", "--rule", HOSTILE[:40]),
        ("feedback", "e", "correct", "--app", HOSTILE),
        ("feedback", f"h{HOSTILE}", "correct", "--comment", f"a@b.com {HOSTILE}", "--reviewer", HOSTILE),
    ],
    "schema": [("schema", "event"), ("schema", HOSTILE)],
    "doctor": [("doctor",), ("doctor", "--json")],
}  # fmt: skip
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "doctor": {"WEIR_POLICY": "policy.yaml", f"WEIR_{HOSTILE}": HOSTILE, "WEIR_GROUP_PREFIX": HOSTILE}
}


def sql_quoted(call: Sequence[str]) -> list[str]:
    text = f"char({', '.join(map(str, HOSTILE.encode()))})"
    return [
        part.replace("`{}`", "`n`").replace("{}", text) if part.startswith("SELECT") else part
        for part in call
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_that_a_terminal_obeys_gets_through(
    name: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert name in CALLS, "a new command needs calls with hostile text here"
    for variable, value in ENVIRONMENTS.get(name, {}).items():
        monkeypatch.setenv(variable, value)
    for call in CALLS[name]:
        arguments = sql_quoted(call) if name == "sql" else list(call)
        shown = on_a_terminal(*arguments, stdin=HOSTILE.encode() + b"\xff\0", monkeypatch=monkeypatch)
        assert shown, call
        assert not offending(shown), (call, shown)


@pytest.mark.parametrize("name", TAILED)
def test_json_of_tail_means_what_was_published(
    name: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = on_a_terminal("tail", name, "--no-follow", "--json", "--limit", "1", monkeypatch=monkeypatch)
    (line,) = [line for line in shown.splitlines() if line.startswith("{")]
    assert HOSTILE in list(walk(json.loads(line)))


def walk(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield key
            yield from walk(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from walk(entry)


def test_tsv_into_a_pipe_is_data(files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Where no terminal reads it, it is what ClickHouse's TabSeparated would be."""
    with pytest.raises(SystemExit):
        weir.main(["sql", "--format", "tsv", *sql_quoted(["SELECT {} AS a"])], prog_name="weir")
    assert capfd.readouterr().out.split("\n")[1] == HOSTILE.replace("\r", "\\r")
