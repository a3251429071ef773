"""Sketches: near for texts about one thing, the same whatever stands beside them, none for no text."""

from pathlib import Path

import numpy as np

from detectors.models import sketches
from detectors.models.weights import Models
from schemas.sketches import COMPONENTS, LENGTH, unpack
from tests.models import MODELS

TEXTS = ["Where is my parcel?", "My order has not arrived yet.", "Write a poem about whales.", ""]


def made(texts: list[str]) -> list[bytes]:
    found = MODELS.part(sketches.load)
    assert found is not None
    return found.of(MODELS.embeddings.embed(MODELS.encoder.encode(texts)))


def test_a_sketch_has_its_length_and_no_text_has_none() -> None:
    assert [len(sketch) for sketch in made(TEXTS)] == [LENGTH, LENGTH, LENGTH, 0]


def test_texts_about_one_thing_are_nearer() -> None:
    one, same, other = unpack(b"".join(sketch[1:] for sketch in made(TEXTS[:3])))
    assert np.linalg.norm(one - same) < np.linalg.norm(one - other)


def test_a_sketch_does_not_depend_on_the_other_texts() -> None:
    assert made(TEXTS) == [made([text])[0] for text in TEXTS]


def test_the_shipped_directions_are_those_of_the_vocabulary(tmp_path: Path) -> None:
    table = MODELS.embeddings.values * MODELS.embeddings.scales
    shipped, fitted = np.load(MODELS.folder / sketches.FILE), sketches.fit(table)
    assert shipped.shape == (MODELS.embeddings.dimensions, COMPONENTS)
    # The sign of a direction is up to the library that finds it.
    cosines = (shipped.astype(float) * fitted).sum(axis=0) / np.linalg.norm(shipped.astype(float), axis=0)
    assert (np.abs(cosines) / np.linalg.norm(fitted.astype(float), axis=0) > 0.99).all()


def test_weights_without_directions_make_no_sketches(tmp_path: Path) -> None:
    assert Models(tmp_path).part(sketches.load) is None
