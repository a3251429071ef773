"""A change of subjects is found soon, a quiet one is not, and a snapshot goes on where it was taken."""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from schemas.sketches import COMPONENTS, LENGTH, pack
from streams.monitors.reference import DAY_MS
from streams.monitors.topic import Moved, TopicTest
from streams.monitors.topic_state import LEARN, TopicState
from streams.monitors.views import StateError

STEP_MS = DAY_MS // 5_000
QUIET = 200_000


def sketches(count: int, mean: float = 0.0, seed: int = 0, space: int = 7) -> list[bytes]:
    """Return texts about one thing: their sketches lie around a point, 0.06 apart in each direction."""
    rng = np.random.default_rng(seed)
    points: npt.NDArray[np.float64] = 0.06 * rng.standard_normal((count, COMPONENTS))
    points[:, 0] += mean
    return pack(space, points)


def feed(test: TopicTest, texts: list[bytes], names: str = "", start: int = 0) -> list[tuple[int, Moved]]:
    found = [(at, test.update(text, names, (start + at) * STEP_MS)) for at, text in enumerate(texts)]
    return [(at, moved) for at, moved in found if moved is not None]


def learned(count: int = 6_000) -> TopicTest:
    test = TopicTest(QUIET)
    assert feed(test, sketches(count), "orders") == []
    return test


def test_a_change_of_subject_is_found_within_a_hundred_texts() -> None:
    [(at, moved), *_] = feed(learned(), sketches(200, mean=0.2, seed=1), "poems", 6_000)
    assert at < 100
    assert abs(moved.began - 6_000 * STEP_MS) <= 32 * STEP_MS
    assert moved.distance_before == 0.0
    assert moved.distance_after > 2
    assert moved.before.of_names() == {"orders": 1.0}
    assert next(iter(moved.after.of_names())) == "poems"
    shares = zip(moved.before.of_clusters(), moved.after.of_clusters(), strict=True)
    assert sum(abs(before - after) for before, after in shares) > 0.2


def test_a_change_of_half_the_texts_is_found_within_five_hundred() -> None:
    old, new = sketches(1_000, seed=2), sketches(1_000, mean=0.2, seed=1)
    mixed = [(old, new)[at % 2][at] for at in range(1_000)]
    [(at, _), *_] = feed(learned(), mixed, start=6_000)
    assert at < 500


def test_quiet_texts_raise_nothing() -> None:
    assert feed(TopicTest(QUIET), sketches(8_000, seed=3)) == []


def test_a_burst_of_one_users_is_no_change() -> None:
    test = learned(2_000)
    one = sketches(1, mean=0.3, seed=4)
    assert feed(test, one * 25 + sketches(1_500, seed=5), start=2_000) == []


def test_a_return_says_that_the_subjects_are_home() -> None:
    test = learned(3_000)
    [(_, away)] = feed(test, sketches(600, mean=0.2, seed=1), start=3_000)
    test.note("left home")
    [(_, back)] = feed(test, sketches(600, seed=6), start=3_600)
    assert back.distance_before == pytest.approx(away.distance_after, rel=0.3)
    assert back.distance_after < back.distance_before / 2
    assert (away.returns, back.returns) == ("", "left home")


def test_it_learns_before_it_alarms_and_says_so() -> None:
    test = TopicTest(QUIET)
    assert not test.is_learning
    texts = sketches(LEARN)
    feed(test, texts[:-1])
    assert test.is_learning
    feed(test, texts[-1:])
    assert not test.is_learning


def test_sketches_of_other_weights_are_learned_anew_and_junk_is_left_out() -> None:
    test = learned(1_000)
    for junk in (b"", b"\x07", bytes(LENGTH + 1)):
        assert test.update(junk, "", 0) is None
    assert not test.is_learning
    feed(test, sketches(10, space=8))
    assert test.is_learning


@pytest.mark.parametrize("count", [3, LEARN - 1, LEARN, 1_000, 6_020])
def test_a_snapshot_goes_on_where_it_was_taken(count: int) -> None:
    texts = sketches(6_000) + sketches(200, mean=0.2, seed=1)
    whole, first, second = TopicTest(QUIET), TopicTest(QUIET), TopicTest(QUIET)
    expected = feed(whole, texts, "orders")
    found = feed(first, texts[:count], "orders")
    packed = msgspec.msgpack.encode(first.export())
    assert len(packed) < 16_000
    second.restore(msgspec.msgpack.decode(packed, type=TopicState))
    found += [(at + count, moved) for at, moved in feed(second, texts[count:], "orders", count)]
    assert found == expected
    assert msgspec.msgpack.encode(second.export()) == msgspec.msgpack.encode(whole.export())


@pytest.mark.parametrize(
    "damage",
    [
        {"sums": b"abc"}, {"sums": np.full((7, 33), np.nan).tobytes()}, {"sums": bytes(7 * 33 * 8)},
        {"whitening": bytes(528 * 4)}, {"whitening": b""}, {"centroids": b"\x00"}, {"target": b"1"},
        {"home": b"1234"},
    ],
)  # fmt: skip
def test_numbers_that_no_test_has_are_refused(damage: dict[str, Any]) -> None:
    state = learned(1_000).export()
    assert state is not None
    with pytest.raises(StateError):
        TopicTest(QUIET).restore(msgspec.structs.replace(state, **damage))
