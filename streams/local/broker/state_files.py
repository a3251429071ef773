"""Small files beside the logs: replaced as a whole, and named where they cannot be read."""

import json
from pathlib import Path
from typing import Any


def write_atomically(path: Path, text: str) -> None:
    """Replace a file as a whole: a crash leaves the old one or the new one."""
    temporary = path.with_suffix(".new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def read_json(path: Path, missing: Any = None) -> Any:
    """Return what was written; `missing` where there is no such file.

    `OSError` says what to do about a torn one: a loss of power may leave an empty file, or half of one.
    """
    try:
        return json.loads(path.read_bytes()) if path.exists() else missing
    except (ValueError, RecursionError):
        raise damaged(path) from None


def damaged(path: Path) -> OSError:
    """Return the error that says what to do about a file beside the topics that cannot be read."""
    return OSError(
        f"{path} is damaged: put back a copy of it, or remove {path.parent} to begin with empty topics"
    )
