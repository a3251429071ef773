"""The tables of the model cards, written from the metrics files: no figure is typed by hand."""

import json
import re
from pathlib import Path
from typing import Any

from detectors.training.datasets import BIAS, TOXICITY
from detectors.training.files import write_bytes
from detectors.training.grammars import SOURCE as GRAMMAR

CARDS = {"toxicity": TOXICITY, "injection": ("injection",), "bias": BIAS, "refusal": ("refusal",)}
COLUMNS = {
    "n": "texts",
    "positive": "positive",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "recall_at_1pct_fpr": "recall at 1 % false positives",
    "precision_at_0.5": "precision at 0.5",
    "recall_at_0.5": "recall at 0.5",
    "false_positive_rate_at_0.5": "false positives at 0.5",
    "ece": "calibration error",
}
MIN_TEXTS = 100
"""Smaller sources are in `metrics.json` only."""


def write_cards(models: Path) -> None:
    """Put the tables of `metrics.json`, `transfer.json` and `embeddings.json` into the cards beside them."""
    metrics, transfer, embeddings = (
        json.loads((models / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("metrics", "transfer", "embeddings")
    )
    for card, heads in CARDS.items():
        inside = "\n".join(_held_out(head, metrics[head]) for head in heads)
        outside = "\n".join(_table(f"{head}, left out", transfer[head]) for head in heads if head in transfer)
        _fill(models / f"{card}.md", {"held-out": inside, "left-out": outside})
    lines = [f"| {name} | {' | '.join(map(str, row.values()))} |" for name, row in embeddings.items()]
    head = list(next(iter(embeddings.values())))
    _fill(models / "embeddings.md", {"intents": "\n".join([_header(["table", *head]), *lines])})


def _held_out(head: str, groups: dict[str, dict[str, Any]]) -> str:
    large = {
        name: group
        for name, group in sorted(groups.items())
        if group["n"] >= MIN_TEXTS or (name.startswith(GRAMMAR) and group["n"] >= MIN_TEXTS // 5)
    }
    return _table(head, {"all": large.pop("all")} | large)


def _table(title: str, groups: dict[str, dict[str, Any]]) -> str:
    used = [key for key in COLUMNS if any(key in group for group in groups.values())]
    lines = [_header([title, *(COLUMNS[key] for key in used)])]
    for name, group in groups.items():
        lines.append(f"| {name} | {' | '.join(_cell(group.get(key)) for key in used)} |")
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _header(names: list[str]) -> str:
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def _fill(path: Path, tables: dict[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for name, table in tables.items():
        mark, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        pattern = re.compile(re.escape(mark) + ".*?" + re.escape(end), re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{path}: the card has no place {mark} … {end} for its table")
        before, after = pattern.split(text, maxsplit=1)
        text = f"{before}{mark}\n{table.strip()}\n{end}{after}"
    write_bytes(path, text.encode())
