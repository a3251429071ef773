import time

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.references.index import CELL, QUERIES, Index

Floats = npt.NDArray[np.float32]


def unit(count: int, seed: int, dimensions: int = 16) -> Floats:
    vectors = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@given(st.integers(1, 5 * CELL), st.integers(0, 12), st.integers(1, 20), st.integers(0, 9))
def test_it_finds_what_a_full_sort_finds(size: int, texts: int, k: int, seed: int) -> None:
    vectors, queries = unit(size, seed), unit(texts, seed + 100)
    similarities, places = Index(vectors).nearest(queries, k)
    expected = np.sort(queries @ vectors.T, axis=1)[:, ::-1][:, :k]
    assert similarities.shape == places.shape == (texts, min(k, size))
    assert np.allclose(similarities, expected, atol=1e-6)
    assert np.allclose((queries[:, None] * vectors[places]).sum(axis=2), similarities, atol=1e-6)


@given(st.integers(0, 40), st.integers(1, 12))
def test_no_bit_depends_on_the_rest_of_the_batch(cut: int, k: int) -> None:
    index, queries = Index(unit(3_000, 1, 64)), unit(40, 2, 64)
    whole = index.nearest(queries, k)
    parts = [index.nearest(part, k) for part in (queries[:cut], queries[cut:])]
    assert np.array_equal(whole.similarities, np.concatenate([part.similarities for part in parts]))
    assert np.array_equal(whole.places, np.concatenate([part.places for part in parts]))


def test_more_texts_than_fit_into_one_product() -> None:
    index, queries = Index(unit(50, 1)), unit(QUERIES + 3, 2)
    alone = np.concatenate([index.nearest(query[None], 2).places for query in queries])
    assert np.array_equal(index.nearest(queries, 2).places, alone)


def test_equal_references_count_once_and_the_first_is_named() -> None:
    one, two = unit(2, 3)
    index = Index(np.array([two, one, one, two, one], np.float32))
    assert index.size == 2
    assert index.nearest(one[None], 3).places.tolist() == [[1, 0]]


def test_of_equally_near_references_the_first_comes_first() -> None:
    vectors = np.eye(30, dtype=np.float32)
    query = np.zeros((1, 30), np.float32)
    query[0, [4, 21]] = np.sqrt(0.5)
    assert Index(vectors).nearest(query, 3).places.tolist() == [[4, 21, 0]]


def test_the_padding_of_the_last_cell_is_never_found() -> None:
    vectors = -np.eye(CELL + 1, dtype=np.float32)
    similarities, places = Index(vectors).nearest(-vectors[-1:], CELL + 1)
    assert sorted(places[0].tolist()) == list(range(CELL + 1))
    assert similarities[0, -1] == pytest.approx(-1)


def test_it_costs_about_a_matrix_product() -> None:
    vectors, queries = unit(20_000, 1, 256), unit(128, 2, 256)
    index = Index(vectors)

    def seconds(k: int) -> float:
        started = time.process_time()
        if k:
            index.nearest(queries, k)
        else:
            (queries @ vectors.T).max(axis=1)
        return time.process_time() - started

    plain, nearest, tenth = (min(seconds(k) for _ in range(5)) for k in (0, 1, 10))
    assert nearest < 4 * plain
    assert tenth < 8 * plain
