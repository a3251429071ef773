"""The examples do what they say, on a running weir."""

import io
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Decision, Event, Mode, RuleHit, Verdict
from tests.example_scripts import ATTACK, EXAMPLES, load, python
from tests.harness import Weir, wait_until

MODES: tuple[tuple[Verdict, Mode], ...] = (("flag", "enforce"), ("block", "shadow"), ("redact", "enforce"))


@pytest.fixture(scope="module")
def traffic() -> ModuleType:
    return load("traffic")


@pytest.fixture
def lines() -> ModuleType:
    return load("demo_lines")


def test_a_client_of_the_gate_is_at_most_thirty_lines() -> None:
    clients = {
        path.name: len(path.read_text().splitlines())
        for path in (EXAMPLES / "clients").iterdir()
        if path.is_file()
    }
    assert len(clients) >= 6
    assert not {name: count for name, count in clients.items() if count > 30}


def test_traffic_is_the_same_each_time(traffic: ModuleType) -> None:
    events = list(traffic.events(3_000))
    assert events == list(traffic.events(3_000))
    assert len({event.event_id for event in events}) == len(events) == 3_000
    assert events[0] != next(traffic.events(1, seed=2))


def test_traffic_has_something_for_every_rule(traffic: ModuleType) -> None:
    events = list(traffic.events(3_000))
    planted = Counter(event.metadata.get("planted") for event in events)
    scenarios = traffic.TEXTS["scenarios"]
    assert set(planted) == {None} | {scenario["name"] for scenario in scenarios}
    assert planted[None] > 2_500
    assert "{" not in "".join(event.text for event in events), "a slot was not filled"


def test_quiet_traffic_has_nothing_planted(traffic: ModuleType) -> None:
    events = list(traffic.events(3_000, quiet=True))
    assert not [event for event in events if "planted" in event.metadata]
    subjects = [pair for app in traffic.APPS for pair in traffic.TEXTS["subjects"][app.subject]]
    for kind, number in (("prompt", 0), ("completion", 1)):
        begins = tuple(pair[number].split("{")[0] for pair in subjects)
        assert all(each.text.startswith(begins) for each in events if each.kind == kind)


def interrupted_traffic(interrupt: Callable[["subprocess.Popen[str]"], object]) -> int:
    """Interrupt the traffic after its first event; return its exit status, having said nothing."""
    command = [sys.executable, "traffic.py", "3000"]
    with subprocess.Popen(
        command, cwd=EXAMPLES, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline().startswith("{")
        interrupt(child)
        assert child.stderr.read() == ""
    return child.returncode


def test_traffic_ends_quietly_when_nobody_reads_on() -> None:
    assert interrupted_traffic(lambda child: child.stdout and child.stdout.close()) == 141


def test_traffic_ends_quietly_at_ctrl_c() -> None:
    # While it waits for its reader.
    assert interrupted_traffic(lambda child: child.send_signal(signal.SIGINT)) == 130


@given(text=st.text(max_size=200), width=st.integers(min_value=12, max_value=120))
def test_demo_lines_fit(text: str, width: int) -> None:
    lines = load("demo_lines")
    assert len(lines.fitted(text, width)) <= width
    shown = lines.quoted(text, width)
    assert len(shown) <= width
    assert shown[0] + shown[-1] == "“”"


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("pii", 2.0, "2"),
        ("latency_ms", 1419.434, "1,419 ms"),
        ("completion_tokens", 24.9, "25 tokens"),
        ("distance_shop", 0.459, "0.46"),
    ],
)
def test_demo_numbers(lines: ModuleType, metric: str, value: float, shown: str) -> None:
    assert lines.number(metric, value) == shown


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("10", 60), ("", 100)])
def test_demo_fills_the_terminal(
    lines: ModuleType, monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "__stdout__", io.StringIO())  # no terminal
    assert lines.columns() == width


def test_demo_shows_an_event_once(
    lines: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setenv("COLUMNS", "100")
    event = Event(event_id="e1", app="shop", kind="prompt", text=f"{ATTACK}. " * 5)
    hits = tuple(
        RuleHit(
            rule=f"rule-{action}", action=action, severity="high", mode=mode, metric="injection", score=1.0
        )
        for action, mode in MODES
    )
    decision = Decision(
        decision_id="d1", event_id="e1", app="shop", kind="prompt", verdict="block", action="redact",
        rules=hits, text=event.text,
    )  # fmt: skip
    load("demo_live").Live("", [event], 1.0)._on_decision(decision)
    [line] = capsys.readouterr().out.splitlines()
    assert "REDACT  rule-redact" in line
    assert line.endswith("…” +2 rules")
    assert len(line) == 100


@pytest.mark.kafka
def test_publish(weir: Weir) -> None:
    status, output, errors = python(weir, "publish.py", "Where is my parcel?")
    assert status == 0, errors
    event_id = output.split()[1]
    wait_until(lambda: event_id in {decision.event_id for decision in weir.decisions("shop")}, "its decision")


@pytest.mark.kafka
def test_gate_stops_an_attack_and_redacts(weir: Weir) -> None:
    status, output, errors = python(weir, "gate.py", "--timeout", "20", ATTACK)
    assert status == 3, errors
    assert output.startswith("stopped (block: injection-block")
    suggested = re.search(r'gate\.py "(.+?)"', (EXAMPLES / "demo.py").read_text(encoding="utf-8"))
    assert suggested is not None
    assert python(weir, "gate.py", "--timeout", "20", suggested[1])[0] == 3
    status, output, errors = python(weir, "gate.py", "--timeout", "20", "My mail is ann@example.com.")
    assert status == 0, errors
    assert "as: My mail is [EMAIL_" in output
