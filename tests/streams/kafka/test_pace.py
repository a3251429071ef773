"""How long messages wait with the broker."""

import pytest

from streams.kafka.pace import Pace


def test_what_waits_takes_as_long_as_what_was_handled_lately() -> None:
    pace = Pace()
    assert pace.behind_s(1_000) == 0.0, "nothing is known yet"
    pace.took(200, 1.0)
    pace.took(200, 3.0)
    assert pace.behind_s(200) == pytest.approx(2.0, rel=0.05)
    assert pace.behind_s(50) == pytest.approx(0.5, rel=0.05), "a batch may take longer than between calls"
    pace.took(1_000, 0.5)
    assert pace.behind_s(50) == pytest.approx(0.025, rel=0.05)


def test_few_messages_that_come_slowly_are_not_behind() -> None:
    pace = Pace()
    pace.took(1, 0.003)
    assert pace.behind_s(1) < 0.01


@pytest.mark.parametrize("alone_s", [0.003, 0.03, 0.075])
def test_messages_that_came_one_by_one_do_not_make_many_at_once_late(alone_s: float) -> None:
    pace = Pace()
    for _ in range(10):
        pace.took(1, alone_s)
    assert pace.behind_s(200) < 0.25, "what a batch takes by itself is not taken by each of its messages"


def test_few_texts_that_are_slow_to_judge_are_behind_when_many_wait() -> None:
    pace = Pace()
    pace.took(10, 2.4)
    assert pace.behind_s(390) > 2.0
