"""A policy counts kinds of findings, which are no columns of the scores; guard and backtest agree."""

import uuid
from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from detectors import registry
from detectors.runner import Runner
from schemas.events import VERDICTS, Event, ToolCall
from streams.decisions.judge import Judge
from streams.decisions.scoring import owners
from streams.decisions.text_storage import Keeper
from streams.policy.file import PolicyError, parse
from streams.policy.rules import CompiledPolicy
from streams.store.chosen import Chosen
from streams.store.client import Store
from streams.store.scored import Detectors, Reader
from tests.models import MODELS

KEY = "AKIAQ2W3E4R5T6Y7U8I9"
TWO = "write to ann@shop-mail.org and bob@shop-mail.org"
POLICY = """
version: "1"
name: t
rules:
  - {id: addresses, when: [pii_email >= 2], action: block}
  - {id: keys, when: [secrets_aws_key >= 1], unless: [pii_email == 1], action: escalate}
  - {id: none, when: [kind == completion, pii_email == 0], action: flag}
"""


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    runner = Runner(registry.build(MODELS, ("pii", "secrets", "text")), MODELS, 30.0)
    yield runner
    runner.close()


def compiled(runner: Runner, text: str = POLICY) -> CompiledPolicy:
    return parse(text, owners(runner), runner.ranges).compile(runner.metrics, runner.counted)


TEXTS = (TWO, "ann@shop-mail.org", f"key {KEY}", f"{KEY} ann@shop-mail.org", "hello")
EVENTS = [Event(event_id=f"e{n}", app="a", kind="prompt", text=text) for n, text in enumerate(TEXTS)]
ACTIONS = ["block", "allow", "escalate", "allow", "allow"]


def test_a_policy_counts_a_kind(runner: Runner) -> None:
    judge = Judge(runner, Keeper("full", b"k" * 16))
    judged = judge.judge(EVENTS, compiled(runner))
    assert [each.action for each in judged.decisions] == ACTIONS
    (hit,) = judged.decisions[0].rules
    assert (hit.metric, hit.score) == ("pii_email", 2)
    assert {name: n for name, n in judged.scored[0].scores.items() if name.startswith("pii_")} == {
        "pii_strong": 0,
        "pii_email": 2,
    }
    assert not {"pii_email", "secrets_aws_key"}.intersection(judged.scored[4].scores)
    found = judge.evidence(judged.batch, 3, {"pii_email", "secrets_aws_key"})
    assert [(each.metric, each.label) for each in found] == [
        ("pii_email", "EMAIL"),
        ("secrets_aws_key", "AWS_KEY"),
    ]
    assert judge.is_cheap("pii_email")


def test_what_a_model_hands_to_a_tool_counts(runner: Runner) -> None:
    call = ToolCall(name="send", arguments=f'{{"to": "ann@shop-mail.org", "key": "{KEY}"}}')
    (decided,) = (
        Judge(runner, Keeper("full", b"k" * 16))
        .judge(
            [Event(event_id="1", app="a", kind="completion", text="bob@shop-mail.org", tool_calls=(call,))],
            compiled(runner),
        )
        .decisions
    )
    assert decided.action == "block"


def test_where_the_detector_failed_a_closed_rule_hits(runner: Runner) -> None:
    text = POLICY.replace("action: block", "action: block, on_failure: closed")
    matrix = np.full((1, len(runner.metrics)), np.nan, np.float32)
    outcome = compiled(runner, text).evaluate(matrix, EVENTS[:1], ("pii",))
    assert outcome.failed[0].tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("pii_emial >= 1", "did you mean 'pii_email'?"),
        ("pii_email < 0", "never holds"),
        ("secrets_aws_key == 0.5", "a whole number"),
    ],
)
def test_what_is_no_kind_or_no_count_is_refused(runner: Runner, condition: str, problem: str) -> None:
    with pytest.raises(PolicyError) as error:
        compiled(runner, POLICY.replace("pii_email >= 2", condition))
    assert problem in str(error.value)


@pytest.fixture
def store(clickhouse: str, runner: Runner) -> Iterator[Store]:
    store = Store(clickhouse, database=f"kinds_{uuid.uuid4().hex[:8]}")
    store.migrate(list(runner.metrics))
    yield store
    store.client.command(f"DROP DATABASE {store.database}")
    store.close()


def replayed(store: Store, runner: Runner, lacking: Mapping[str, set[str]]) -> list[str]:
    policy = compiled(runner)
    detectors = Detectors(owners(runner), runner.read_closely, runner.counted)
    (block,) = Reader(store, policy.asks, detectors, lacking=lacking).blocks(Chosen())
    outcome = policy.judge(block.rows)
    actions = {event_id: VERDICTS[outcome.action[row]] for row, event_id in enumerate(block.event_ids)}
    return [actions[each.event_id] for each in EVENTS]


def test_stored_events_are_judged_alike(runner: Runner, store: Store) -> None:
    judged = Judge(runner, Keeper("full", b"k" * 16)).judge(EVENTS, compiled(runner))
    store.insert(judged.scored, "all")
    assert replayed(store, runner, {}) == ACTIONS
    # Of detectors that count no kinds it is not known how many there were.
    hash_ = judged.decisions[0].detectors_hash
    names = {"pii_email", "secrets_aws_key"}
    assert replayed(store, runner, {hash_: names}) == ["allow"] * 5
