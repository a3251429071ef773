"""When the rules of a policy hit: as it was when it came into force, or as the file has it."""

import contextlib
import json
from pathlib import Path
from typing import Any

from streams.desk.asked import Asked, Row
from streams.desk.questions import policy as questions
from streams.errors import UserError
from streams.policy.yaml_subset import MAX_BYTES, YamlError, read


def text_of(path: Path) -> str:
    """Return what is in the policy file; `UserError` where it cannot be read."""
    try:
        return path.read_bytes()[:MAX_BYTES].decode("utf-8", "replace")
    except OSError as error:
        raise UserError(f"the policy file cannot be read: {error.strerror}") from None


def conditions(asked: Asked, row: Row, path: Path) -> dict[str, str]:
    """Return the conditions of each rule of the policy that decided an event, as far as they are known.

    The store has them since the policy came into force; the file, if it still has that version.
    """
    for found in questions.rules_of(asked, row["policy_hash"]):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return {str(rule["id"]): _said(rule) for rule in json.loads(found["rules"])}
    return in_file(path, row["policy_version"])


def in_file(path: Path, version: str = "") -> dict[str, str]:
    """Return those of the file; none where it cannot be read, or is not of the version that is asked for."""
    try:
        document: Any = read(path.read_bytes()[: MAX_BYTES + 1]).value
        if version and str(document["version"]) != version:
            return {}
        return {str(rule["id"]): _said(rule) for rule in document["rules"]}
    except (OSError, ValueError, YamlError, KeyError, TypeError):
        return {}


def _said(rule: dict[str, Any]) -> str:
    when = " and ".join(map(_condition, rule["when"]))
    unless = " or ".join(map(_condition, rule.get("unless", ())))
    return f"{when}, unless {unless}" if unless else when


def _condition(given: Any) -> str:
    if not isinstance(given, dict):
        return str(given)
    words = {"any": " or ", "all": " and "}
    parts = [words.get(key, ", ").join(map(_condition, each)) for key, each in given.items()]
    return f"({' and '.join(parts)})"
