import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.models.embeddings import Embeddings, segment_sums
from tests.models import MODELS


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=30), min_size=1, max_size=20))
def test_segment_sums_are_exact(segments: list[list[int]]) -> None:
    table = np.random.default_rng(0).integers(-127, 128, (10, 3)).astype(np.float32)
    rows = np.concatenate([np.array(segment) for segment in segments])
    starts = np.cumsum([0] + [len(segment) for segment in segments[:-1]])
    expected = [table[segment].astype(int).sum(axis=0) for segment in segments]
    assert np.array_equal(segment_sums(table, rows, starts), expected)


def test_embeddings_have_length_one_and_zero_for_no_tokens() -> None:
    vectors = MODELS.embeddings.embed(MODELS.encoder.encode(["a river", "", "stones"]))
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, MODELS.embeddings.dimensions)
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1], atol=1e-6)


def test_no_texts_give_no_embeddings() -> None:
    assert MODELS.embeddings.embed(MODELS.encoder.encode([])).shape == (0, MODELS.embeddings.dimensions)


def test_tokens_without_weight_give_zeros() -> None:
    nothing = Embeddings(np.zeros((30522, 4), dtype=np.float32), np.ones(4, dtype=np.float32))
    assert not nothing.embed(MODELS.encoder.encode(["hello"])).any()


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("How do I bake bread?", "recipe for a loaf of bread", "sort a list in Python"),
        ("book a flight to Rome", "I need a plane ticket to Italy", "my tooth hurts"),
        ("the film was boring", "a dull movie", "install a printer driver"),
    ],
)
def test_like_meanings_are_nearer_than_others(text: str, near: str, far: str) -> None:
    one, two, three = MODELS.embeddings.embed(MODELS.encoder.encode([text, near, far]))
    assert one @ two > one @ three + 0.1
