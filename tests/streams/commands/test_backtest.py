"""Policies on events in a real store: `weir backtest`, `weir policy`, `weir feedback`."""

import json
import uuid
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from detectors.registry import fingerprint
from schemas.events import Decision, Event, Feedback, RuleHit, ScoredEvent
from schemas.policy import PolicyChange
from streams.decisions.scoring import make_runner
from streams.policy.file import parse
from streams.policy.rule import digest
from streams.settings import load
from streams.store.chosen import Chosen
from streams.store.client import Store
from streams.store.scored import Detectors, Reader
from tests.streams.weir import forget_settings, run

NOW = 1_790_000_000_000
SINCE = ("--since", "2026-01-01T00:00:00Z")
HEAD = 'version: "1"\nname: shop\nrules:\n'
LIVE = HEAD + "  - {id: inj, when: [kind == prompt, injection >= 0.9], action: block}\n"
DRAFT = HEAD + (
    "  - {id: inj, when: [kind == prompt, injection >= 0.5], unless: [app == game], action: block}\n"
    "  - {id: team, when: [metadata.team == red, injection >= 0.2], action: flag}\n"
)
SECRET = "plugh-xyzzy"


@pytest.fixture(scope="module")
def detectors() -> str:
    runner = make_runner(load())
    try:
        return fingerprint(runner.detectors, runner.models)
    finally:
        runner.close()


@pytest.fixture
def store(emptied: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("WEIR_CLICKHOUSE", emptied.url)
    monkeypatch.setenv("WEIR_CLICKHOUSE_DATABASE", emptied.database)
    monkeypatch.setenv("WEIR_POLICY", "live.yaml")
    (tmp_path / "live.yaml").write_text(LIVE)
    (tmp_path / "draft.yaml").write_text(DRAFT)
    return emptied


def scored(
    number: int, injection: float | None, detectors: str, app: str = "shop", **more: Any
) -> ScoredEvent:
    fields = {"storage": "redacted", "metadata": {}, "failed": (), "action": "allow", "rules": ()} | more
    event = Event(
        event_id=f"e{number}", app=app, kind="prompt", text=f"{SECRET} {number}", metadata=fields["metadata"]
    )
    decision = Decision(
        decision_id=f"d{number}", event_id=event.event_id, app=app, kind="prompt", verdict=fields["action"],
        action=fields["action"], rules=fields["rules"], failed=fields["failed"], policy_hash="other",
        policy_version="1", detectors_hash=detectors, decided_at=NOW + number,
    )  # fmt: skip
    scores = {} if injection is None else {"injection": injection}
    return ScoredEvent(
        event=event,
        scores=scores,
        decision=decision,
        timestamp=NOW + number * 3_600_000,
        storage=fields["storage"],
    )


BLOCKED: dict[str, Any] = {
    "action": "block",
    "rules": (
        RuleHit(
            rule="inj", action="block", severity="medium", mode="enforce", metric="injection", score=0.95
        ),
    ),
}


def fill(store: Store, detectors: str) -> None:
    store.insert(
        [
            scored(1, 0.95, detectors, **BLOCKED),
            scored(2, 0.6, detectors),
            scored(3, 0.7, detectors),
            scored(4, 0.95, detectors, app="game", **BLOCKED),
            scored(5, 0.1, detectors),
            scored(6, 0.3, detectors, metadata={"team": "[EMAIL_a1b2c3]"}),
            scored(7, 0.3, detectors, metadata={"team": "red"}),
            scored(8, None, detectors, failed=("injection",)),
        ],
        "now",
    )
    store.insert([scored(0, 0.99, "f00dfeed")], "before")
    said = (("e1", "correct"), ("e2", "false_negative"), ("e3", "correct"), ("e4", "false_positive"))
    store.insert(
        [
            Feedback(
                feedback_id=event, event_id=event, app="game" if event == "e4" else "shop", reviewer="ann",
                judgement=judgement, timestamp=NOW,  # type: ignore[arg-type]
            )
            for event, judgement in said
        ],
        "said",
    )  # fmt: skip


def report(*arguments: str) -> dict[str, Any]:
    outcome = run("backtest", "draft.yaml", "--json", *SINCE, *arguments)
    assert outcome.code == 0, outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def test_a_draft_on_stored_scores(store: Store, detectors: str) -> None:
    fill(store, detectors)
    found = report()
    assert {(c["app"], c["before"], c["after"], c["events"]) for c in found["changes"]} == {
        ("shop", "allow", "block", 2), ("game", "block", "allow", 1), ("shop", "allow", "flag", 1),
    }  # fmt: skip
    assert (found["events"], found["unknown"], found["failed"]) == (8, 1, 1)
    assert found["unknown_because"] == {"metadata.team": 1}
    assert found["other_detectors"] == {"f00dfeed": 1}
    assert found["reviewed"] == 4
    before, after = found["precision_before"], found["precision_after"]
    assert (before["right"], before["of"], after["right"], after["of"]) == (1, 2, 2, 3)
    assert found["recall_after"]["share"] == 1.0
    assert found["days"] == pytest.approx(7 / 24, abs=1e-3)
    assert SECRET not in json.dumps(found)
    assert len([s for s in found["samples"] if s["after"] == "block"]) == 2


APART = HEAD + (
    "  - {id: inj, when: [kind == prompt, injection >= 0.9],"
    " thresholds: {game: {injection: 0.99}}, action: block}\n"
)


def test_a_threshold_of_an_app_is_replayed_and_explained(
    store: Store, detectors: str, tmp_path: Path
) -> None:
    fill(store, detectors)
    (tmp_path / "draft.yaml").write_text(APART)
    changes = [(c["app"], c["before"], c["after"], c["events"]) for c in report()["changes"]]
    assert changes == [("game", "block", "allow", 1)], "0.95 in the app shop is blocked as before"
    explained = run("policy", "explain", "e4", "--policy", "draft.yaml", "--json")
    (rule,) = json.loads(explained.out)["rules"]
    assert (rule["hit"], rule["hit_then"]) == (False, True)
    assert "injection >= 0.99" in {each["condition"] for each in rule["conditions"]}
    assert run("policy", "diff", "live.yaml", "draft.yaml").out == (
        '~ inj: threshold: injection >= 0.9 → injection >= 0.9, 0.99 for "game"\n'
    )


CONDITIONS = """version: "1"
name: wide
rules:
  - id: a
    when: ['app in [shop, "my ''bank''"]', injection > 0.5]
    action: block
  - id: b
    when: [tenant != acme, any: [toxicity >= 0.25, cost < 0.5]]
    action: flag
  - id: c
    when: ['metadata.team not in [red]', prompt_tokens >= 7]
    action: escalate
    on_failure: closed
  - id: d
    when: ['tenant == ""', injection != 0.5]
    unless: [toxicity < 0.5]
    action: redact
    on_failure: closed
"""


def test_the_replay_decides_as_the_guard_does(store: Store, tmp_path: Path) -> None:
    """Columns from the store and the events themselves come to the same, condition by condition."""
    random = Random(7)
    rows: list[ScoredEvent] = []
    for number in range(300):
        event = Event(
            event_id=f"e{number}", app=random.choice(["shop", "my 'bank'", "game"]), kind="prompt", text="x",
            tenant=random.choice(["", "acme", "other"]), cost=random.choice([None, 0.25, 0.5]),
            prompt_tokens=random.choice([None, 6, 7]),
            metadata=random.choice([{}, {"team": "red"}, {"team": "\\'"}]),
        )  # fmt: skip
        scores = {name: random.choice([None, 0.25, 0.5, 0.75]) for name in ("injection", "toxicity")}
        failed = random.choice([(), (), ("injection",)])
        decision = Decision(
            decision_id="", event_id=event.event_id, app=event.app, kind="prompt", verdict="allow",
            action="allow",
            failed=failed,
        )  # fmt: skip
        given = {name: score for name, score in scores.items() if score is not None}
        rows.append(ScoredEvent(event=event, scores=given, decision=decision, timestamp=NOW, storage="full"))
    store.insert(rows, "all")
    owned = {"injection": "injection", "toxicity": "toxicity"}
    policy = parse(CONDITIONS, owned).compile(tuple(owned))
    expected = {}
    for each in rows:
        matrix = np.array([[each.scores.get(name, np.nan) for name in owned]], np.float32)
        outcome = policy.evaluate(matrix, [each.event], each.decision.failed)
        expected[each.event.event_id] = (outcome.action[0], outcome.hits[0].tolist())
    replayed = {}
    for block in Reader(store, policy.asks, Detectors(owned, (), {})).blocks(Chosen()):
        outcome = policy.judge(block.rows)
        for row, event_id in enumerate(block.event_ids):
            replayed[event_id] = (outcome.action[row], outcome.hits[row].tolist())
    assert replayed == expected
    assert len({action for action, _ in expected.values()}) == 5


def test_only_what_is_asked_for_is_replayed(store: Store, detectors: str) -> None:
    fill(store, detectors)
    assert report("--app", "game")["actions_after"]["allow"] == 1
    assert report("--against", "draft.yaml")["changed"] == 0
    assert report("--any-detectors")["events"] == 9


def test_texts_are_shown_only_where_asked_for(store: Store, detectors: str) -> None:
    fill(store, detectors)
    plain, asked = run("backtest", "draft.yaml", *SINCE), run("backtest", "draft.yaml", *SINCE, "--text")
    assert SECRET not in plain.out
    assert SECRET in asked.out
    assert "1 event scored by other detectors (f00dfeed) left out" in plain.out
    assert "metadata.team was redacted or cut: 1" in plain.out


@pytest.mark.parametrize(
    ("limit", "code", "told"),
    [
        ("50%", 0, ""),
        ("1%", 3, "2 new blocks (25.00% of 8 events): the limit is 1%"),
        ("2", 0, ""),
        ("1", 3, "the limit is 1"),
        ("few", 2, "write a share of the events such as 1%"),
        ("-1%", 2, "write a share"),
    ],
)
def test_ci_is_told_by_the_exit_status(
    store: Store, detectors: str, limit: str, code: int, told: str
) -> None:
    fill(store, detectors)
    outcome = run("backtest", "draft.yaml", *SINCE, f"--max-new-blocks={limit}")
    assert outcome.code == code
    assert told in outcome.err


def test_no_events_prove_nothing(store: Store) -> None:
    assert run("backtest", "draft.yaml").code == 0
    outcome = run("backtest", "draft.yaml", "--max-new-blocks", "1%")
    assert (outcome.code, "nothing is known" in outcome.err) == (3, True)


def test_a_metric_that_nobody_scored_is_said(store: Store, tmp_path: Path) -> None:
    store.insert([scored(1, 0.95, "0ld")], "old")
    rule = "  - {id: harm, when: [harmful_request >= 0.5], action: block}\n"
    (tmp_path / "draft.yaml").write_text(LIVE + rule)
    found = report()
    assert found["not_scored"] == {"harmful_request": ["harm"]}
    assert run("backtest", "draft.yaml", *SINCE, "--max-new-blocks", "100%").code == 3


def test_a_policy_that_is_none_is_told_with_its_line(store: Store, tmp_path: Path) -> None:
    (tmp_path / "draft.yaml").write_text(HEAD + "  - {id: a, when: [injektion > 1], action: block}\n")
    for arguments in (("backtest",), ("policy", "check"), ("policy", "diff", "live.yaml")):
        outcome = run(*arguments, "draft.yaml")
        assert (outcome.code, "draft.yaml:4: there is no metric" in outcome.err) == (2, True)


def test_check_and_diff(store: Store, tmp_path: Path) -> None:
    assert "shop 1 (" in run("policy", "check", "draft.yaml").out
    (tmp_path / "b.yaml").write_text(LIVE.replace("0.9", "0.8").replace("name: shop", "name: bank") + "# x\n")
    outcome = run("policy", "diff", "live.yaml", "b.yaml", "--exit-code")
    assert (outcome.code, outcome.out.splitlines()) == (
        1,
        ["~ name: shop → bank", "~ inj: threshold: injection >= 0.9 → injection >= 0.8"],
    )
    lines = run("policy", "diff", "live.yaml", "draft.yaml").out
    assert "~ inj: threshold: injection >= 0.9 → injection >= 0.5" in lines
    assert '~ inj: unless: none → app == "game"' in lines
    assert '+ team: flag when metadata.team == "red"; injection >= 0.2 (medium)' in lines
    (tmp_path / "b.yaml").write_text(LIVE.replace("injection >= 0.9", " injection>=9e-1") + "# another way\n")
    assert run("policy", "diff", "live.yaml", "b.yaml", "--exit-code").out == "no difference in meaning\n"


def test_explain_tells_thresholds_and_scores_and_no_text(store: Store, detectors: str) -> None:
    fill(store, detectors)
    outcome = run("policy", "explain", "e1", "--json")
    (rule,) = json.loads(outcome.out)["rules"]
    assert (rule["hit"], rule["hit_then"]) == (True, True)
    assert [(c["condition"], c["value"], c["holds"]) for c in rule["conditions"]] == [
        ('kind == "prompt"', "prompt", True), ("injection >= 0.9", 0.95, True),
    ]  # fmt: skip
    shown = run("policy", "explain", "e8", "--all")
    assert "unknown" in shown.out, "its detector failed"
    assert "not known" in shown.out
    assert SECRET not in outcome.out + shown.out
    assert "the decision was made by other" in shown.err


def test_explain_says_that_reviews_demoted_a_rule_and_how_to_undo_it(store: Store, detectors: str) -> None:
    fill(store, detectors)
    (rule,) = parse(LIVE, {"injection": "injection"}).rules
    change = PolicyChange(
        change_id="c", what="demoted", timestamp=NOW, by="reviews", rule="inj", rule_hash=digest(rule),
        reason="2 of 12 were right",
    )  # fmt: skip
    store.insert([change], "demoted")
    shown = run("policy", "explain", "e1")
    assert "→ block, shadow since reviews demoted it" in shown.out
    assert (
        "inj is in shadow since 2026-09-21 14:13:20.000Z: 2 of 12 were right; `weir policy restore inj`"
        in " ".join(shown.err.split())
    )
    (told,) = json.loads(run("policy", "explain", "e1", "--json").out)["rules"]
    assert (told["mode"], told["demoted_at"], told["demoted_because"]) == (
        "shadow",
        NOW,
        "2 of 12 were right",
    )
    draft = run("policy", "explain", "e1", "--policy", "draft.yaml")
    assert "shadow" not in draft.out, "a draft stands as it is written"
    store.insert(
        [msgspec.structs.replace(change, change_id="r", what="restored", timestamp=NOW + 1)], "restored"
    )
    assert "shadow" not in run("policy", "explain", "e1").out


def test_a_backtest_says_what_becomes_of_a_rule_that_reviews_sent_to_shadow(
    store: Store, detectors: str, tmp_path: Path
) -> None:
    fill(store, detectors)
    assert report()["demoted"] == {}
    (rule,) = parse(LIVE, {"injection": "injection"}).rules
    change = PolicyChange(
        change_id="c", what="demoted", timestamp=NOW, by="reviews", rule="inj", rule_hash=digest(rule)
    )
    store.insert([change], "demoted")
    found = report()
    assert found["demoted"] == {"inj": "back"}
    assert (found["actions_before"]["block"], found["new_blocks"]) == (0, 3)
    page = tmp_path / "report.html"
    said = run("backtest", "draft.yaml", *SINCE, "--html", str(page))
    assert "so with the draft it acts again" in " ".join(said.out.split())
    assert "so with the draft it acts again" in page.read_text()
    assert report("--against", "live.yaml")["demoted"] == {"inj": "back"}
    (tmp_path / "draft.yaml").write_text(LIVE.replace("action: block", "action: flag"))
    assert report()["demoted"] == {"inj": "stays"}, "another action changes nothing"
    assert "`weir policy restore inj`" in run("backtest", "draft.yaml", *SINCE).out
    assert report("--against", "live.yaml")["demoted"] == {"inj": "as_written"}
    (tmp_path / "draft.yaml").write_text(DRAFT.replace("action: block", "action: block, mode: shadow"))
    assert report()["demoted"] == {}, "a draft that does not enforce it changes nothing of that"


def test_what_was_used_by_then_is_not_known(store: Store, detectors: str, tmp_path: Path) -> None:
    fill(store, detectors)
    rule = "  - {id: abuse, when: [user_injections_1h >= 3, injection >= 0.7], action: block}\n"
    (tmp_path / "draft.yaml").write_text(LIVE + rule)
    found = report()
    assert (found["unknown"], found["unknown_because"]) == (1, {"user_injections_1h": 1})
    assert "user_injections_1h is not kept with the events" in run("backtest", "draft.yaml", *SINCE).out
    shown = run("policy", "explain", "e3", "--policy", "draft.yaml", "--json", "--all")
    conditions = [c for r in json.loads(shown.out)["rules"] if r["rule"] == "abuse" for c in r["conditions"]]
    assert [(c["value"], c["holds"]) for c in conditions] == [(None, None), (0.7, True)]


def test_what_was_used_by_then_is_known_from_the_decision_of_the_same_rule(
    store: Store, detectors: str, tmp_path: Path
) -> None:
    rule = "  - {id: abuse, when: [user_injections_1h >= 3], action: block}\n"
    live, draft = LIVE + rule, LIVE.replace("0.9", "0.5") + rule
    (tmp_path / "live.yaml").write_text(live)
    (tmp_path / "draft.yaml").write_text(draft)
    hit = RuleHit(
        rule="abuse", action="block", severity="medium", mode="enforce", metric="user_injections_1h"
    )
    rows = [
        scored(1, 0.6, detectors, action="block", rules=(hit,)), scored(2, 0.6, detectors),
        scored(3, 0.1, detectors),
    ]  # fmt: skip
    by = parse(live, {"injection": "injection"}).hash
    decided = [msgspec.structs.replace(each.decision, policy_hash=by) for each in rows[:2]]
    known = [msgspec.structs.replace(row, decision=made) for row, made in zip(rows, decided, strict=False)]
    store.insert([*known, rows[2]], "usage")
    found = report()
    assert (found["events"], found["replayed"], found["unknown"], found["alike"]) == (3, 2, 0, 1)
    assert (found["changed"], found["new_blocks"]) == (1, 1), "who was blocked for usage still is"
    assert found["decided_otherwise"] == 0


@pytest.mark.parametrize("command", [("policy", "explain"), ("feedback",)])
def test_an_event_that_is_not_there_is_refused(
    store: Store, detectors: str, command: tuple[str, ...]
) -> None:
    fill(store, detectors)
    store.insert([scored(1, 0.1, detectors, app="bank")], "more")
    judgement = ("correct",) if command == ("feedback",) else ()
    for event, told in (
        ("nope", "no event 'nope'"),
        ("e1", "add --app, one of bank, shop"),
        ("", "no event ''"),
    ):
        outcome = run(*command, event, *judgement)
        assert (outcome.code, told in outcome.err) == (2, True), outcome.err


def test_feedback_is_published_and_cleaned(
    store: Store, detectors: str, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, detectors)
    monkeypatch.setenv("WEIR_KAFKA", broker)
    assert run("topics").code == 0
    said = ("feedback", "e1", "false_positive", "--rule", "inj", "--reviewer", uuid.uuid4().hex)
    for comment in ("ask jane@example.com", "said again"):
        outcome = run(*said, "--comment", comment)
        assert outcome.code == 0, outcome.err
    lines = run("tail", "feedback", "--no-follow", "--json").out.splitlines()
    first, second = [each for each in map(json.loads, lines) if each["reviewer"] == said[-1]]
    assert first["feedback_id"] == second["feedback_id"]
    assert (first["app"], first["metric"], first["judgement"]) == ("shop", "inj", "false_positive")
    assert "jane" not in first["comment"]
    assert first["comment"].startswith("ask [EMAIL_")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("e1", "rigth"), "'right', 'wrong', 'correct', 'false_positive', 'false_negative', 'unsure'"),
        (("e1", "correct", "--rule", "imj"), "no rule 'imj' (did you mean 'inj'?); in this decision: inj"),
        (("e1", "correct", "--comment", "x" * 4097), "at most 4,096"),
        (("e1", "correct", "--reviewer", "x" * 257), "at most 256"),
    ],
)
def test_feedback_is_refused_with_what_is_allowed(
    store: Store, detectors: str, arguments: tuple[str, ...], told: str
) -> None:
    fill(store, detectors)
    outcome = run("feedback", *arguments)
    assert outcome.code == 2
    assert told in outcome.err
