"""The language of the text is a field of policies and a column; guard and backtest agree."""

import uuid
from collections.abc import Iterator

import pytest

from detectors import registry
from detectors.batch import Batch
from detectors.runner import Runner
from schemas.events import VERDICTS, Event
from streams.decisions.judge import Judge
from streams.decisions.scoring import owners
from streams.decisions.text_storage import Keeper
from streams.policy.file import PolicyError, parse
from streams.policy.rules import CompiledPolicy
from streams.store.chosen import Chosen
from streams.store.client import Store
from streams.store.scored import Detectors, Reader
from tests.models import MODELS

TEXTS = ("Wo ist mein Paket heute?", "Where is my parcel today?", "Où est mon colis aujourd'hui ?", "42")
EVENTS = [Event(event_id=f"e{n}", app="a", kind="prompt", text=text) for n, text in enumerate(TEXTS)]
POLICY = """
version: "1"
name: t
rules:
  - {id: german, when: [language == de], action: block, on_failure: closed}
  - {id: other, when: ['language not in [de, en]'], unless: [text_length < 5], action: flag}
"""
ACTIONS = ["block", "allow", "flag", "allow"]


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    runner = Runner(registry.build(MODELS, ("language", "text")), MODELS, 30.0)
    yield runner
    runner.close()


@pytest.fixture
def store(clickhouse: str, runner: Runner) -> Iterator[Store]:
    store = Store(clickhouse, database=f"language_{uuid.uuid4().hex[:8]}")
    store.migrate(list(runner.metrics))
    yield store
    store.client.command(f"DROP DATABASE {store.database}")
    store.close()


def compiled(runner: Runner, text: str = POLICY) -> CompiledPolicy:
    return parse(text, owners(runner), runner.ranges).compile(runner.metrics, runner.counted)


def test_guard_and_backtest_know_the_language(runner: Runner, store: Store) -> None:
    policy = compiled(runner)
    judged = Judge(runner, Keeper("none", b"k" * 16)).judge(EVENTS, policy)
    assert [each.action for each in judged.decisions] == ACTIONS
    assert [each.language for each in judged.scored] == ["de", "en", "fr", ""]
    store.insert(judged.scored, "all")
    rows = store.query("SELECT event_id, language FROM events ORDER BY event_id").rows
    assert [tuple(row) for row in rows] == [("e0", "de"), ("e1", "en"), ("e2", "fr"), ("e3", "")]
    detectors = Detectors(owners(runner), runner.read_closely, runner.counted)
    (block,) = Reader(store, policy.asks, detectors).blocks(Chosen())
    outcome = policy.judge(block.rows)
    actions = {event_id: VERDICTS[outcome.action[row]] for row, event_id in enumerate(block.event_ids)}
    assert [actions[each.event_id] for each in EVENTS] == ACTIONS


def test_where_the_language_cannot_be_had_a_closed_rule_hits(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(batch: Batch) -> list[str]:
        raise RuntimeError

    monkeypatch.setattr(Batch, "languages", property(fail))
    judged = Judge(runner, Keeper("none", b"k" * 16)).judge(EVENTS[1:2], compiled(runner))
    assert (judged.decisions[0].action, judged.decisions[0].failed) == ("block", ("language",))
    assert judged.scored[0].language == ""


def test_a_policy_names_a_language_as_iso_does(runner: Runner) -> None:
    with pytest.raises(PolicyError, match=r"a language has two letters, as in ISO 639-1.*got 'german'"):
        compiled(runner, POLICY.replace("== de", "== german"))
    with pytest.raises(PolicyError, match="rules need detectors that do not run: language for german"):
        parse(POLICY, {"text_length": "text"})
