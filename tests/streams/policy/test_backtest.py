"""What a backtest counts, over columns, against events that are judged one by one."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from schemas.events import VERDICTS
from streams.policy.backtest import Backtest, Block
from streams.policy.backtest_report import Report
from streams.policy.columns import Recorded, Rows, texts
from streams.policy.file import parse
from streams.policy.reviews import Confusion, Labels, Opinion, labels, share
from streams.policy.rules import CompiledPolicy

METRICS = {"toxicity": "toxicity", "injection": "injection"}


def policy(*rules: str) -> CompiledPolicy:
    text = "version: '1'\nname: test\nrules:\n" + "".join(f"  - {{{rule}}}\n" for rule in rules)
    return parse(text, METRICS).compile(tuple(METRICS))


def block(injection: list[float], apps: list[str], decided: str = "allow", **more: Any) -> Block:
    count = len(injection)
    rows = Rows(
        count=count,
        scores={
            "injection": np.array(injection, np.float32),
            "toxicity": np.full(count, math.nan, np.float32),
        },
        fields={"app": texts(apps), "metadata.team": texts(["\0"] * count)},
        **more,
    )
    return Block(
        rows=rows,
        apps=texts(apps),
        event_ids=[f"e{number}" for number in range(count)],
        times=np.arange(count, dtype=np.int64) * 3_600_000,
        decided=np.full(count, VERDICTS.index(decided), np.int8),
        by_baseline=np.ones(count, bool),
        degraded=np.zeros(count, bool),
    )


OLD = policy("id: inj, when: [injection >= 0.9], action: block")
NEW = policy(
    "id: inj, when: [injection >= 0.5], unless: [app == game], action: block",
    "id: trial, when: [injection >= 0.3], action: flag, mode: shadow, alert: true",
)


def tried(*blocks: Block, old: CompiledPolicy = OLD, new: CompiledPolicy = NEW) -> Report:
    test = Backtest(new, old, samples=2)
    for each in blocks:
        test.add(each)
    return test.report()


def test_changes_are_counted_by_rule_and_app_over_all_blocks() -> None:
    first = block([0.95, 0.6, 0.1, 0.95], ["shop", "shop", "shop", "game"])
    second = block([0.6, 0.4], ["bank", "bank"])
    report = tried(first, second)
    assert [(c.app, c.before, c.after, c.events) for c in report.changes] == [
        ("bank", "allow", "block", 1), ("game", "block", "allow", 1), ("shop", "allow", "block", 1),
    ]  # fmt: skip
    assert {(c.rule, c.app, c.before, c.after, c.events) for c in report.causes} == {
        ("inj", c.app, c.before, c.after, 1) for c in report.changes
    }
    rule, trial = report.rules
    assert (rule.before, rule.after, rule.gained, rule.lost) == (2, 3, 2, 1)
    assert (trial.mode_before, trial.mode_after, trial.after) == ("off", "shadow", 5)
    assert [(c.rule, c.app, c.before, c.after, c.events) for c in report.shadow] == [
        ("trial", "bank", "allow", "flag", 1), ("trial", "game", "allow", "flag", 1),
    ]  # fmt: skip
    assert (report.new_blocks, report.events, report.changed) == (2, 6, 3)
    assert report.actions_before["block"] == 2
    assert (report.alerts_before, report.alerts_after) == (2, 8)
    assert report.alerts_per_day() == (16.0, 64.0), "in three hours"


def part(whole: Block, rows: slice) -> Block:
    """Return some rows of a block of one app."""
    taken = block(whole.rows.scores["injection"][rows].tolist(), ["shop"] * (rows.stop - rows.start))
    return replace(taken, event_ids=whole.event_ids[rows], times=whole.times[rows])


def test_samples_do_not_depend_on_the_blocks() -> None:
    scores, apps = [0.6] * 40, ["shop"] * 40
    whole = block(scores, apps)
    report = tried(whole)
    assert len(report.samples) == 2
    assert report.samples[0].scores == {"injection": pytest.approx(0.6)}
    assert (report.samples[0].rules_before, report.samples[0].rules_after) == ([], ["inj", "trial"])
    halves = tried(*(part(whole, rows) for rows in (slice(0, 20), slice(20, 40))))
    assert halves.samples == report.samples


def test_what_is_not_known_is_left_out_and_counted() -> None:
    new = policy("id: inj, when: [injection >= 0.5], unless: [metadata.team == red], action: block")
    unknown = np.array([True, True, False])
    report = tried(block([0.6, 0.1, 0.6], ["shop"] * 3, unknown={"metadata.team": unknown}), old=OLD, new=new)
    assert (report.events, report.replayed, report.unknown) == (3, 2, 1), "at 0.1 it does not matter"
    assert report.unknown_because == {"metadata.team": 1}
    assert (report.new_blocks, report.may_be_new_blocks) == (1, 1)
    assert report.rules[0].unknown == 1


def test_what_is_not_known_changes_nothing_where_both_have_the_rule_that_asks_for_it() -> None:
    shared = "id: team, when: [metadata.team == red], action: block"
    old = policy(shared, "id: inj, when: [injection >= 0.9], action: flag")
    new = policy(shared, "id: inj, when: [injection >= 0.5], action: flag")
    unknown = np.array([True, True, True, False])
    some = block([0.1, 0.6, 0.95, 0.6], ["shop"] * 4, unknown={"metadata.team": unknown})
    report = tried(some, old=old, new=new)
    assert (report.events, report.replayed, report.alike, report.unknown) == (4, 1, 2, 1), "at 0.6 it does"
    assert (report.may_be_new_blocks, report.new_blocks, report.changed) == (0, 0, 1)
    assert report.unknown_because == {"metadata.team": 1}
    for other in ("action: flag", "action: block, mode: shadow", "action: block, unless: [app == game]"):
        edited = policy(
            shared.replace("action: block", other), "id: inj, when: [injection >= 0.9], action: flag"
        )
        assert tried(some, old=old, new=edited).alike == 0, "then it is another rule"


def test_what_a_rule_made_of_an_event_is_known_from_its_decision() -> None:
    shared = "id: team, when: [metadata.team == red], action: block"
    old = policy(shared, "id: inj, when: [injection >= 0.9], action: flag")
    new = policy(shared, "id: inj, when: [injection >= 0.5], action: flag")
    known, hits, none = np.array([True, True, False]), np.array([True, False, False]), np.zeros(3, bool)
    some = block(
        [0.6, 0.6, 0.6], ["shop"] * 3, unknown={"metadata.team": np.ones(3, bool)},
        recorded={"team": Recorded(known, hits, none)},
    )  # fmt: skip
    report = tried(some, old=old, new=new)
    assert (report.replayed, report.alike, report.unknown) == (2, 0, 1), "of one nobody says"
    assert [(change.before, change.after, change.events) for change in report.changes] == [
        ("allow", "flag", 1)
    ]


def test_a_number_that_may_not_have_been_given_matters_only_where_it_is_compared() -> None:
    new = policy("id: long, when: [prompt_tokens > 100], action: block")
    some = block([0.1, 0.1], ["shop"] * 2, unsaid={"prompt_tokens": np.array([True, True])})
    some.rows.fields["prompt_tokens"] = np.array([500.0, 5.0])  # type: ignore[index]
    report = tried(some, new=new)
    assert (report.replayed, report.unknown, report.may_be_new_blocks) == (1, 1, 1)


def test_failed_detectors_of_single_rows_are_judged_by_on_failure() -> None:
    new = policy("id: inj, when: [injection >= 0.5], action: redact, on_failure: closed")
    rows = block([0.1, 0.1], ["shop"] * 2, failed={"injection": np.array([True, False])})
    report = tried(rows, new=new)
    assert (report.failed, report.actions_after["block"], report.actions_after["allow"]) == (1, 1, 1)


def test_the_replay_is_held_against_what_was_decided() -> None:
    report = tried(block([0.95, 0.1], ["shop"] * 2))
    assert (report.decided_by_baseline, report.decided_alike, report.decided_otherwise) == (2, 1, 1)


def test_precision_and_recall_of_both_on_reviewed_events() -> None:
    test = Backtest(NEW, OLD)
    said = [Labels(True), Labels(False), Labels(True), Labels(), Labels(None, {"inj": False})]
    test.review(block([0.95, 0.6, 0.6, 0.95, 0.6], ["shop"] * 5), said)
    report = test.report()
    assert report.reviewed == 4, "what was said of a rule alone is a review, too"
    assert report.precision_before is not None
    assert report.precision_after is not None
    assert (report.precision_before.right, report.precision_before.of) == (1, 1)
    assert (report.precision_after.right, report.precision_after.of) == (2, 3)
    assert report.recall_before is not None
    assert report.recall_before.share == 0.5
    of_rule = report.rules[0].precision_after
    assert of_rule is not None
    assert (of_rule.right, of_rule.of) == (2, 4), "what was said of the rule counts"


@pytest.mark.parametrize(
    ("said", "acted", "expected"),
    [
        ([("ann", "", "correct")], True, True),
        ([("ann", "", "correct")], False, False),
        ([("ann", "", "false_positive")], True, False),
        ([("ann", "", "false_negative")], False, True),
        ([("ann", "", "unsure")], True, None),
        ([("ann", "", "correct"), ("ann", "", "false_positive")], True, False),
        ([("ann", "", "correct"), ("bob", "", "false_positive")], True, None),
        ([("ann", "", "correct"), ("bob", "", "correct"), ("eve", "", "false_positive")], True, True),
    ],
)
def test_reviewers_make_a_label(said: list[tuple[str, str, str]], acted: bool, expected: bool | None) -> None:
    assert labels([Opinion(*each) for each in said], acted, {}).overall is expected


def test_a_word_on_a_rule_is_of_that_rule() -> None:
    found = labels(
        [Opinion("ann", "inj", "correct"), Opinion("ann", "other", "correct")], True, {"inj": True}
    )
    assert (found.overall, found.by_name) == (None, {"inj": True, "other": False})
    assert (found.of(("inj", "injection")), found.of(("third",))) == (True, None)


def test_an_interval_is_wilsons() -> None:
    assert share(0, 0) is None
    found = share(8, 10)
    assert found is not None
    assert found.share == 0.8
    assert found.low == pytest.approx(0.4902, abs=1e-4)
    assert found.high == pytest.approx(0.9433, abs=1e-4)
    assert Confusion(found=0, mistaken=0, missed=3).precision is None
