"""The labelled data: one gzipped CSV per subject, columns as in the data's own description."""

import csv
import gzip
import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

Split = Literal["fit", "calibrate", "test"]

NATURAL = "jigsaw_train_natural"
"""Comments at their natural rate of toxicity: calibrates the six labels, so more of it is kept for that."""


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled text; `labels` by head, a head that is absent is unknown for this text."""

    text: str
    source: str
    labels: dict[str, float] = field(default_factory=dict)
    group: str = ""
    """Texts of one group (a pair, a shared context) stay in one split; by default the text itself."""
    held_out: bool = False
    """In the split `test` whatever the group."""
    lang: str = ""
    """ISO 639-1, where the source says it."""
    weak: bool = False
    """The label is assumed, by rule or by machine."""
    tables: frozenset[str] = frozenset()
    """The subjects that state a label; what other heads' labels say is implied."""

    @property
    def second_pool(self) -> bool:
        """It is of the pool `more`, whose tables say the language of every text."""
        return bool(self.tables and self.lang)

    @property
    def english(self) -> bool:
        """It is in English, for all that its source says."""
        return self.lang in {"", "en"}

    @property
    def key(self) -> str:
        """What keeps copies together: the group, or the text without case and spacing."""
        return self.group or " ".join(self.text.lower().split())

    @property
    def split(self) -> Split:
        """The split, from a hash of the group: 70/10/20 percent, 40/40/20 of the calibrating source."""
        part = hashlib.sha256(self.key.encode("utf-8", "replace")).digest()[0] / 256
        if self.held_out or part >= 0.8:
            return "test"
        return "fit" if part < (0.4 if self.source == NATURAL else 0.7) else "calibrate"


def rows(folder: Path, subject: str) -> Iterator[dict[str, str]]:
    """Yield the rows of `<subject>.csv.gz` that have a text; exits with a message if there is no file."""
    path = folder / f"{subject}.csv.gz"
    if not path.is_file():
        raise SystemExit(f"{path}: no such file; --data names the folder that holds {subject}.csv.gz")
    csv.field_size_limit(sys.maxsize)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        yield from (row for row in csv.DictReader(lines) if row["text"].strip())


def texts(folder: Path, *subjects: str) -> list[str]:
    """Return all texts of the subjects, for counting tokens."""
    return [row["text"] for subject in subjects for row in rows(folder, subject)]


def stated(examples: Iterable[Example], *tables: str) -> Iterator[Example]:
    """Yield the examples as stated by these tables."""
    yield from (replace(example, tables=frozenset(tables)) for example in examples)
