"""What any finder sees in anything that an event carries counts everywhere: answer, scores and rows."""

import re
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from detectors import registry
from detectors.base import FloatMatrix
from detectors.batch import Batch
from detectors.privacy.findings import Finding
from schemas.events import Decision, Event, Evidence, ScoredEvent, ToolCall
from streams.decisions.judge import Judge
from streams.decisions.scoring import make_runner, owners
from streams.decisions.text_storage import Keeper
from streams.policy.file import parse
from streams.settings import Settings
from streams.store.tables import EVENTS
from tests.streams.records import event

NUMBER = "EMP-004711"
ADDRESS = "jane.roe@example-mail.org"
POLICY = "version: '1'\nname: t\nrules:\n  - {id: r, when: [employees > 0], action: redact}\n"


class Employees:
    """Employee numbers, as a company's own package knows them."""

    name = "employees"
    version = "1"
    metrics = ("employees",)

    def find(self, text: str) -> list[Finding]:
        return self.look(text)

    def look(self, text: str) -> list[Finding]:
        return [Finding("EMPLOYEE_NUMBER", *match.span()) for match in re.finditer(r"EMP-\d{6}", text)]

    def score(self, batch: Batch) -> FloatMatrix:
        found = batch.found(self.find)
        return np.array([[len(found.said(event))] for event in batch.events], np.float32)

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        return []


Asking = Callable[..., tuple[Decision, ScoredEvent]]


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    """Judge an event with the default detectors and one of another package."""
    module = ModuleType("company")
    module.Employees = Employees  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "company", module)
    entry = EntryPoint("employees", "company:Employees", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    settings = Settings(_env_file=None, detectors="+employees", redaction_key="k" * 16)
    runner = make_runner(settings)
    policy = parse(POLICY, owners(runner)).compile(runner.metrics)
    judge = Judge(runner, Keeper(settings.storage, settings.redaction_key_bytes, runner.finders))

    def judged(*events: Event) -> tuple[Decision, ScoredEvent]:
        found = judge.judge(events, policy)
        return found.decisions[0], found.scored[0]

    yield judged
    runner.close()


def test_what_a_detector_of_another_package_finds_is_redacted_everywhere(judge: Asking) -> None:
    decision, scored = judge(
        event(
            f"Ask {NUMBER}.",
            system_prompt=f"You are {NUMBER}",
            contexts=(f"From {NUMBER}",),
            tool_calls=(ToolCall(name="mail", arguments=f'{{"to":"{NUMBER}"}}'),),
            metadata={"by": NUMBER},
        )
    )
    assert decision.action == "redact"
    assert re.fullmatch(r"Ask \[EMPLOYEE_NUMBER_[0-9a-f]{6}\]\.", decision.text or "")
    assert scored.event.text == decision.text
    assert scored.scores["employees"] == 2, "the text and the tool call"
    assert scored.scores["pii"] == 0
    assert scored.pii_types == ("EMPLOYEE_NUMBER",)
    columns = EVENTS.read([scored])
    assert columns["pii_types"] == [("EMPLOYEE_NUMBER",)]
    assert NUMBER not in repr(columns)
    assert repr(columns).count("EMPLOYEE_NUMBER_") == 5


def test_what_is_in_disguise_is_found_by_any_finder(judge: Asking) -> None:
    _, scored = judge(event("E\u200bM\u200bP-\u0660\u0660\u0664\u0667\u0661\u0661"))
    assert scored.scores["employees"] == 1
    assert scored.event.text.startswith("[EMPLOYEE_NUMBER_")


def test_the_kinds_of_all_that_an_event_carries_are_named(judge: Asking) -> None:
    _, scored = judge(
        event(
            NUMBER,
            contexts=(ADDRESS,),
            metadata={"key": "AKIAQ2W3E4R5T6Y7U8I9"},
            system_prompt="pwd=hunter2x",
        )
    )
    assert scored.pii_types == ("AWS_KEY", "EMAIL", "EMPLOYEE_NUMBER", "PASSWORD")
    assert scored.scores["pii"] == scored.scores["secrets"] == 0, "nobody said it"


def test_what_no_placeholder_can_name_is_withheld(judge: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (Finding("employee number", 0, 3), Finding("EMPLOYEE_NUMBER", -2, 3), Finding("OK", 0, 99)):
        monkeypatch.setattr(Employees, "look", lambda _self, _text, wrong=wrong: [wrong])
        decision, scored = judge(event("secret", contexts=("more",)))
        assert decision.failed == ("employees",)
        assert (scored.storage, scored.event.text, scored.event.contexts) == ("hash", "", ())


def test_a_finder_that_stumbles_over_one_text_costs_no_other_text(
    judge: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(_self: Any, text: str) -> list[Finding]:
        if "odd" in text:
            raise RuntimeError("a text that must not be logged")
        return []

    monkeypatch.setattr(Employees, "look", stumble)
    decision, scored = judge(event(f"Write to {ADDRESS}", contexts=("an odd one", "fine")), event("odd", 1))
    assert decision.failed == ("employees",)
    assert scored.storage == "redacted"
    assert scored.event.text.startswith("Write to [EMAIL_")
    assert scored.event.contexts == ("[WITHHELD 10 characters]", "fine")
    assert scored.scores["pii"] == 1
    assert "employees" not in scored.scores


def test_a_finder_is_asked_once_about_a_text_that_many_events_share(
    judge: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def look(_self: Any, text: str) -> list[Finding]:
        asked.append(text)
        return []

    monkeypatch.setattr(Employees, "look", look)
    judge(*(event("hello there", number, system_prompt="be kind") for number in range(3)))
    assert sorted(text for text in asked if text) == ["be kind", "hello there"]
