"""Which drifts are one alert, and when it is over."""

import random

import pytest

from streams.alerts.signals import levels
from tests.streams.alerts.cycles import T0, Run, S, drift, nine_drifts


def test_metrics_and_segments_that_moved_together_are_one_alert_with_its_parts() -> None:
    names = set()
    for seed in range(10):
        signals = nine_drifts()
        random.Random(seed).shuffle(signals)
        run = Run()
        run.at(121, *signals)
        assert run.at(131) == ["opened"]
        names.add((run.said[0].alert_id, run.said[0].alerts, len(run.said[0].parts), run.said[0].app))
    assert len(names) == 1
    assert names.pop()[1:] == (9, 9, "")


def test_a_drift_is_over_when_half_of_its_parts_are_back() -> None:
    run = Run()
    run.at(121, *nine_drifts())
    run.at(131)
    back = [drift(f"back-{n}", 500, 520 + n, 1_300, 710, model=model) for n, model in enumerate("abcd")]
    ttft = [drift(f"back-t{m}", 500, 530, 390, 201, metric="ttft_ms", model=m) for m in "ab"]
    assert run.at(525, *back) == []
    assert run.at(531, *ttft) == []
    assert run.at(541) == ["resolved"]
    assert (run.said[-1].reason, run.said[-1].resolved_at) == ("returned", T0 + 530 * S)
    late = [drift("back-tc", 501, 540, 390, 199, metric="ttft_ms", model="c")]
    assert run.at(541, *late) == [], "the rest of the return opens nothing"
    tokens = [drift("tokens", 502, 545, 100, 60, metric="completion_tokens", model="a")]
    assert run.at(546, *tokens) == ["grew"], "nor does what moves only with the return"
    assert run.at(600) == []
    assert len({each.alert_id for each in run.said}) == 1


def test_what_moves_with_a_return_and_is_found_first_opens_nothing() -> None:
    run = Run()
    run.at(111, drift("l", 100, 110, 700, 1_300))
    run.at(121)
    assert run.at(515, drift("tokens", 500, 512, 100, 60, metric="completion_tokens")) == []
    assert run.at(520, drift("back", 499, 520, 1_300, 700)) == ["grew"]
    assert run.at(600) == ["resolved"]


def test_a_drift_that_moves_on_or_comes_again_is_the_same_alert() -> None:
    run = Run()
    run.at(111, drift("l1", 100, 110, 700, 1_300))
    run.at(121)
    assert run.at(300, drift("l2", 290, 300, 1_300, 2_600)) == []
    assert run.at(500, drift("l3", 490, 500, 2_600, 720)) == []
    assert run.at(510) == ["resolved"]
    assert run.at(700, drift("l4", 690, 700, 720, 1_400)) == ["reopened"]
    assert len({each.alert_id for each in run.said}) == 1


def test_a_score_that_is_nearly_as_low_as_before_has_returned() -> None:
    run = Run()
    run.at(111, drift("up", 100, 110, 0.001, 0.7, metric="toxicity"))
    run.at(121)
    # Thirty times the level before, but no toxicity to speak of.
    run.at(500, drift("back", 490, 500, 0.72, 0.03, metric="toxicity"))
    assert run.at(510) == ["resolved"]


def test_a_drift_that_stays_is_taken_for_normal() -> None:
    run = Run()
    run.at(111, drift("l1", 100, 110, 700, 1_300))
    run.at(121)
    assert run.at(86_511) == ["resolved"]
    assert run.said[-1].reason == "accepted"


def test_a_record_can_say_itself_what_it_ends() -> None:
    run = Run()
    run.at(111, drift("topic", 100, 110, 0.1, 0.5, metric="topic"))
    run.at(121)
    run.at(500, drift("back", 490, 500, 0.1, 0.5, metric="topic", returns="topic"))
    assert run.at(510) == ["resolved"]


def test_a_segment_that_is_found_late_joins_the_metric_that_is_away() -> None:
    run = Run()
    run.at(111, drift("l1", 100, 110, 700, 1_300))
    run.at(121)
    assert run.at(1_000, drift("l2", 900, 1_000, 700, 1_300, model="rare")) == ["grew"]
    assert run.at(1_100, drift("other", 1_010, 1_090, 50, 90, metric="completion_tokens")) == []
    assert run.at(1_110) == ["opened"]


def test_the_end_of_what_nobody_knows_opens_nothing() -> None:
    run = Run()
    run.at(500, drift("back", 490, 500, 0.5, 0.1, metric="topic", returns="long ago"))
    assert run.at(600) == []


def test_what_moves_when_others_return_has_returned() -> None:
    run = Run()
    first = [drift("l", 100, 110, 700, 1_300), drift("t", 100, 112, 0.1, 0.5, metric="topic")]
    run.at(113, *first, drift("u", 100, 112, 0.1, 0.5, metric="topic", model="n"))
    run.at(123)
    run.at(515, drift("back-l", 500, 510, 1_300, 700))
    assert run.at(521, drift("back-t", 503, 520, 0.1, 0.5, metric="topic")) == []
    assert run.at(531) == ["resolved"]


def test_a_part_that_is_found_after_the_end_is_no_alert_of_its_own() -> None:
    run = Run()
    run.at(111, drift("l", 100, 110, 700, 1_300))
    run.at(121)
    run.at(515, drift("back", 500, 510, 1_300, 700))
    assert run.at(525) == ["resolved"]
    late = drift("late", 101, 120, 700, 1_300, model="n"), drift("late-back", 501, 530, 1_300, 700, model="n")
    assert run.at(540, *late) == ["grew"]
    assert (run.said[-1].state, len(run.said[-1].parts)) == ("resolved", 2)
    assert run.at(600) == []


def test_two_causes_are_two_alerts() -> None:
    run = Run()
    run.at(
        111,
        drift("l", 100, 110, 700, 1_300),
        drift("x", 100, 110, 0.1, 0.4, metric="toxicity", app="b", model=""),
    )
    assert run.at(121) == ["opened", "opened"]
    run.at(901, drift("later", 890, 900, 100, 300, metric="completion_tokens"))
    assert run.at(911) == ["opened"]


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (0.5, 0.9, ("0.5", "0.9")), (0.23041, 0.23049, ("0.2304", "0.2305")), (0.5, 0.5, ("0.5", "0.5")),
        (300.2, 300.4, ("300.2", "300.4")), (1_200.0, 1_900.0, ("1,200", "1,900")),
    ],
)  # fmt: skip
def test_levels_have_the_digits_that_tell_them_apart(
    before: float, after: float, shown: tuple[str, str]
) -> None:
    assert levels(before, after) == shown
