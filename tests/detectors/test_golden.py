"""A score that moves is a new version of its detector: rows of both stand side by side in the store."""

from functools import cache
from pathlib import Path

import pytest

from detectors import registry
from detectors.base import Detector
from tests.detectors import golden
from tests.detectors.golden import Golden
from tests.models import MODELS


@cache
def detectors() -> dict[str, Detector]:
    return {detector.name: detector for detector in registry.build(MODELS)}


@pytest.mark.parametrize("name", registry.DEFAULT)
def test_scores_are_those_of_the_version(name: str) -> None:
    kept, now = golden.kept().get(name), golden.measured(detectors()[name])
    assert kept, f"{name} has no golden scores: run `python -m tests.detectors.golden`"
    assert kept["version"] == now["version"], "run `python -m tests.detectors.golden`"
    assert golden.moved(kept, now) == [], golden.advice(name)


def test_no_detector_is_kept_that_is_gone() -> None:
    assert tuple(golden.kept()) == registry.DEFAULT, "run `python -m tests.detectors.golden`"


@pytest.mark.parametrize("name", registry.DEFAULT)
def test_every_metric_tells_texts_apart(name: str) -> None:
    """A metric that gives all texts the same would stay as it is whatever is changed."""
    for metric, scores in golden.kept()[name]["scores"].items():
        assert len({score for score in scores if score is not None}) > 1, metric


def entry(version: str, *scores: float | None) -> dict[str, Golden]:
    return {"text": Golden(version=version, scores={"shouting": list(scores)})}


def test_other_scores_under_the_same_version_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "golden.json"
    assert golden.write(entry("1", 0, 0.5, None), path) == []
    before = path.read_text()
    (problem,) = golden.write(entry("1", 0, 0.502, None), path)
    assert problem == "text: other scores under version 1\n  shouting, text 1: 0.5 -> 0.502"
    assert golden.write(entry("1", 0, 0.5, 0.0), path), "a text to which the metric did not apply"
    assert path.read_text() == before


def test_a_new_version_is_written(tmp_path: Path) -> None:
    path = tmp_path / "golden.json"
    golden.write(entry("1", 0, 0.5), path)
    assert golden.write(entry("2", 0, 0.9), path) == []
    assert golden.kept(path) == entry("2", 0, 0.9)


def test_another_processor_changes_no_line(tmp_path: Path) -> None:
    path = tmp_path / "golden.json"
    golden.write(entry("1", 0, 0.5), path)
    assert golden.write(entry("1", 0, 0.5002), path) == []
    assert golden.kept(path) == entry("1", 0, 0.5)


def test_a_text_may_be_added_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "golden.json"
    golden.write(entry("1", 0, 0.5), path)
    assert golden.write(entry("1", 0, 0.5, 0.7), path) == []
    assert golden.kept(path) == entry("1", 0, 0.5, 0.7)


def test_a_metric_that_comes_or_goes_is_a_new_version() -> None:
    before = entry("1", 0, 0.5)["text"]
    added = Golden(version="1", scores=before["scores"] | {"whispering": [1, 1]})
    assert golden.moved(before, added) == ["whispering: came or went"]
