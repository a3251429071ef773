"""JSON Schema (draft 2020-12) of every message, for other languages.

`python -m schemas.export` writes `schemas/json/<message>.json`; with `--check` it writes nothing and
exits 1 when a file is not what it would write.
"""

import argparse
import ast
import inspect
import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas import alerts, drift, events, policy, reviews
from schemas.topics import MESSAGES

_MODULES: Final = (events, alerts, drift, policy, reviews)
DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
DIRECTORY: Final = Path(__file__).parent / "json"


def json_schema(name: str) -> dict[str, Any]:
    """Return the schema of one of `MESSAGES`; it allows unknown properties, as the decoder does."""
    schema = {"$schema": DRAFT, "$id": f"urn:weir:{name}", **msgspec.json.schema(MESSAGES[name])}
    for title, definition in schema["$defs"].items():
        definition["description"] = inspect.cleandoc(definition["description"])
        message = next(getattr(each, title) for each in _MODULES if hasattr(each, title))
        for field, text in field_descriptions(message).items():
            definition["properties"][field]["description"] = text
    return schema


def field_descriptions(message: type[msgspec.Struct]) -> dict[str, str]:
    """Return the docstrings written below the fields of a message, by field."""
    definition = ast.parse(inspect.getsource(message)).body[0]
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(below.value.value, str)
    }


def rendered() -> dict[Path, str]:
    """Return what each file should hold, by path."""
    return {
        DIRECTORY / f"{name}.json": json.dumps(json_schema(name), indent=2, ensure_ascii=False) + "\n"
        for name in MESSAGES
    }


def stale() -> list[Path]:
    """Return the files that are missing, out of date, or of no message any more."""
    expected = rendered()
    wrong = [path for path, text in expected.items() if not path.exists() or path.read_text("utf-8") != text]
    return sorted(wrong + [path for path in DIRECTORY.glob("*.json") if path not in expected])


def write() -> None:
    """Bring every file up to date."""
    DIRECTORY.mkdir(exist_ok=True)
    for path in stale():
        path.unlink(missing_ok=True)
    for path, text in rendered().items():
        path.write_text(text, "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or check them; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m schemas.export", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is stale")
    if not parser.parse_args(arguments).check:
        write()
        return 0
    wrong = stale()
    for path in wrong:
        print(f"{path.name} is stale: run `python -m schemas.export`", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
