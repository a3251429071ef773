"""What reviews tell, in the shell, over a real store: precision, misses, thresholds, training data."""

import json
import uuid
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from schemas import codec
from schemas.events import Decision, Event, Feedback, RuleHit, ScoredEvent
from streams.decisions.propose import lowest
from streams.decisions.review_report import alpha
from streams.store.chosen import Chosen
from streams.store.client import Store
from streams.store.reviews import SAMPLED, reviewed, reviews
from tests.streams.weir import forget_settings, run

NOW = 1_790_000_000_000
DECIDED = (("allow",), ("block", "inj"), ("flag", "tox", "inj"))
WORDS = ("correct", "false_positive", "false_negative", "unsure")
POLICY = """version: "1"
name: shop
rules:
  - {id: inj, when: [kind == prompt, injection >= 0.9], thresholds: {game: {injection: 0.7}}, action: block}
  - {id: tox, when: [any: [toxicity >= 0.5, all: [kind == prompt, injection > 0.9]]], action: flag}
  - {id: short, when: [injection < 0.1], action: flag}
"""


@pytest.fixture
def store(migrated: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("WEIR_CLICKHOUSE", migrated.url)
    monkeypatch.setenv("WEIR_CLICKHOUSE_DATABASE", migrated.database)
    (tmp_path / "policy.yaml").write_text(POLICY)
    monkeypatch.setenv("WEIR_POLICY", "policy.yaml")
    monkeypatch.setenv("WEIR_DETECTORS", "injection,toxicity")
    return migrated


def row(app: str, name: str, injection: float, action: str, *rules: str, **fields: Any) -> ScoredEvent:
    hits = tuple(
        RuleHit(
            rule=rule, action="block", severity="low", mode="enforce", metric="injection", score=injection
        )
        for rule in rules
    )
    event = Event(event_id=name, app=app, kind="prompt", text=f"text of {name}", **fields)
    decision = Decision(
        decision_id=codec.decision_id(app, name), event_id=name, app=app, kind="prompt", verdict="block",
        action=action, rules=hits, decided_at=NOW,  # type: ignore[arg-type]
    )  # fmt: skip
    return ScoredEvent(event=event, scores={"injection": injection}, decision=decision, timestamp=NOW)


def said(app: str, name: str, word: str, reviewer: str = "ann", about: str = "", at: int = 0) -> Feedback:
    return Feedback(
        feedback_id=f"{name}/{reviewer}/{about}", event_id=name, app=app, reviewer=reviewer,
        judgement=word,  # type: ignore[arg-type]
        metric=about, timestamp=NOW + at,
    )  # fmt: skip


def put(store: Store, *messages: Any) -> None:
    for kind in {type(each): None for each in messages}:
        store.insert([each for each in messages if type(each) is kind], uuid.uuid4().hex)


def test_precision_agreement_and_misses(store: Store) -> None:
    app = "told"
    allowed = [row(app, f"a{n}", 0.1, "allow") for n in range(1000)]
    put(store, *allowed, *(row(app, f"b{n}", 0.95, "block", "inj") for n in range(10)))
    sampled = [
        name
        for (name,) in store.query(
            f"SELECT event_id FROM events WHERE app = 'told' AND action = 'allow' AND {SAMPLED}"
        ).rows
    ]
    others = [each.event.event_id for each in allowed if each.event.event_id not in sampled]
    put(
        store,
        *(said(app, f"b{n}", "correct" if n < 6 else "false_positive") for n in range(10)),
        *(said(app, f"b{n}", "correct" if n < 5 else "false_positive", "bob") for n in range(8)),
        *(said(app, name, "false_negative" if n == 0 else "correct") for n, name in enumerate(sampled)),
        *(said(app, name, "false_negative") for name in others[:7]),
        row(app, "w", 0.5, "escalate", "inj"),
    )  # fmt: skip
    found = json.loads(run("reviews", "--app", app, "--since", "2026-01-01T00:00:00Z", "--json").out)
    assert (found["events"], found["waiting"]) == (1011, 1)
    assert (found["precision"]["right"], found["precision"]["of"]) == (5, 9), "on b5 they differ"
    assert (found["agreement"]["right"], found["agreement"]["of"]) == (7, 8)
    assert 0 < found["alpha"] < 1
    [rule] = found["rules"]
    assert (rule["rule"], rule["hits"], rule["precision"]["of"]) == ("inj", 11, 9)
    misses = found["misses"]
    assert (misses["share"]["right"], misses["share"]["of"]) == (1, len(sampled)), (
        "what was reported is no sample"
    )
    assert misses["estimate"] == round(1000 * misses["share"]["share"])
    assert misses["low"] <= misses["estimate"] <= misses["high"]
    told = run("reviews", "--app", app, "--since", "2026-01-01T00:00:00Z").out
    assert "56% (27% to 81%, 5 of 9)" in told
    assert "1 wait for a person" in told


def test_of_what_nobody_reviewed_nothing_is_said(store: Store) -> None:
    put(store, row("silent", "s1", 0.95, "block", "inj"))
    told = run("reviews", "--app", "silent", "--since", "2026-01-01T00:00:00Z").out
    assert told.splitlines()[1:] == [
        "precision  not known: no decision that acted is reviewed",
        "agreement  not known: no event has two reviewers",
        "missed     not known: no allowed event that was picked at random is reviewed",
    ]


def test_alpha_is_krippendorffs() -> None:
    """The four-observer example has more values; for two, three items by hand."""
    assert alpha([[True, True], [False, False]]) == 1.0
    assert alpha([[True, False], [True, False]]) == -0.5
    assert alpha([[True, True], [True, True]]) is None
    assert alpha([]) is None


def test_what_is_exported_is_labelled_as_everywhere_else(store: Store, tmp_path: Path) -> None:
    random, app = Random(5), "out"
    rows = [
        row(
            app, f"e{n}", random.random(), *random.choice(DECIDED),
            conversation_id=random.choice(["", *"abcde"]),
        )
        for n in range(120)
    ]  # fmt: skip
    opinions = [
        said(app, f"e{random.randrange(100)}", random.choice(WORDS), random.choice("abc"),
             random.choice(["", "", "inj", "tox", "injection"]), n)
        for n in range(300)
    ]  # fmt: skip
    put(store, *rows, *opinions)
    labels = {name: each for (_, name), each in reviews(store, Chosen(app=app)).items()}
    expected = {
        name: each
        for name, each in labels.items()
        if each.overall is not None or each.by_name or each.disputed
    }
    assert run("export", "--reviewed", "out.jsonl", "--app", app).code == 0
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    found = {each["event_id"]: each for each in lines}
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        label = found[name]["label"]
        assert (None if label is None else bool(label)) == wanted.overall, name
        assert {key: bool(value) for key, value in found[name]["label_of"].items()} == wanted.by_name, name
        assert bool(found[name]["disputed"]) == wanted.disputed, name
    one = found["e0"] if "e0" in found else lines[0]
    assert one["text"] == f"text of {one['event_id']}"
    assert one["scores"].keys() == {"injection"}
    splits: dict[str, set[str]] = {}
    for each in lines:
        splits.setdefault(each["conversation_id"] or each["event_id"], set()).add(each["split"])
    assert {len(each) for each in splits.values()} == {1}, "a conversation is in one split"
    assert {each["split"] for each in lines} <= {"train", "validation", "test"}
    assert run("export", "--reviewed", "out.parquet", "--app", app).code == 0
    parquet = pytest.importorskip("pyarrow.parquet").read_table("out.parquet").to_pylist()
    assert [each["event_id"] for each in parquet] == [each["event_id"] for each in lines]
    assert [each["label"] for each in parquet] == [each["label"] for each in lines]
    assert dict(parquet[0]["scores"]).keys() == {"injection"}
    refused = run("export", "--reviewed", "out.csv")
    assert (refused.code, ".jsonl or .parquet" in refused.err) == (2, True)


def test_a_threshold_is_proposed_with_its_interval(store: Store) -> None:
    random, app = Random(1), "game"
    rows, opinions = [], []
    for number in range(400):
        score = random.random()
        should = random.random() < score**2
        hit = score >= 0.7
        rows.append(row(app, f"p{number}", score, "block" if hit else "allow", *(["inj"] if hit else [])))
        word = "correct" if hit == should else "false_positive" if hit else "false_negative"
        opinions.append(said(app, f"p{number}", word))
    put(store, *rows, *opinions)
    outcome = run("policy", "propose", "inj", "--precision", "0.8", "--app", app, "--json")
    [found] = json.loads(outcome.out)
    assert found["now"] == pytest.approx(0.7), "the threshold of the app"
    assert found["reviewed"] == 400
    assert 0.5 < found["low"] <= found["threshold"] <= found["high"] <= 1
    assert found["precision"]["share"] >= 0.8
    assert found["sure"] > found["threshold"]
    assert found["recall"]["share"] < 1
    told = run("policy", "propose", "inj", "--precision", "0.8", "--app", app).out
    assert "proposed: injection >= 0." in told
    for rule, why in (
        ("short", "has no condition `metric >= number`"),
        ("imj", "no rule 'imj' (did you mean 'inj'?)"),
    ):
        refused = run("policy", "propose", rule, "--app", app)
        assert (refused.code, why in refused.err) == (2, True), refused.err
    nobody = run("policy", "propose", "inj", "--app", "nowhere")
    assert "nobody has reviewed" in nobody.err


def test_of_a_rule_that_asks_for_one_of_several_scores_each_has_a_threshold(store: Store) -> None:
    app, rows, opinions = "either", [], []
    for number in range(40):
        for name, injection, toxicity in ((f"i{number}", number / 40, 0.1), (f"t{number}", 0.1, number / 40)):
            made = row(app, name, injection, "allow")
            rows.append(msgspec.structs.replace(made, scores={"injection": injection, "toxicity": toxicity}))
            should = number >= (30 if name[0] == "i" else 20)
            opinions.append(said(app, name, "false_negative" if should else "correct"))
    # Both are high: whatever the one threshold is, the other hits, and so it says nothing of either.
    both = row(app, "both", 0.99, "allow")
    rows.append(msgspec.structs.replace(both, scores={"injection": 0.99, "toxicity": 0.99}))
    put(store, *rows, *opinions, said(app, "both", "correct"))
    asked = ("policy", "propose", "tox", "--precision", "0.99", "--app", app)
    toxicity, injection = json.loads(run(*asked, "--json").out)
    assert [toxicity[key] for key in ("metric", "reviewed", "threshold")] == ["toxicity", 77, 0.5]
    assert [injection[key] for key in ("metric", "operator", "reviewed")] == ["injection", ">", 60]
    assert injection["threshold"] == 0.75
    told = run(*asked).out
    assert "proposed: toxicity >= 0.5" in told
    assert "proposed: injection >= 0.75" in told


def test_the_lowest_threshold_holds_for_all_that_pass_it() -> None:
    scores = np.array([0.9, 0.8, 0.8, 0.7, 0.6])
    right = np.array([True, True, False, True, False])
    assert lowest(scores, right, 0.75) == 0.7
    assert lowest(scores, right, 0.8) == 0.9, "of two equal scores one is wrong"
    assert lowest(scores, right, 0.75, sure=True) is None
    assert lowest(scores, ~right, 0.9) is None


def test_right_and_wrong_are_what_the_message_says(store: Store) -> None:
    from streams.decisions.feedback import meant

    blocked = {"rules": ["inj"], "rule_metrics": ["injection"], "action": "block"}
    allowed = {"rules": [], "rule_metrics": [], "action": "allow"}
    assert [meant(each, "wrong") for each in (blocked, allowed)] == ["false_positive", "false_negative"]
    assert [meant(blocked, "wrong", rule) for rule in ("inj", "tox")] == ["false_positive", "false_negative"]
    assert [meant(allowed, word) for word in ("right", "unsure")] == ["correct", "unsure"]


def test_opinions_carry_their_time(store: Store) -> None:
    put(store, row("late", "x", 0.9, "block", "inj"), said("late", "x", "false_positive", at=5))
    [event] = reviewed(store, Chosen(app="late"))
    assert (event.labels().overall, event.labels(NOW + 5).overall) == (False, None)
