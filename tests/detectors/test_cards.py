import json
import re
from pathlib import Path

import pytest

from detectors.encoder import MODELS
from detectors.training.cards import CARDS, write_cards

RESULT = {"n": 500, "positive": 20, "auroc": 0.9, "ece": 0.01}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    heads = [head for group in CARDS.values() for head in group]
    results = {head: {"all": RESULT, "large": RESULT, "small": RESULT | {"n": 5}} for head in heads}
    files = {
        "metrics": results,
        "transfer": {"injection": {"outside": RESULT}},
        "embeddings": {"int8": {"n": 10, "intent_accuracy": 0.8}},
    }
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    for card in CARDS:
        text = "before\n<!-- held-out -->\nold\n<!-- /held-out -->\n"
        text += "<!-- left-out -->\n<!-- /left-out -->\nafter\n"
        (tmp_path / f"{card}.md").write_text(text, encoding="utf-8")
    (tmp_path / "embeddings.md").write_text("<!-- intents --><!-- /intents -->\n", encoding="utf-8")
    return tmp_path


def test_tables_take_the_place_of_the_old_ones(models: Path) -> None:
    write_cards(models)
    card = (models / "injection.md").read_text(encoding="utf-8")
    assert card.startswith("before\n")
    assert card.endswith("after\n")
    assert "old" not in card
    assert "| large | 500 | 20 | 0.9 | 0.01 |" in card
    assert "| outside | 500 | 20 | 0.9 | 0.01 |" in card
    assert "small" not in card
    assert "| int8 | 10 | 0.8 |" in (models / "embeddings.md").read_text(encoding="utf-8")


def test_writing_twice_changes_nothing(models: Path) -> None:
    write_cards(models)
    first = (models / "bias.md").read_bytes()
    write_cards(models)
    assert (models / "bias.md").read_bytes() == first


def test_a_card_without_a_place_is_named(models: Path) -> None:
    (models / "refusal.md").write_text("nothing here", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"refusal\.md: the card has no place"):
        write_cards(models)


def test_every_head_has_a_card_with_its_measured_figures() -> None:
    metrics = json.loads((MODELS / "metrics.json").read_text(encoding="utf-8"))
    for card, heads in CARDS.items():
        text = (MODELS / f"{card}.md").read_text(encoding="utf-8")
        for head in heads:
            assert f"`{head}`" in text
            row = re.search(rf"\| {head} \|.*\n.*\n\| all \| (\d+) \| (\d+) \| ([\d.]+) ", text)
            assert row is not None
            assert float(row[3]) == metrics[head]["all"]["auroc"]


def test_the_shipped_models_stay_small() -> None:
    assert sum(path.stat().st_size for path in MODELS.iterdir()) < 12_000_000
