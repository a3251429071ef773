"""Counts what finders of personal data and credentials see in code and documentation.

`python -m bench.false_alarms [FOLDER ...]`
Addresses of e-mail are counted apart: in documentation they are those of people, and rightly found.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

from detectors.privacy.finders import find_all

FOLDERS = (
    "/usr/lib/python3",
    "/usr/share/doc",
    *(path for path in sys.path if path.endswith("site-packages")),
)
ENDINGS = {
    ".py",
    ".pyi",
    ".txt",
    ".md",
    ".rst",
    ".json",
    ".toml",
    ".c",
    ".h",
    ".html",
    ".js",
    ".css",
    ".csv",
    "",
}
PHONE_BOOK = "phonenumbers"
"""A package of phone numbers."""
CHARACTERS = 3_000_000
LARGEST = 50_000
"""Characters of a file that count."""


def texts(folder: Path, seed: int = 1) -> Iterator[str]:
    """Yield the texts below a folder in an order of chance, about `CHARACTERS` together."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in ENDINGS and path.is_file())
    files = [path for path in files if PHONE_BOOK not in path.parts]
    Random(seed).shuffle(files)
    read = 0
    for path in files:
        try:
            text = path.read_text("utf-8")[:LARGEST]
        except (OSError, UnicodeDecodeError):
            continue
        yield text
        if (read := read + len(text)) >= CHARACTERS:
            return


def main(folders: list[str]) -> None:
    """Print a line for each folder: findings by kind, and those per 100,000 characters."""
    for folder in folders or FOLDERS:
        found: Counter[str] = Counter()
        read = 0
        for text in texts(Path(folder)):
            read += len(text)
            found.update(finding.kind for finding in find_all(text))
        others = found.total() - found["EMAIL"]
        print(f"{folder}: {read:,} characters, {others * 1e5 / max(read, 1):.2f} per 100,000 {dict(found)}")


if __name__ == "__main__":
    main(sys.argv[1:])
