"""Texts that we wrote ourselves, line by line: what no public set has enough of, and its harmless twins.

A file holds sections: a line `@ name label=1 label=0 ...`, then one text per line. A line break in a text
is written `\\n`, a backslash `\\\\`. The label `harmless` stands for all labels of `HARMLESS` being 0.
"""

from collections.abc import Iterator
from pathlib import Path

from detectors.training.corpus import Example

FOLDER = Path(__file__).parent
WRITTEN = "written"
"""Folder of the files that train, and the prefix of their sources."""
CHALLENGE = "challenge"
"""Folder of the files that only ever test, and the prefix of their sources."""
HARMLESS = (
    *("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack"),
    *("bias_identity_attack", "bias_stereotype", "injection", "harmful_request"),
)
LANGUAGES = frozenset(
    [
        *("ar", "cs", "de", "el", "en", "es", "fa", "fr", "hi", "id", "it", "ja"),
        *("ko", "nl", "pl", "pt", "ru", "sv", "sw", "th", "tr", "uk", "ur", "vi", "zh"),
    ]
)
"""As a part of the name of a file or a section: its texts are in that language."""
LABELS = frozenset((*HARMLESS, "refusal"))


def examples() -> Iterator[Example]:
    """Yield the texts that train, none that is also a challenge; a part stays in the split `test`."""
    apart = {example.key for example in challenges()}
    for path in sorted((FOLDER / WRITTEN).glob("*.txt")):
        yield from (example for example in read(path) if example.key not in apart)


def challenges() -> Iterator[Example]:
    """Yield the texts that were written apart from the others and never train."""
    for path in sorted((FOLDER / CHALLENGE).glob("*.txt")):
        yield from read(path, held_out=True)


def read(path: Path, *, held_out: bool = False) -> Iterator[Example]:
    """Yield the texts of one file, with the source `<folder>_<file>_<section>`."""
    source, lang, labels = "", "", dict[str, float]()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("@ "):
            name, *words = line[2:].split()
            source = f"{path.parent.name}_{path.stem}_{name}"
            lang = next((part for part in source.split("_") if part in LANGUAGES), "")
            labels = _labels(words, f"{path.name}:{number}")
        elif line.strip():
            text = line.strip().replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")
            yield Example(text, source, labels, held_out=held_out, lang=lang)


def _labels(words: list[str], where: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for word in words:
        label, _, value = word.partition("=")
        if label == "harmless" and not value:
            found |= dict.fromkeys(HARMLESS, 0.0)
        elif label in LABELS and value in {"0", "1"}:
            found[label] = float(value)
        else:
            raise SystemExit(
                f"{where}: {word!r} is no label: write one of {', '.join(sorted(LABELS))}=0 or =1"
            )
    return found
