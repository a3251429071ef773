"""The lag of a worker: unknown is not nothing."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.kafka.faust_thread import PollThread
from streams.kafka.faust_transport import PollConsumer


def state(position: int | None, end: int | None, stable: int | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        position=position, has_valid_position=position is not None, highwater=end, lso=stable
    )


def consumer(states: dict[int, Any] | None, finished: dict[int, int]) -> PollConsumer:
    """Return a consumer of the topic t that knows these partitions and has finished these offsets."""
    thread: Any = PollThread.__new__(PollThread)
    assignment = None
    if states is not None:
        known = {TP("t", number): each for number, each in states.items()}
        assignment = SimpleNamespace(tps=set(known), state_value=known.get)
    subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
    thread._ensure_consumer = lambda: SimpleNamespace(_subscription=subscription)
    made: Any = PollConsumer.__new__(PollConsumer)
    made._thread = thread
    made._finished = {TP("t", number): offset for number, offset in finished.items()}
    return made  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("states", "finished", "lag"),
    [
        (None, {}, None),
        ({}, {}, 0),
        ({0: state(5, 9)}, {}, 4),
        ({0: state(9, 9)}, {0: 7}, 2),
        ({0: state(5, 9, 9)}, {}, 4),
        ({0: state(5, 9, 5)}, {}, 0),  # an open transaction: nothing of it may be read
        ({0: state(5, 9, -1)}, {}, 4),
        ({0: state(9, 9), 1: state(3, 3)}, {0: 9}, 0),
        ({0: state(9, 9), 1: state(3, None)}, {0: 9}, None),
        ({0: state(9, 9), 1: state(None, 3)}, {0: 9}, None),
        ({0: state(9, 9), 1: None}, {0: 9}, None),
    ],
)
def test_lag_is_known_when_every_partition_is(
    states: dict[int, Any] | None, finished: dict[int, int], lag: int | None
) -> None:
    assert consumer(states, finished).lag() == (None if lag is None else {"live": lag, "bulk": 0})
