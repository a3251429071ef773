import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.models.linear import BLOCK, ORDERS, LinearHeads, ngram_rows, windows
from detectors.models.tokenizer import Tokens
from tests.models import MODELS

lengths = st.lists(st.integers(0, 400), min_size=1, max_size=8)


def tokens_of(counts: list[int]) -> Tokens:
    ids = np.random.default_rng(0).integers(1000, 2000, sum(counts)).astype(np.int32)
    return Tokens(ids, np.concatenate([[0], np.cumsum(counts)]))


@given(lengths)
def test_windows_cover_every_token_and_stay_inside_their_text(counts: list[int]) -> None:
    tokens = tokens_of(counts)
    spans = windows(tokens)
    seen = np.zeros(len(tokens.ids), dtype=int)
    for first, length, text in zip(spans.blocks[spans.first], spans.lengths, spans.texts, strict=True):
        assert tokens.offsets[text] <= first
        assert first + length <= tokens.offsets[text + 1]
        assert 0 < length <= 2 * BLOCK
        seen[first : first + length] += 1
    assert (seen >= 1).all()
    assert (seen <= 2).all()


def test_a_short_text_is_one_window() -> None:
    assert windows(tokens_of([1, 0, BLOCK, BLOCK + 1, 2 * BLOCK])).texts.tolist() == [0, 2, 3, 4]
    assert windows(tokens_of([2 * BLOCK + 1])).lengths.tolist() == [2 * BLOCK, BLOCK + 1]


@given(lengths)
def test_ngrams_do_not_look_into_the_text_before(counts: list[int]) -> None:
    tokens = tokens_of(counts)
    together = ngram_rows(tokens.ids, tokens.offsets, 30522, 1000)
    for start, end in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True):
        alone = ngram_rows(tokens.ids[start:end], np.array([0, end - start]), 30522, 1000)
        assert np.array_equal(together[start:end], alone)


def test_pairs_and_triples_depend_on_order() -> None:
    forward, backward = (
        ngram_rows(np.array(ids, dtype=np.int32), np.array([0, 3]), 100, 1 << 20)
        for ids in ([1, 2, 3], [3, 2, 1])
    )
    assert forward[2, 1] != backward[2, 1]
    assert forward[2, 2] != backward[2, 2]
    assert ((forward[:, 1:] >= 100) & (forward[:, 1:] < 100 + (1 << 20))).all()


@pytest.fixture
def heads() -> LinearHeads:
    rng = np.random.default_rng(1)
    table = rng.integers(-127, 128, (30522 + 512, 2)).astype(np.float32)
    return LinearHeads(("a", "b"), table, np.array([0.01, 0.02], np.float32), np.zeros(2, np.float32), 30522)


def test_the_score_is_that_of_the_highest_window(heads: LinearHeads) -> None:
    tokens = tokens_of([5 * BLOCK])
    spans = windows(tokens)
    logits = heads.window_logits(tokens, spans)
    assert np.allclose(heads.probabilities(tokens)[0], 1 / (1 + np.exp(-logits.max(axis=0))))
    for window, (first, length) in enumerate(zip(spans.blocks[spans.first], spans.lengths, strict=True)):
        rows = heads.rows(tokens.ids, tokens.offsets)[first : first + length].ravel()
        total = heads.table[rows].astype(float).sum(axis=0)
        assert np.allclose(logits[window], total * heads.gains / np.sqrt(length + 8), rtol=1e-4, atol=1e-5)


def test_no_tokens_score_zero(heads: LinearHeads) -> None:
    assert heads.probabilities(tokens_of([0, 3, 0]))[[0, 2]].tolist() == [[0, 0], [0, 0]]
    assert heads.probabilities(tokens_of([0])).tolist() == [[0, 0]]
    assert heads.probabilities(Tokens(np.empty(0, np.int32), np.zeros(1, np.int64))).shape == (0, 2)


@given(lengths)
def test_a_row_does_not_depend_on_its_neighbours(counts: list[int]) -> None:
    tokens = tokens_of(counts)
    together = MODELS.cascade.linear.probabilities(tokens)
    for row, (start, end) in enumerate(zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)):
        alone = MODELS.cascade.linear.probabilities(Tokens(tokens.ids[start:end], np.array([0, end - start])))
        assert np.array_equal(together[row], alone[0])


@given(st.integers(1, 400))
def test_contributions_add_up_to_the_log_odds(count: int) -> None:
    tokens = tokens_of([count])
    shipped = MODELS.cascade.linear
    for head in range(len(shipped.names)):
        total = shipped.contributions(tokens.ids, [head]).sum() + float(shipped.biases[head])
        expected = shipped.window_logits(tokens, windows(tokens))[:, head].max()
        assert total == pytest.approx(float(expected), abs=1e-3)


def test_no_tokens_contribute_nothing() -> None:
    assert MODELS.cascade.linear.contributions(np.empty(0, np.int32), [0]).shape == (1, 0)


def test_the_shipped_table_fits_the_tokenizer_and_the_hash() -> None:
    shipped = MODELS.cascade.linear
    assert shipped.vocabulary == MODELS.encoder.vocabulary_size
    assert shipped.table.shape == (1 << 18, len(shipped.names))
    assert (shipped.gains > 0).all()
    assert ORDERS == 3
