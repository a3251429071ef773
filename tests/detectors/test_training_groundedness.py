import csv
import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from detectors.groundedness import Logistics
from detectors.grounding.alignment import lexicon_of
from detectors.models import SHIPPED
from detectors.models.embeddings import Embeddings
from detectors.training import groundedness as training
from detectors.training.neighbours import write_neighbours
from tests.models import MODELS

FACTS = (
    "harbour",
    "museum",
    "bridge",
    "garden",
    "station",
    "theatre",
    "castle",
    "market",
    "school",
    "temple",
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with replies of two data sets, every other one with an invented ending."""
    path = tmp_path / "data"
    path.mkdir()
    with gzip.open(path / "groundedness.csv.gz", "wt", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, ["text", "grounded", "context", "question", "source"])
        writer.writeheader()
        for number in range(240):
            fact = FACTS[number % 10]
            context = f"The {fact} number {number} opened in {1700 + number} beside the river."
            text = context if number % 2 else f"The {fact} sells purple dinosaurs to {number + 5} astronauts."
            source = ("begin_dev", "halueval_qa")[number // 2 % 2]
            writer.writerow(
                {"text": text, "grounded": number % 2, "context": context, "source": source}
                | {"question": f"When did the {fact} number {number} open?"}
            )
        writer.writerow({"text": "...", "grounded": 1, "context": "-", "source": "begin_dev"})
    return path


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what training needs; the neighbours are the shipped ones."""
    path = tmp_path / "models"
    path.mkdir()
    for name in ("tokenizer.json", "embeddings.npz", "neighbours.npz", "groundedness.md"):
        shutil.copy(SHIPPED / name, path)
    monkeypatch.setattr(training, "write_neighbours", lambda *_: None)
    return path


def test_training_writes_weights_figures_and_card(data: Path, out: Path) -> None:
    training.train(data, out)
    models = Logistics.load(out / "groundedness.json")
    assert min(models.ungrounded.weights) >= 0
    assert models.ungrounded.probabilities(np.zeros((1, 3)))[0] < 0.2
    assert models.ungrounded.probabilities(np.ones((1, 3)))[0] > 0.8
    measured = json.loads((out / "groundedness_metrics.json").read_text(encoding="utf-8"))
    assert set(measured["ungrounded"]["left_out"]) == {"begin", "halueval"}
    assert measured["ungrounded"]["held_out"]["all"]["auroc"] == 1
    card = (out / "groundedness.md").read_text(encoding="utf-8")
    assert f"| all | {measured['ungrounded']['held_out']['all']['n']} |" in card
    assert f"| ungrounded | intercept | {models.ungrounded.intercept:.2f} |" in card


def test_training_again_gives_the_same_bytes(data: Path, out: Path) -> None:
    names = ("groundedness.json", "groundedness_metrics.json", "groundedness.md")
    training.train(data, out)
    first = [(out / name).read_bytes() for name in names]
    training.train(data, out)
    assert [(out / name).read_bytes() for name in names] == first


def test_texts_with_one_context_stay_in_one_split(data: Path) -> None:
    table = training.completions(data, MODELS.part(lexicon_of))
    assert len(table.positive) == 240
    assert set(table.splits) == {"fit", "calibrate", "test"}
    assert table.positive.tolist()[:4] == [True, False, True, False]


def test_pairs_are_each_with_its_own_and_with_another_prompt(data: Path) -> None:
    table = training.pairs(
        data, MODELS.part(lexicon_of), lambda texts: MODELS.embeddings.embed(MODELS.encoder.encode(texts))
    )
    assert len(table.positive) == 480
    assert not table.positive[::2].any()
    assert table.positive[1::2].mean() > 0.9


def test_data_sets_and_classes_count_alike() -> None:
    sources = np.array(["a_1"] * 8 + ["b_1"] * 2)
    positive = np.array([True] * 6 + [False] * 2 + [True, False])
    table = training.Table(np.zeros((10, 1)), positive, sources, np.array(["fit"] * 10))
    shares = training._shares(table)
    assert shares.sum() == pytest.approx(10)
    for family in ("a", "b"):
        for label in (True, False):
            assert shares[(table.families == family) & (positive == label)].sum() == pytest.approx(2.5)


def test_neighbours_are_near_words_of_the_vocabulary(tmp_path: Path) -> None:
    rows = [MODELS.encoder.vocabulary()[word] for word in ("river", "rivers", "castle", "the", "1913")]
    shared = MODELS.embeddings
    values = np.zeros_like(shared.values)
    values[rows] = shared.values[rows]
    write_neighbours(tmp_path / "near.npz", MODELS.encoder, Embeddings(values, shared.scales))
    with np.load(tmp_path / "near.npz") as arrays:
        starts, words, supports = arrays["starts"], arrays["words"], arrays["supports"]
    assert words[starts[rows[0]] : starts[rows[0] + 1]].tolist() == [rows[1]]
    assert words.tolist() == [rows[1], rows[0]]
    assert supports[0] == supports[1] > 0
    assert starts[-1] == 2
    assert len(starts) == MODELS.encoder.vocabulary_size + 1
