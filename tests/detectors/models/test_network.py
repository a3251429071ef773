from pathlib import Path

import numpy as np

from detectors.models.network import ROWS, Network, by_rows
from detectors.training.fit import beside


def network(features: int, seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    shapes = ((features, 7), (7,), (7, 3), (3,))
    return Network(("a", "b", "c"), *(rng.normal(size=shape).astype(np.float32) for shape in shapes))


def test_a_file_gives_the_network_back(tmp_path: Path) -> None:
    made = network(5)
    names = np.array(made.names)
    path = tmp_path / "n.npz"
    np.savez(path, names=names, w1=made.inner, b1=made.inner_bias, w2=made.outer, b2=made.outer_bias)
    features = np.ones((2, 5), np.float32)
    assert Network.load(path).names == ("a", "b", "c")
    assert np.array_equal(Network.load(path).logits(features), made.logits(features))


def test_no_row_depends_on_the_others_to_the_last_bit() -> None:
    made = network(1000)
    features = np.random.default_rng(1).normal(size=(3 * ROWS + 5, 1000)).astype(np.float32)
    all_at_once = made.logits(features)
    for row in (0, 1, ROWS, 3 * ROWS + 4):
        assert np.array_equal(all_at_once[row], made.logits(features[row : row + 1])[0])
    assert np.allclose(
        all_at_once,
        np.maximum(features @ made.inner + made.inner_bias, 0) @ made.outer + made.outer_bias,
        rtol=1e-3,
        atol=1e-3,
    )


def test_a_head_beside_a_judge_takes_the_place_of_the_output_of_its_name() -> None:
    judge, features = network(6), np.random.default_rng(3).normal(size=(4, 6)).astype(np.float32)
    other = network(6, seed=1)
    head = Network(("b",), other.inner, other.inner_bias, other.outer[:, [0]], other.outer_bias[[0]])
    found = beside(judge, head)
    assert found.names == judge.names
    assert np.allclose(found.logits(features)[:, [0, 2]], judge.logits(features)[:, [0, 2]], atol=1e-5)
    assert np.allclose(found.logits(features)[:, [1]], head.logits(features), atol=1e-5)


def test_no_rows_give_no_rows() -> None:
    assert network(4).logits(np.empty((0, 4), np.float32)).shape == (0, 3)
    assert by_rows(lambda each: each * 2, np.empty((0, 2), np.float32)).shape == (0, 2)
