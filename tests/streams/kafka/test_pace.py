"""How long messages wait with the broker."""

import pytest

from streams.kafka.pace import Pace


def test_what_waits_takes_as_long_as_what_was_handled_lately() -> None:
    pace = Pace()
    assert pace.behind_s(1_000) == 0.0, "nothing is known yet"
    pace.took(10, 0.05)
    pace.took(10, 0.15)
    assert pace.behind_s(200) == pytest.approx(2.0)
    assert pace.behind_s(50) == pytest.approx(0.5), "a batch may take longer than from one call to the next"
    pace.took(1_000, 0.5)
    assert pace.behind_s(50) == pytest.approx(0.025)


def test_few_messages_that_come_slowly_are_not_behind() -> None:
    pace = Pace()
    pace.took(1, 0.003)
    assert pace.behind_s(1) < 0.01
