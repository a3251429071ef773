"""Reviews change something, in processes that are killed: once each, and undone by one command."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import codec, topics
from schemas.events import Decision, Event, Feedback
from tests.brokers import new_broker
from tests.harness import Weir, wait_until

POLICY = """version: "1"
name: reviewed
rules:
  - {id: ask, when: [app == bank], action: escalate}
  - {id: long, when: [text_length >= 5], unless: [app == bank], action: block, demote_below: 0.5}
"""
WRONG = 12
BROKER = os.environ.get("WEIR_TEST_REVIEWS_BROKER", "embedded")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Weir]:
    (tmp_path / "policy.yaml").write_text(POLICY)
    broker = new_broker(BROKER, tmp_path / "broker")
    broker.start()
    weir = Weir(
        broker.address, tmp_path, WEIR_POLICY=str(tmp_path / "policy.yaml"), WEIR_DETECTORS="text",
        WEIR_PARTITIONS="2",
    )  # fmt: skip
    try:
        weir.start_store()
        for name in ("topics", "migrate"):
            assert weir.run(name)[0] == 0
        for name in ("guard", "archive"):
            weir.roles[name] = weir.role(name).start()
        yield weir
    finally:
        weir.stop()
        broker.stop()


def event(name: str, app: str = "shop") -> Event:
    return Event(event_id=name, app=app, kind="prompt", text="a long text", conversation_id="c")


def judged(weir: Weir, name: str) -> Decision:
    """Publish an event; return the guard's decision."""
    weir.publish([event(name)])
    found: Decision = wait_until(
        lambda: next((each for each in weir.decisions("shop") if each.event_id == name), None), name
    )
    return found


def answers(weir: Weir) -> list[Decision]:
    return [each for each in weir.decisions("bank") if each.decided_by == "reviewer"]


def test_answers_and_demotions_survive_kills(stack: Weir) -> None:
    weir, numbers = stack, iter(range(1000))
    weir.publish([event("b", "bank"), *(event(f"s{n}") for n in range(WRONG))])
    weir.await_rows("shop", WRONG)
    weir.await_rows("bank", 1)
    assert {each.action for each in (*weir.decisions("bank"), *weir.decisions("shop"))} == {
        "escalate",
        "block",
    }
    assert weir.run("feedback", "b", "wrong", "--reviewer", "ann")[0] == 0
    said = [
        Feedback(
            feedback_id=f"f{n}", event_id=f"s{n}", app="shop", reviewer="ann", judgement="false_positive"
        )
        for n in range(WRONG)
    ]
    weir.roles["archive"].kill()
    weir.send(topics.FEEDBACK, [(None, codec.encode(each)) for each in said + said])
    weir.roles["archive"].start()
    wait_until(lambda: answers(weir), "the answer comes")
    weir.roles["archive"].kill()
    weir.roles["archive"].start()

    def in_shadow() -> bool:
        found = judged(weir, f"t{next(numbers)}")
        return (found.action, [hit.mode for hit in found.rules]) == ("allow", ["shadow"])

    wait_until(in_shadow, "the rule is in shadow")
    wait_until(lambda: weir.query("SELECT action FROM resolutions") == [("allow",)], "it is noted")
    assert len({codec.encode(each) for each in answers(weir)}) == 1, "however often it was said"
    assert weir.query("SELECT count() FROM feedback") == [(WRONG + 1,)]
    weir.roles["guard"].kill()
    weir.roles["guard"].start()
    assert in_shadow(), "also in a guard that starts"
    wait_until(lambda: weir.query("SELECT rule, source FROM alerts WHERE source = 'archive'"), "it is told")
    assert weir.query("SELECT count(), any(rule) FROM alerts WHERE source = 'archive'") == [(1, "long")]
    assert weir.run("policy", "restore", "long", "--comment", "they were right")[0] == 0
    wait_until(lambda: judged(weir, f"t{next(numbers)}").action == "block", "it is enforced again")

    def history() -> list[tuple[object, ...]]:
        return weir.query("SELECT what, rule FROM policy_changes WHERE rule != '' ORDER BY timestamp")

    wait_until(lambda: len(history()) == 2, "both are in the log")
    assert history() == [("demoted", "long"), ("restored", "long")]
    over = "SELECT resolved_at > timestamp FROM alerts WHERE source = 'archive'"
    wait_until(lambda: weir.query(over) == [(True,)], "its alert is over")
    told = weir.run("policy", "log")[1]
    assert "they were right" in told
    assert "0 of 12 reviewed hits were right" in told
    assert "is not in shadow because of reviews; those are: none" in weir.run("policy", "restore", "long")[1]
