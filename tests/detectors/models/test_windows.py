import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.models.tokenizer import Tokens
from detectors.models.windows import BLOCK, highest, windows

lengths = st.lists(st.integers(0, 400), min_size=1, max_size=6)


def tokens_of(counts: list[int], seed: int = 0) -> Tokens:
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Tokens(np.random.default_rng(seed).integers(0, 50, int(offsets[-1]), dtype=np.int32), offsets)


@given(lengths)
def test_windows_cover_every_token_and_overlap_by_half(counts: list[int]) -> None:
    tokens = tokens_of(counts)
    spans = windows(tokens)
    assert sorted(set(spans.texts.tolist())) == [row for row, count in enumerate(counts) if count]
    for row, count in enumerate(counts):
        mine = np.flatnonzero(spans.texts == row)
        starts = [int(spans.blocks[spans.first[k]] - tokens.offsets[row]) for k in mine]
        assert starts == [number * BLOCK for number in range(len(mine))]
        assert not len(mine) or starts[-1] + spans.lengths[mine[-1]] == count
        assert (spans.lengths[mine[:-1]] == 2 * BLOCK).all()


@given(lengths, st.integers(0, 3))
def test_sums_are_those_of_the_window(counts: list[int], seed: int) -> None:
    tokens = tokens_of(counts, seed)
    spans = windows(tokens)
    table = np.arange(100, dtype=np.float32).reshape(50, 2)
    expected = [table[spans.ids(tokens, number)].sum(axis=0) for number in range(len(spans))]
    assert np.array_equal(spans.sums(table, tokens.ids), np.reshape(expected, (-1, 2)))


def test_the_highest_window_counts_and_no_window_is_lowest() -> None:
    by_window = np.array([[1, 5], [2, 4], [3, 3]], dtype=np.float32)
    found = highest(by_window, np.array([0, 0, 2]), 3)
    assert found.tolist() == [[2, 5], [-np.inf, -np.inf], [3, 3]]
