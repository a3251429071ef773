"""Drives the real Detoxify package with a tiny checkpoint of random weights that is made here."""

import builtins
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import registry
from detectors.base import Detector
from detectors.batch import Batch
from detectors.detoxify import DetoxifyDetector
from detectors.errors import DetectorError
from tests.models import MODELS

LABELS = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
METRICS = (
    "detoxify_toxicity",
    "detoxify_severe_toxicity",
    "detoxify_obscene",
    "detoxify_threat",
    "detoxify_insult",
    "detoxify_identity_attack",
)
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "you",
    "are",
    "kind",
    "stupid",
    "the",
    "cat",
    "sat",
    ".",
]
TEXTS = ["You are kind.", "", "you are stupid " * 300, "the cat sat", "\ud800 lone", "é 你好 \x00"]

real = [
    pytest.mark.detoxify,
    pytest.mark.skipif(
        find_spec("detoxify") is None, reason="the optional extra `detoxify` is not installed"
    ),
    # Of the packages' own making; nothing of it can be put right here.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint in Detoxify's format and the folder with its config and tokenizer."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("detoxify")
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=512,
        num_labels=len(LABELS),
    )
    config.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "BertTokenizer", "do_lower_case": true, "model_max_length": 512}',
        encoding="utf-8",
    )
    torch.manual_seed(7)
    model = BertForSequenceClassification(config)
    arguments = {
        "model_type": "bert-base-uncased",
        "model_name": "BertForSequenceClassification",
        "tokenizer_name": "BertTokenizer",
        "num_classes": len(LABELS),
    }
    checkpoint = folder / "tiny.ckpt"
    settings = {"dataset": {"args": {"classes": LABELS}}, "arch": {"args": arguments}}
    torch.save({"config": settings, "state_dict": model.state_dict()}, checkpoint)
    return checkpoint, folder


@pytest.fixture(scope="module")
def detector(files: tuple[Path, Path]) -> DetoxifyDetector:
    checkpoint, config = files
    options = {"checkpoint": checkpoint, "config": config, "max_batch": 2, "threads": 1}
    (built,) = registry.build(MODELS, ["detoxify"], {"detoxify": options})
    assert isinstance(built, DetoxifyDetector)
    return built


class TestRealPackage:
    pytestmark = real

    def test_keeps_the_protocol(self, detector: DetoxifyDetector) -> None:
        assert isinstance(detector, Detector)
        assert detector.metrics == METRICS
        assert detector.version.endswith("-tiny")
        registry.validate([*registry.build(MODELS, ["pii", "text"]), detector])

    def test_gives_the_probabilities_of_the_package(
        self, detector: DetoxifyDetector, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from detoxify import Detoxify

        monkeypatch.chdir(files[1].parent)
        (files[1].parent / "bert-base-uncased").symlink_to(files[1])  # where the package finds it without us
        package = Detoxify(checkpoint=str(files[0]), huggingface_config_path=str(files[1]))
        scores = detector.score(Batch.of_texts(TEXTS, MODELS))
        assert scores.shape == (len(TEXTS), len(LABELS))
        assert scores.dtype == np.float32
        for row in (0, 1, 3):
            expected = [package.predict(TEXTS[row])[label] for label in package.class_names]
            assert scores[row] == pytest.approx(expected, abs=1e-5)
        assert len({tuple(row) for row in scores.tolist()}) > 3

    def test_scores_do_not_depend_on_the_batch(self, detector: DetoxifyDetector) -> None:
        whole = detector.score(Batch.of_texts(TEXTS, MODELS))
        alone = np.concatenate([detector.score(Batch.of_texts([text], MODELS)) for text in TEXTS])
        backwards = detector.score(Batch.of_texts(TEXTS[::-1], MODELS))[::-1]
        assert np.allclose(whole, alone, atol=1e-5)
        assert np.allclose(whole, backwards, atol=1e-5)

    def test_an_empty_batch_gives_no_rows(self, detector: DetoxifyDetector) -> None:
        assert detector.score(Batch([], MODELS)).shape == (0, len(LABELS))
        assert detector.explain(Batch.of_texts(["a"], MODELS), 0) == []

    def test_a_long_text_is_cut(self, detector: DetoxifyDetector) -> None:
        scores = detector.score(Batch.of_texts(["stupid " * 100_000, "stupid " * 1_000], MODELS))
        assert scores[0] == pytest.approx(scores[1], abs=1e-5)

    def test_threads_are_as_asked(self, files: tuple[Path, Path]) -> None:
        import torch

        DetoxifyDetector(checkpoint=files[0], config=files[1], threads=2)
        assert torch.get_num_threads() == 2
        DetoxifyDetector(checkpoint=files[0], config=files[1])
        assert torch.get_num_threads() == 1

    def test_a_missing_file_is_named(self, files: tuple[Path, Path]) -> None:
        with pytest.raises(DetectorError, match=r"finds no .*missing\.ckpt"):
            DetoxifyDetector(checkpoint=files[1] / "missing.ckpt", config=files[1])

    def test_a_file_of_another_format_is_refused(self, files: tuple[Path, Path], tmp_path: Path) -> None:
        other = tmp_path / "other.ckpt"
        other.write_text("not a checkpoint", encoding="utf-8")
        with pytest.raises(DetectorError, match="'detoxify' cannot start"):
            registry.build(MODELS, ["detoxify"], {"detoxify": {"checkpoint": other, "config": files[1]}})


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    plain_import = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] in {"torch", "detoxify"}:
            raise ImportError(name)
        return plain_import(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(DetectorError, match=r"pip install '\.\[detoxify\]'"):
        registry.build(MODELS, ["detoxify"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "bert"}, "no model 'bert': allowed are original, unbiased, multilingual"),
        ({"max_batch": 0}, "must be at least 1"),
        ({"threads": 0}, "must be at least 1"),
        ({"checkpoint": "model.ckpt"}, "needs checkpoint and config together"),
        ({"config": "folder"}, "needs checkpoint and config together"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        registry.build(MODELS, ["detoxify"], {"detoxify": options})
