"""Dead letters say what and where without repeating more than allowed; too many stop the worker."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.events import DeadLetter
from streams.dead_letters import WINDOW, DeadLetterLimit, TooManyDeadLetters, dead_letter
from tests.streams.records import FakeRecord


def test_a_dead_letter_points_to_its_record() -> None:
    record = FakeRecord(b"x" * 100, offset=7, partition=3)
    key, value = dead_letter(record, "empty", "why", 10)
    letter = codec.decode(DeadLetter, value)
    assert (letter.topic, letter.partition, letter.offset) == (record.topic, 3, 7)
    assert (letter.payload, letter.size) == (b"x" * 10, 100)
    assert letter.payload_sha256 == hashlib.sha256(b"x" * 100).hexdigest()
    assert key.decode() == letter.dead_letter_id
    assert dead_letter(record, "empty", "why", 10) == (key, value), "the same at a replay"


def test_a_record_without_value_is_a_letter_too() -> None:
    letter = codec.decode(DeadLetter, dead_letter(FakeRecord(None), "null_value", "", 10)[1])
    assert (letter.size, letter.payload) == (0, b"")


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 20))
def test_the_longest_run_decides(accepted: list[bool], max_run: int) -> None:
    runs = "".join("." if good else "x" for good in accepted).split(".")
    limit = DeadLetterLimit(max_run, 1.0)
    if max(map(len, runs)) > max_run:
        with pytest.raises(TooManyDeadLetters, match="WEIR_DLQ_MAX_RUN"):
            limit.check(accepted)
    else:
        limit.check(accepted)


def test_a_run_goes_on_over_batches() -> None:
    limit = DeadLetterLimit(3, 1.0)
    limit.check([False, False])
    with pytest.raises(TooManyDeadLetters):
        limit.check([False, False])


def test_the_share_counts_over_a_full_window_only() -> None:
    limit = DeadLetterLimit(WINDOW, 0.5)
    limit.check([True, False, False] * (WINDOW // 3 - 1))
    with pytest.raises(TooManyDeadLetters, match="WEIR_DLQ_MAX_RATIO"):
        limit.check([True, False, False] * 3)


def test_what_was_bad_is_forgotten_after_a_window_of_good() -> None:
    limit = DeadLetterLimit(WINDOW, 0.5)
    limit.check([False, True] * (WINDOW // 2))
    limit.check([True] * WINDOW)
    limit.check([False, True] * (WINDOW // 2))
    assert limit._bad == WINDOW // 2
