"""Our own examples, from small grammars: attacks and insults beside harmless texts with the same words."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from detectors.training.corpus import Example

FOLDER = Path(__file__).parent
SOURCE = "grammar_"
"""Prefix of the source name of these examples."""
ATTACKS = SOURCE + "attack"
DEPTH = 6

_SLOT = re.compile(r"\$\((\w+)\)")


def examples(seed: int) -> list[Example]:
    """Return the distinct examples of all grammars, the same for the same seed."""
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        grammar = yaml.safe_load(path.read_text(encoding="utf-8"))
        found += list(_expand(grammar, random.Random(f"{seed} {path.stem}")))  # noqa: S311 (no secret)
    return found


def _expand(grammar: dict[str, Any], chance: random.Random) -> Iterator[Example]:
    for group in grammar["sets"]:
        labels = {head: float(label) for head, label in group["labels"].items()}
        seen = set()
        for _ in range(group["count"]):
            seen.add(_fill(f"$({group['patterns']})", grammar["slots"], chance))
        for text in sorted(seen):
            yield Example(text, SOURCE + group["name"], labels)


def _fill(pattern: str, slots: dict[str, list[str]], chance: random.Random) -> str:
    for _ in range(DEPTH):
        pattern = _SLOT.sub(lambda match: str(chance.choice(slots[match[1]])), pattern)
    return pattern
