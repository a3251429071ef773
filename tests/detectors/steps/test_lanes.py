"""Work is handed to a thread, whoever closes that thread in the same moment."""

import time
from queue import SimpleQueue
from threading import Thread
from typing import Any

import pytest

from detectors.steps import lanes
from detectors.steps.lanes import Lane, Step


def test_a_call_that_is_handed_over_while_the_lane_is_closed_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Lane("test")

    class Inbox(SimpleQueue[Any]):
        """In the moment that a call is put, another thread closes the lane."""

        def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
            if item is not None:
                closing = Thread(target=lane.close)
                closing.start()
                closing.join(0.1)
            super().put(item)

    monkeypatch.setattr(lanes, "SimpleQueue", Inbox)
    results = lane.run([Step("one", len)], lambda _: "abc", budget_s=5, deadline=time.monotonic() + 5)
    assert results["one"].value == 3
