"""The tables of the model cards, written from the metrics files: no figure is typed by hand."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectors.training.datasets import BIAS, TOXICITY
from detectors.training.files import write_bytes
from detectors.training.targets import MEANS, targets

CARDS = {
    "toxicity": TOXICITY,
    "injection": ("injection",),
    "harm": ("harmful_request",),
    "bias": BIAS,
    "refusal": ("refusal",),
}
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
TARGET_COLUMNS = ("what", "on", "target", "measured", "met")
MIN_TEXTS = 60
"""Smaller sources are in `metrics.json` only."""


def write_cards(models: Path, page: Path | None = None) -> None:
    """Put the tables of the JSON files of `models` into the cards beside them, and all of it into `page`."""
    metrics, rotations, embeddings = (
        json.loads((models / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("metrics", "rotations", "embeddings")
    )
    heads = metrics["heads"]
    for card, names in CARDS.items():
        inside = "\n".join(_held_out(head, heads[head]) for head in names)
        outside = "\n".join(
            _left_out(head, rotations["heads"]) for head in names if head in rotations["heads"]
        )
        fill(models / f"{card}.md", {"held-out": inside, "left-out": outside})
    lines = [f"| {name} | {' | '.join(map(str, row.values()))} |" for name, row in embeddings.items()]
    head = list(next(iter(embeddings.values())))
    fill(models / "embeddings.md", {"intents": "\n".join([_header(["table", *head]), *lines])})
    if page is not None:
        fill(page, _page(metrics, rotations))


def _page(metrics: dict[str, Any], rotations: dict[str, Any]) -> dict[str, str]:
    """Return the tables of the page on evaluation."""
    fairness = {head: dict(row) for head, row in metrics["fairness"].items()}
    shares = {
        f"{kind} texts that the {tier} reads": share
        for tier, kinds in metrics["passed"].items()
        for kind, share in kinds.items()
    } | {f"over-defence: flagged for {head}": share for head, share in metrics["over_defence"].items()}
    return {
        "machine": metrics["machine"],
        "targets": _rows(targets(metrics, rotations), {name: name for name in TARGET_COLUMNS}),
        "table": measured(metrics["table"]),
        "rotations": "\n".join(_left_out(head, rotations["heads"]) for head in rotations["heads"]),
        "false-alarms": _plain(rotations["false_alarms"]["cascade"]),
        "found": _plain(rotations["found"]),
        "speed": _wide({"texts per second, one core": metrics["texts_per_second"]}),
        "shares": _rows(
            [{"share": name, "value": value} for name, value in shares.items()],
            {"share": "", "value": "share"},
        ),
        "fairness": _wide(fairness),
    }


def measured(rows: list[dict[str, Any]]) -> str:
    """Return the rows of `table.measure` as a table."""
    return _rows(rows, {"set": "set", "head": "head", "tier": "tier"} | COLUMNS)


def _rows(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    used = [key for key in columns if any(key in row for row in rows)]
    lines = [_header([columns[key] for key in used])]
    lines += [f"| {' | '.join(_cell(row.get(key)) for key in used)} |" for row in rows]
    return "\n".join(lines)


def _wide(rows: dict[str, dict[str, Any]]) -> str:
    names = list(next(iter(rows.values())))
    return _rows(
        [{"": title} | row for title, row in rows.items()], {"": ""} | {name: name for name in names}
    )


def _left_out(head: str, heads: dict[str, Any]) -> str:
    """Return the means of each tier, and the families and rotations of the cascade."""
    rows = [
        {"set": mean, "tier": tier} | found[mean] for mean in MEANS for tier, found in heads[head].items()
    ]
    for part in ("rotations", "families"):
        rows += [{"set": name, "tier": "cascade"} | row for name, row in heads[head]["cascade"][part].items()]
    return _rows(rows, {"set": f"{head}, left out", "tier": "tier"} | COLUMNS) + "\n"


def _plain(rows: list[dict[str, Any]]) -> str:
    names = {name: name.replace("_", " ") for row in rows for name in row}
    return _rows(rows, names)


def table(title: str, groups: Mapping[str, Mapping[str, Any]]) -> str:
    """Return reports as a table, one row for each group."""
    rows = [{"set": name} | dict(group) for name, group in groups.items()]
    return _rows(rows, {"set": title} | COLUMNS) + "\n"


def _held_out(head: str, groups: dict[str, dict[str, Any]]) -> str:
    large = {name: group for name, group in sorted(groups.items()) if group["n"] >= MIN_TEXTS}
    return table(head, {"all": large.pop("all")} | large)


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _header(names: list[str]) -> str:
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def fill(path: Path, tables: Mapping[str, str]) -> None:
    """Put each table between the marks of its name in a page."""
    if not path.is_file():  # a folder of weights alone
        return
    text = path.read_text(encoding="utf-8")
    for name, table in tables.items():
        mark, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        pattern = re.compile(re.escape(mark) + ".*?" + re.escape(end), re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{path}: the card has no place {mark} … {end} for its table")
        before, after = pattern.split(text, maxsplit=1)
        text = f"{before}{mark}\n{table.strip()}\n{end}{after}"
    write_bytes(path, text.encode())
