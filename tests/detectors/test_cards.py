import json
import re
from pathlib import Path
from typing import Any

import pytest

from detectors.models import SHIPPED
from detectors.training.cards import CARDS, fill, write_cards

RESULT = {"n": 500, "positive": 20, "auroc": 0.9, "recall_at_1pct_fpr": 0.5, "ece": 0.01}
PAGE = SHIPPED.parents[1] / "docs" / "evaluation.md"
UNSEEN = ("toxicity", "injection", "harmful_request", "refusal")
SETS = {
    "Jigsaw, held-out part": "toxicity",
    "challenge: functional tests of hate": "toxicity",
    "challenge: implicit statements on groups": "toxicity",
    "challenge: attacks and benign prompts": "injection",
    "challenge: requests": "harmful_request",
}


def metrics() -> dict[str, Any]:
    return {
        "machine": "Some day, some machine.",
        "table": [{"set": name, "head": head, "tier": "cascade"} | RESULT for name, head in SETS.items()],
        "heads": {
            head: {"all": RESULT, "large": RESULT, "small": RESULT | {"n": 5}}
            for group in CARDS.values()
            for head in group
        },
        "over_defence": {"injection": 0.04},
        "passed": {"encoder": {"ordinary": 0.25, "positive": 0.95}},
        "fairness": {"toxicity": {"neutral flagged, mean": 0.01}},
        "texts_per_second": {"all detectors": 1400.0},
    }


def rotations() -> dict[str, Any]:
    tier = {
        "families": {"outside": RESULT},
        "rotations": {"rotation 1": RESULT},
        "mean of families": {"auroc": 0.91, "recall_at_1pct_fpr": 0.3},
        "mean of rotations": {"auroc": 0.95, "recall_at_1pct_fpr": 0.7},
    }
    alarms = [
        {"language": "de", "texts": 900, "injection 0.5": 0.01, "injection 0.9": 0.001, "toxicity 0.5": 0.0},
        {"language": "zh", "texts": 900, "injection 0.5": 0.03, "injection 0.9": 0.0, "toxicity 0.5": 0.0},
        {"language": "sw", "texts": 900, "injection 0.5": 0.4, "injection 0.9": 0.2, "toxicity 0.5": 0.0},
        {"language": "nl", "texts": 60, "injection 0.5": 0.3, "injection 0.9": 0.2, "toxicity 0.5": 0.0},
    ]
    return {
        "heads": {head: {"encoder": tier, "cascade": tier} for head in UNSEEN},
        "false_alarms": {"cascade": alarms},
        "found": [{"language": "de", "injection": 0.6, "injection n": 40}],
    }


@pytest.fixture
def models(tmp_path: Path) -> Path:
    files = {
        "metrics": metrics(),
        "rotations": rotations(),
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
    assert "| large | 500 | 20 | 0.9 | 0.5 | 0.01 |" in card
    assert "| outside | cascade | 500 | 20 | 0.9 | 0.5 | 0.01 |" in card
    assert "small" not in card
    assert "| int8 | 10 | 0.8 |" in (models / "embeddings.md").read_text(encoding="utf-8")


def test_the_page_says_which_targets_are_met(models: Path) -> None:
    page = models / "page.md"
    page.write_text(
        re.sub(r"(?s)(<!-- ([\w-]+) -->\n).*?(<!-- /\2 -->)", r"\1\3", PAGE.read_text(encoding="utf-8"))
    )
    write_cards(models, page)
    text = page.read_text(encoding="utf-8")
    assert "Some day, some machine." in text
    assert "| injection, flagged at 0.5 | challenge: trigger words | ≤ 0.05 | 0.04 | yes |" in text
    assert "| all detectors, texts per second | ordinary texts | ≥ 1500 | 1400.0 | **no** |" in text
    assert "| challenge: requests | harmful_request | cascade | 500 |" in text
    assert "| injection, AUROC | families left out, mean | ≥ 0.93 | 0.91 | **no** |" in text
    assert "| injection, AUROC | rotations, mean | ≥ 0.93 | 0.95 | yes |" in text
    worst = "ordinary texts of the encoder's worst language"
    assert f"| injection, over 0.5 | {worst} (zh), left out | ≤ 0.02 | 0.03 | **no** |" in text
    assert f"| injection, over 0.9 | {worst} (de), left out | ≤ 0.003 | 0.001 | yes |" in text
    assert "| de | 900 | 0.01 |" in text


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
    shipped = json.loads((SHIPPED / "metrics.json").read_text(encoding="utf-8"))["heads"]
    for card, heads in CARDS.items():
        text = (SHIPPED / f"{card}.md").read_text(encoding="utf-8")
        for head in heads:
            assert f"`{head}`" in text
            row = re.search(rf"\| {head} \|.*\n.*\n\| all \| (\d+) \| (\d+) \| ([\d.]+) ", text)
            assert row is not None
            assert float(row[3]) == shipped[head]["all"]["auroc"]


def test_the_page_has_the_measured_figures() -> None:
    shipped = json.loads((SHIPPED / "metrics.json").read_text(encoding="utf-8"))
    text = PAGE.read_text(encoding="utf-8")
    assert shipped["machine"] in text
    for row in shipped["table"]:
        assert f"| {row['set']} | {row['head']} | {row['tier']} | {row['n']} | {row['positive']} | " in text
        assert f"| {row['auroc']} | {row['average_precision']} |" in text


def test_marks_may_stand_in_any_order(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- b -->x<!-- /b -->\n<!-- a -->y<!-- /a -->\n", encoding="utf-8")
    fill(page, {"a": "1", "b": "2"})
    assert page.read_text(encoding="utf-8") == "<!-- b -->\n2\n<!-- /b -->\n<!-- a -->\n1\n<!-- /a -->\n"


def test_the_shipped_models_stay_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 68_000_000
