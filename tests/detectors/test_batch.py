import numpy as np

from detectors.batch import Batch
from detectors.linear import shared_heads
from schemas.events import Event


def test_features_have_one_row_per_event() -> None:
    batch = Batch.of_texts(["hello there", "", "a third"])
    assert len(batch) == len(batch.texts) == len(batch.tokens) == 3
    assert batch.embeddings.shape == (3, 256)
    assert batch.head_probabilities.shape == (3, len(shared_heads().names))
    assert batch.is_completion.tolist() == [False, False, False]


def test_kinds_are_told_apart() -> None:
    events = [Event(event_id="1", app="a", kind=kind, text="x") for kind in ("prompt", "completion")]
    assert Batch(events).is_completion.tolist() == [False, True]


def test_prepare_computes_every_feature_once() -> None:
    batch = Batch.of_texts(["hello"]).prepare()
    assert {"texts", "is_completion", "tokens", "embeddings", "head_probabilities"} <= set(vars(batch))
    assert batch.tokens is batch.tokens


def test_an_empty_batch_has_empty_features() -> None:
    batch = Batch([]).prepare()
    assert batch.embeddings.shape == (0, 256)
    assert batch.head_probabilities.shape == (0, len(shared_heads().names))
    assert batch.tokens.offsets.dtype == np.int64
