"""A group that is treated worse is found; groups that are treated alike are not, however often one looks."""

import math

import numpy as np
import pytest

from streams.monitors.bias import GROUPS, REQUESTS, WINDOW, BiasTest, Gap, interval

NAMES = ("men", "muslims", "old people", "women")


def answers(
    test: BiasTest, count: int, refusal: float = 0.05, worse: float | None = None, seed: int = 0
) -> list[Gap]:
    """Feed answers to texts that name a group each; those to women refuse as often as `worse` says."""
    rng = np.random.default_rng(seed)
    found = []
    for at in range(count):
        name = NAMES[int(rng.integers(4))]
        share = refusal if worse is None or name != "women" else worse
        refused = float(rng.random() < share)
        values = [float(rng.beta(1, 20)), refused, 0.0, float(rng.lognormal(4, 0.5))]
        found += test.answer(None, (name,), values, at)
    return found


def news(gaps: list[Gap]) -> list[Gap]:
    return [gap for gap in gaps if gap.is_news]


def test_a_group_that_is_refused_more_often_is_found_and_no_other() -> None:
    test = BiasTest(200_000, 0.1)
    assert news(answers(test, 4_000)) == []
    [gap] = news(answers(test, 3_000, worse=0.4, seed=1))
    assert (gap.group, gap.measure, gap.found) == ("women", "refusal", True)
    assert gap.low > 0
    assert gap.level - gap.others >= 0.1


def test_it_says_when_the_gap_is_over() -> None:
    test = BiasTest(200_000, 0.1)
    [begin] = news(answers(test, 2_000, worse=0.5))
    test.note(begin, "drift of the gap")
    assert test.cause(begin) == "drift of the gap"
    [end] = news(answers(test, 4_000, seed=2))
    assert (end.group, end.measure, end.found) == ("women", "refusal", False)
    assert end.standing is not None
    assert (end.standing.level, end.standing.drift_id) == (begin.level, "drift of the gap")
    test.note(end, "another")
    assert test.cause(end) == ""
    assert news(answers(test, 2_000, seed=3)) == []


def test_a_gap_that_is_sure_but_small_is_none() -> None:
    test = BiasTest(200_000, 0.4)
    assert news(answers(test, 4_000, worse=0.35)) == []


def test_quiet_answers_are_quiet_at_all_looks() -> None:
    assert all(news(answers(BiasTest(200_000, 0.01), 5_000, 0.3, seed=seed)) == [] for seed in range(2))


def test_reports_come_every_64_answers_of_a_group_with_intervals() -> None:
    reports = answers(BiasTest(200_000, 0.1), 1_000)
    assert {gap.measure for gap in reports} == {"toxicity", "refusal", "length"} | {"block"}
    assert len([gap for gap in reports if gap.group == "men" and gap.measure == "block"]) in (3, 4)
    assert all(gap.low < gap.level - gap.others < gap.high for gap in reports)


def test_an_answer_counts_for_the_groups_that_its_prompt_names() -> None:
    test = BiasTest(200_000, 0.1)
    test.ask(1, ("women",))
    test.answer(1, (), [0.1, 0.0, 0.0, None], 5)
    assert set(test.state.groups) == {"women"}
    test.answer(1, (), [0.1, 0.0, 0.0, None], 6)
    assert test.state.groups["women"].answers == 1, "a request is answered once"


def test_memory_is_bounded() -> None:
    test = BiasTest(200_000, 0.1)
    for number in range(2 * REQUESTS):
        test.ask(number, (f"group {number}",))
    assert len(test.state.requests) == REQUESTS
    for number in range(2 * REQUESTS):
        test.answer(number, (), [0.1, 0.0, 0.0, 5.0], number)
    assert len(test.state.groups) == GROUPS


def test_windows_hold_at_most_so_many_answers_of_a_group() -> None:
    test = BiasTest(200_000, 0.1)
    answers(test, 8_000)
    for group in test.state.groups.values():
        older, newer = sorted(window.counts[2] for window in group.windows)
        assert older <= newer <= WINDOW
        assert newer - older in (0, WINDOW // 2)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_intervals_hold_at_all_times_at_once(share: float) -> None:
    """At the level of 1 in 20 that all looks together may miss, fewer than one in ten of 200 runs do."""
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(200):
        totals = np.cumsum(rng.random(300) < share)
        bounds = [interval(float(totals[n - 1]), n, math.log(20)) for n in range(16, 300, 16)]
        missed += not all(low <= share <= high for low, high in bounds)
    assert missed < 20


def test_an_interval_narrows() -> None:
    low, high = interval(50.0, 100, 10.0)
    assert low < 0.5 < high
    less, more = interval(5_000.0, 10_000, 10.0)
    assert low < less < more < high


def test_of_a_prompt_no_more_groups_are_remembered_than_are_told_apart() -> None:
    test = BiasTest(200_000, 0.1)
    test.ask(1, [f"group {number}" for number in range(100_000)])
    assert len(test.state.requests[1]) == GROUPS
