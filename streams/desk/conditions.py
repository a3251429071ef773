"""What stands in the policy file: its text, and when its rules hit."""

from pathlib import Path
from typing import Any

from streams.errors import UserError
from streams.policy.yaml_subset import MAX_BYTES, YamlError, read


def text_of(path: Path) -> str:
    """Return what is in the policy file; `UserError` where it cannot be read."""
    try:
        return path.read_bytes()[:MAX_BYTES].decode("utf-8", "replace")
    except OSError as error:
        raise UserError(f"the policy file cannot be read: {error.strerror}") from None


def conditions(path: Path, version: str) -> dict[str, str]:
    """Return the conditions of each rule, where the file has that version of the policy; else nothing.

    Nothing is checked here: the rules of a decision were a policy then.
    """
    try:
        document: Any = read(path.read_bytes()[: MAX_BYTES + 1]).value
        if str(document["version"]) != version:
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
