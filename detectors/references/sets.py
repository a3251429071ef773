"""Reference sets: their texts, from files or from code."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, get_args

from detectors.errors import DetectorError

ReferenceKind = Literal["topic", "attack"]

FOLDER = Path(__file__).parent
NAME = re.compile(r"[a-z][a-z0-9_]*")


class ReferenceSetError(DetectorError):
    """A reference set that cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class ReferenceSet:
    """Texts to compare with, and what it means to be near them."""

    kind: ReferenceKind
    texts: tuple[str, ...]

    @classmethod
    def load(cls, kind: ReferenceKind, path: Path) -> Self:
        """Return the set of a file, see `load_texts`."""
        return cls(kind, load_texts(path))

    def check(self, name: str) -> None:
        """Raise ReferenceSetError unless the set and its name can be used."""
        if not NAME.fullmatch(name):
            raise ReferenceSetError(
                f"reference set {name!r}: use lower-case letters, digits and _, starting with a letter"
            )
        if self.kind not in get_args(ReferenceKind):
            raise ReferenceSetError(f"reference set {name!r}: its kind is topic or attack, not {self.kind!r}")
        if not self.texts:
            raise ReferenceSetError(f"reference set {name!r}: no references in it")


def load_texts(path: Path) -> tuple[str, ...]:
    """Return the references of a `.txt` (one per line) or `.jsonl` (`{"text": ...}` per line) file.

    Empty lines and, in `.txt`, lines that begin with `#` do not count. Raises ReferenceSetError.
    """
    if path.suffix not in {".txt", ".jsonl"}:
        raise ReferenceSetError(f"{path}: reference files end in .txt (one per line) or .jsonl")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ReferenceSetError(f"{path}: cannot read the reference file ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ReferenceSetError(f"{path}: not UTF-8; save the reference file as UTF-8") from None
    if path.suffix == ".txt":
        texts = [line.strip() for line in lines if not line.startswith("#")]
    else:
        texts = [_text(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    found = tuple(text for text in texts if text)
    if not found:
        raise ReferenceSetError(f"{path}: no references in it; write one per line")
    return found


def _text(path: Path, number: int, line: str) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        raise ReferenceSetError(f'{path}, line {number}: expected an object like {{"text": "a reference"}}')
    return text.strip()


def default_sets() -> Mapping[str, ReferenceSet]:
    """Return the shipped sets: `assistant` (ordinary requests) and `attacks` (attempts to take over)."""
    return {
        "assistant": ReferenceSet.load("topic", FOLDER / "assistant.txt"),
        "attacks": ReferenceSet.load("attack", FOLDER / "attacks.txt"),
    }


def chosen_sets(
    sets: Mapping[str, ReferenceSet] | None, files: Mapping[str, tuple[ReferenceKind, Path]] | None
) -> dict[str, ReferenceSet]:
    """Return `sets` (default: the shipped ones) and those of `files`, all checked.

    Raises ReferenceSetError, also when a file takes the name of another set.
    """
    chosen = dict(default_sets() if sets is None else sets)
    for name, (kind, path) in (files or {}).items():
        if name in chosen:
            raise ReferenceSetError(f"reference set {name!r}: there is one of that name; choose another")
        chosen[name] = ReferenceSet.load(kind, path)
    if not chosen:
        raise ReferenceSetError("references: name at least one reference set")
    for name, one in chosen.items():
        one.check(name)
    return chosen
