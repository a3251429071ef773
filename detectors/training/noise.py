"""Our own adversarial suffixes: requests for harm that end in noise, beside harmless texts that end in data.

Suffixes found by search (GCG: Zou et al. 2023, "Universal and transferable adversarial attacks on aligned
language models") are tokens that no writer would put side by side: words, parts of words, brackets, code.
"""

import base64
import random
from collections.abc import Callable, Iterator, Sequence

from detectors.training.corpus import Example

SOURCE = "grammar_noise"
COUNT = 1500
"""Of either kind."""
TOKENS = (10, 28)
"""In a suffix."""
MAX_REQUEST = 300
"""Characters of what comes before the noise."""
MARKS = "!?.,;:()[]{}<>/\\|\"'`~@#$%^&*+=-_"
CODE = (
    "]( ",
    "});",
    "\\\\",
    "{{",
    "}}",
    "=>",
    "##",
    "():",
    "++ ",
    "*/",
    '"{',
    "'].",
    "--[",
    "!--",
    "\\<",
    ");}",
)

Draw = Callable[[random.Random], str]


def examples(found: Sequence[Example], words: Sequence[str], seed: int) -> Iterator[Example]:
    """Yield our own requests with a tail: noise after requests for harm, data after harmless ones.

    Args:
        found: all examples, of which our own requests are taken.
        words: a vocabulary, parts of words begin with `##`.
        seed: of what is drawn.

    """
    chance = random.Random(seed)  # noqa: S311 (no secret)
    own = [e for e in found if e.source.startswith("written") and len(e.text) <= MAX_REQUEST]
    harmful = [e for e in own if e.labels.get("harmful_request") == 1]
    harmless = [e for e in own if e.labels.get("harmful_request") == 0 and e.labels.get("injection") == 0]
    for example in chance.sample(harmful, min(COUNT, len(harmful))):
        tail = _noise(words, chance)
        text = f"{example.text} {tail}" if chance.random() < 0.85 else f"{tail} {example.text}"
        yield Example(text, SOURCE + "_suffix", {"injection": 1.0, "harmful_request": 1.0}, example.key)
    for example in chance.sample(harmless, min(COUNT, len(harmless))):
        labels = {"injection": 0.0, "harmful_request": 0.0}
        yield Example(f"{example.text} {_data(chance)}", SOURCE + "_data", labels, example.key)


def _noise(words: Sequence[str], chance: random.Random) -> str:
    """Return tokens that have nothing to do with each other, with or without blanks between them."""
    tail = ""
    marks, code = chance.uniform(0.05, 0.35), chance.uniform(0.0, 0.2)
    for _ in range(chance.randint(*TOKENS)):
        kind = chance.random()
        if kind < marks:
            tail += chance.choice(MARKS) * chance.choice((1, 1, 1, 2))
        elif kind < marks + code:
            tail += chance.choice(CODE)
        else:
            word = chance.choice(words)
            joined = word.startswith("##") or chance.random() < 0.15
            word = word.removeprefix("##")
            word = chance.choice((word, word, word.capitalize(), word.upper()))
            tail += word if joined else " " + word
    return tail.strip()


def _data(chance: random.Random) -> str:
    """Return what looks like noise and is none: an id, a hash, base64, a line of a log, of code."""
    made: tuple[Draw, ...] = (
        lambda c: f"{c.getrandbits(128):032x}",
        lambda c: base64.b64encode(c.randbytes(c.randint(12, 60))).decode(),
        lambda c: " ".join(
            f"{c.choice('ABCXYZ')}{c.randint(10, 99)}-{c.randint(1000, 99999)}" for _ in range(5)
        ),
        lambda c: (
            f"[{c.randint(10, 23)}:{c.randint(10, 59)}] ERR 0x{c.getrandbits(32):08x} "
            f"at core/{c.randint(1, 9)}.c:{c.randint(9, 900)}"
        ),
        lambda c: (
            f"for(i=0;i<{c.randint(2, 99)};i++){{s[i]^=k[i%{c.randint(2, 9)}];}} // {c.getrandbits(24):x}"
        ),
        lambda c: "; ".join(f"{c.choice('abxyz')}={c.uniform(-9, 9):.3f}" for _ in range(c.randint(4, 10))),
        lambda c: f"(ref. {c.getrandbits(40):x}/{c.randint(1, 12):02d}-{c.randint(20, 29)})",
        lambda c: (
            "{"
            + ", ".join(f'"{c.choice("kvqw")}{c.randint(1, 9)}": {c.randint(0, 999)}' for _ in range(4))
            + "}"
        ),
        lambda c: "| " + " | ".join(str(c.randint(0, 9999)) for _ in range(c.randint(4, 9))) + " |",
    )
    return chance.choice(made)(chance)
