"""Ids seen lately: what counts as repeated depends on the records alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.monitors.recent import BLOCK, SLOTS, SPAN, RecentIds


def test_an_id_within_the_span_is_a_repetition_and_one_beyond_it_is_not() -> None:
    recent = RecentIds()
    assert not recent.repeats(7, 0, 1)
    assert recent.repeats(7, SPAN, 1)
    assert not recent.repeats(7, SPAN + 1, 1)
    assert recent.repeats(7, SPAN + 2, 1)


def test_a_record_that_is_read_again_is_no_repetition_of_itself() -> None:
    recent = RecentIds()
    first = [recent.repeats(offset % 30, offset, 1) for offset in range(50)]
    assert [recent.repeats(offset % 30, offset, 1) for offset in range(50)] == first
    assert first == [False] * 30 + [True] * 20


def test_memory_and_snapshot_are_bounded() -> None:
    recent = RecentIds()
    for offset in range(3 * SPAN):
        recent.repeats(offset, offset, 1)
    assert len(recent) == SPAN + 1
    blocks = recent.changed()
    assert len({slot for slot, _ in blocks}) == len(blocks) == SLOTS
    assert max(len(content) for _, content in blocks) == 16 * BLOCK
    recent.written()
    recent.repeats(0, 3 * SPAN, 1)
    assert len(recent.changed()) == 1, "only what changed is written"


@settings(max_examples=30)
@given(cut=st.integers(0, 5 * BLOCK), back=st.integers(0, 2 * BLOCK), ids=st.integers(100, 4 * BLOCK))
def test_restored_blocks_answer_as_before(cut: int, back: int, ids: int) -> None:
    whole, first, second = RecentIds(), RecentIds(), RecentIds()
    answers = [whole.repeats(offset % ids, offset, offset) for offset in range(6 * BLOCK)]
    topic: dict[int, bytes] = {}
    for start in (0, cut // 2):
        for offset in range(start, cut):
            first.repeats(offset % ids, offset, offset)
        topic |= dict(first.changed())
        first.written()
    second.restore(topic.values(), first.offset, first.timestamp)
    begin = max(0, cut - back)
    assert [second.repeats(o % ids, o, o) for o in range(begin, 6 * BLOCK)] == answers[begin:]


def test_a_topic_made_anew_is_another_story() -> None:
    recent = RecentIds()
    for offset in range(100):
        recent.repeats(offset, offset, 1_000)
    assert not recent.repeats(7, 0, 2_000)
    assert recent.offset == 0


def test_a_block_that_is_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        RecentIds().restore([b"123"], 5, 5)
