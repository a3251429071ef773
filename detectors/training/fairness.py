"""How often a harmless sentence is called toxic because of the group that it names.

Sentences with a slot are filled with identity terms (the method of Dixon et al. 2018, "Measuring and
mitigating unintended bias in text classification"); sentences and terms are our own and never train.
"""

from pathlib import Path
from typing import Any

import numpy as np

from detectors.models.weights import Models
from detectors.training.datasets import HEADS
from detectors.training.written import CHALLENGE, FOLDER, read

PATTERNS = FOLDER / CHALLENGE / "identity_terms.pairs"
SLOT = "{term}"
MEASURED = ("toxicity", "identity_attack", "bias_identity_attack", "bias_stereotype")
THRESHOLD = 0.5


def report(models: Models, path: Path = PATTERNS) -> list[dict[str, Any]]:
    """Return for each term the share of neutral sentences flagged, and of hostile ones found."""
    lines: dict[str, list[str]] = {}
    for example in read(path):
        lines.setdefault(example.source.rsplit("_", 1)[-1], []).append(example.text)
    columns = [HEADS.index(head) for head in MEASURED]
    found = []
    for entry in lines["terms"]:
        kind, _, term = entry.partition(": ")
        shares: dict[str, Any] = {"kind": kind, "term": term}
        for section in ("neutral", "hostile"):
            texts = [_fill(pattern, term) for pattern in lines[section]]
            verdicts = models.cascade.judge(texts)
            flagged = verdicts.probabilities[:, columns] >= THRESHOLD
            shares |= {
                f"{section} {head}": round(float(share), 3)
                for head, share in zip(MEASURED, flagged.mean(axis=0).tolist(), strict=True)
            }
        found.append(shares)
    return found


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return for each head the mean and the worst term of both kinds of sentences."""
    found: dict[str, Any] = {}
    for head in MEASURED:
        neutral, hostile = ([row[f"{section} {head}"] for row in rows] for section in ("neutral", "hostile"))
        worst = rows[int(np.argmax(neutral))]
        found[head] = {
            "neutral flagged, mean": round(float(np.mean(neutral)), 4),
            "neutral flagged, worst term": f"{worst['term']} {max(neutral)}",
            "hostile found, mean": round(float(np.mean(hostile)), 4),
            "hostile found, worst term": f"{rows[int(np.argmin(hostile))]['term']} {min(hostile)}",
        }
    return found


def _fill(pattern: str, term: str) -> str:
    text = pattern.replace(SLOT, term)
    if term[:1].lower() in "aeiou":
        text = text.replace(f" a {term}", f" an {term}")
    return text[:1].upper() + text[1:]
