"""What is known of the age of what waits."""

import time

from streams.kafka.polls import Poll, oldest
from tests.streams.records import FakeRecord


def test_what_no_clock_has_given_is_not_the_oldest() -> None:
    now = round(1000 * time.time())
    assert oldest([now, now - 5, 0, -1, 1, now // 1000]) == now - 5
    assert oldest([0, now // 1000]) == oldest([]) == 0
    records = [FakeRecord(b"", timestamp=each) for each in (now // 1000, now)]
    assert Poll("live", {}, {}, 0, 0).oldest == 0
    assert Poll("live", {("t", 0): records}, {}, 0, 0).oldest == now
