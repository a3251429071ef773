"""Texts that hold values to redact: the shapes that the tests of the finders use, in sentences."""

import ast
import random
from functools import cache
from pathlib import Path

from detectors.privacy.finders import find_all

FRAMES = (
    ("Sure, here is what I found in the notes of last week: ", ". Tell me if you need more of it."),
    ("Gern, das steht in den Unterlagen von 2024: ", " – melden Sie sich, wenn noch 3 Dinge fehlen."),
    ("Claro, esto es lo que encontré: ", ", y nada más por ahora."),
    ("Bien sûr, voici ce que j'ai trouvé : ", ". N'hésitez pas à demander la suite."),
    ("Конечно, вот что я нашёл: ", ". Если нужно ещё, скажите."),
    ("好的，这是您要的信息：", "。如果还需要别的，请告诉我。"),
    ("もちろんです。見つかった情報はこちらです：", "。他に必要なものがあればお知らせください。"),
    ("بالتأكيد، هذا ما وجدته: ", "، أخبرني إن احتجت إلى المزيد."),
    ("```json\n{\"note\": \"", "\", \"count\": 12}\n```\n"),
    ("| field | value |\n|---|---|\n| found | ", " |\n\nThat is all, 2 rows in 10:30 minutes.\n"),
)  # fmt: skip


@cache
def shapes() -> list[str]:
    """Return the strings in the tests of this folder: values, and texts with and without them."""
    found: set[str] = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        found |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and 8 <= len(node.value) <= 300
        }
    return sorted(found)


@cache
def values() -> list[str]:
    """Return the shapes with something to redact."""
    return [shape for shape in shapes() if find_all(shape)]


def texts(count: int, seed: int = 0) -> list[str]:
    """Return so many texts of one to three shapes, each in a sentence of some language; one has a value."""
    chance, known = random.Random(seed), shapes()
    made = []
    for _ in range(count):
        found = [chance.choice(values()), *chance.choices(known, k=chance.choice((0, 0, 0, 1, 2)))]
        framed = [(chance.choice(FRAMES), shape) for shape in found]
        parts = [f"{before}{shape}{after}" for (before, after), shape in framed]
        made.append(chance.choice((" ", "\n")).join(parts))
    return made
