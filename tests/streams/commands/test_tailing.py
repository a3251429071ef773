import datetime as dt

import click
import msgspec
import pytest

from schemas import codec
from schemas.codec import decode
from schemas.drift import DriftRecord
from schemas.events import Alert, DeadLetter, Decision, Event, Feedback, Id, Name, RuleHit, ScoredEvent
from schemas.policy import PolicyChange
from streams.terminal.messages import TAILS, Filter, Tail, as_json, hit, moment
from streams.terminal.progress import Progress
from streams.terminal.table import Aligner
from tests.streams.records import Clock

SECRET = "geheim"
EVENT = Event(event_id="e1", app="shop", kind="prompt", text=SECRET, model="m", timestamp=0)
DECISION = Decision(
    decision_id="d1", event_id="e1", app="shop", kind="prompt", verdict="redact", action="redact", text=SECRET
)
SCORES = {"injection": 0.25, "toxicity": 0.5, "text_length": 40.0, "refusal": 0.01, "threat": 0.125}
MESSAGES: dict[str, msgspec.Struct] = {
    "decisions": DECISION,
    "alerts": Alert(
        alert_id="a", source="guard", severity="high", rule="r", title="r: injection 0.97", timestamp=1,
        app="shop", mode="shadow",
    ),
    "drift": DriftRecord(
        drift_id="x", app="shop", model="m", kind="prompt", metric="toxicity", detector="adwin", timestamp=1,
        event_id="e1", before=0.0123456, after=0.5, samples=4321,
    ),
    "dlq": DeadLetter(
        dead_letter_id="l", topic="llm.events", partition=2, offset=7, timestamp=1, reason="empty",
        detail="nothing in 0 bytes", size=1234, payload=SECRET.encode(),
    ),
    "scores": ScoredEvent(event=EVENT, scores=SCORES, decision=DECISION, timestamp=1),
    "feedback": Feedback(
        feedback_id="f", event_id="e1", app="shop", reviewer="ann", judgement="false_positive", comment=SECRET
    ),
    "policy": PolicyChange(
        change_id="c", what="demoted", timestamp=1, by="reviews", rule="r", policy_version="2",
        policy_hash="abc", reason="3 of 20 were right\nmore",
    ),
    "events": EVENT,
}  # fmt: skip
LINES = {
    "decisions": "redact none shop prompt e1 0 ms",
    "alerts": "high flag shop - - r: injection 0.97 shadow",
    "drift": "toxicity 0.01235 → 0.5 shop m prompt e1 after 4,321 events",
    "dlq": "empty llm.events/2@7 1,234 bytes nothing in 0 bytes",
    "scores": "redact shop prompt e1 toxicity 0.500 injection 0.250 threat 0.125",
    "feedback": "false_positive decision shop e1 ann",
    "policy": "demoted reviews r 2 abc 3 of 20 were right",
    "events": "shop prompt e1 - m 6 characters",
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_tells_what_matters_and_never_a_text(name: str) -> None:
    stream = TAILS[name]
    message = stream.decode(codec.encode(MESSAGES[name]))
    line = click.unstyle(Aligner().line(stream.line(message, 60_000)))
    date, time, *rest = line.split()
    assert " ".join(rest) == LINES[name]
    assert (date, time) in {("1970-01-01", "00:00:00.001Z"), ("1970-01-01", "00:01:00.000Z")}
    assert SECRET not in line


@pytest.mark.parametrize("name", MESSAGES)
def test_filters_suit_the_messages(name: str) -> None:
    """A filter that is offered works; the codec would raise AttributeError for one that does not."""
    wanted = dict.fromkeys(TAILS[name].filters, "critical")
    assert Filter(**wanted).matches(MESSAGES[name]) is (not wanted)
    assert Filter().matches(MESSAGES[name])


class Note(msgspec.Struct):
    """A message that nobody wrote a line for."""

    note_id: Id
    app: Id
    text: str
    author: Name = ""
    tags: tuple[str, ...] = ()


def test_a_message_without_a_line_of_its_own_shows_ids_and_names() -> None:
    stream = Tail(("notes",), Note)
    [_, *cells] = stream.line(Note("n1", "shop", SECRET), 1)
    assert [cell.text for cell in cells] == ["n1", "shop", "-"]
    assert stream.filters == ("app",)


def test_a_word_of_tomorrow_is_shown_and_passes_the_filters_that_it_may() -> None:
    alert = decode(Alert, codec.encode(MESSAGES["alerts"]).replace(b'"high"', b'"fatal"'))
    assert Filter(severity="critical").matches(alert)
    assert not Filter(action="block").matches(alert)
    assert "fatal" in Aligner().line(TAILS["alerts"].line(alert, 1))


def test_moments() -> None:
    assert moment(1_700_000_000_123) == "2023-11-14 22:13:20.123Z"
    assert moment(10**17) == str(10**17)
    event = msgspec.structs.replace(EVENT, timestamp=dt.datetime(2026, 1, 2))
    assert TAILS["events"].line(event, 0)[0].text == "2026-01-02 00:00:00.000Z"


@pytest.mark.parametrize(
    ("value", "line"),
    [(b'{"a": 1}', '{"a": 1}'), (b'{\n "a": 1\n}', '{"a":1}'), (b"no\njson", "no json"), (b"\xff", "\ufffd")],
)
def test_json_is_one_line(value: bytes, line: str) -> None:
    assert as_json(value) == line


def test_a_rule_tells_why_it_hit() -> None:
    rule = RuleHit(rule="r", action="block", severity="high", mode="enforce")
    assert hit(rule) == "r"
    assert hit(msgspec.structs.replace(rule, failed=True)) == "r (detector failed)"
    assert hit(msgspec.structs.replace(rule, metric="pii", score=2.0, mode="shadow")) == "shadow:r (pii 2)"


@pytest.mark.parametrize(("terminal", "times"), [(True, 40), (False, 2)])
def test_progress_is_shown_now_and_then(
    terminal: bool, times: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    progress = Progress("events", lambda: int(clock.now * 1000), lambda: clock.now / 20, clock)
    for step in range(1, 81):
        clock.now = step / 8
        progress()
    shown = capsys.readouterr().err
    assert shown.count("events") == times
    assert shown.endswith("10,000 events  1,000/s   50%" + ("" if terminal else "\n"))
    progress.clear()
    assert capsys.readouterr().err == ("\r" + " " * 28 + "\r" if terminal else "")
