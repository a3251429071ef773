"""Writes the parts of the documentation that are made from the code: `make docs`."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from schemas.topics import CHANNELS, STATE, USAGE, Channel
from streams.gate.openapi import document
from streams.policy import DEFAULT_POLICY
from streams.settings import Settings
from streams.telemetry import catalogue

FOLDER = Path(__file__).parent


def settings() -> str:
    """Return the table of the settings."""
    rows = [
        f"| `WEIR_{name.upper()}` | {_default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return _table(("variable", "default", "what it is"), rows)


def metrics() -> str:
    """Return the table of the Prometheus metrics."""
    rows = [
        f"| `{each.name}` | {each.kind} | {', '.join(f'`{label}`' for label in each.labels)} | {each.help} |"
        for each in catalogue.ALL
    ]
    return _table(("metric", "type", "labels", "what it is"), rows)


def topics() -> str:
    """Return the table of the topics."""
    rows = [
        f"| `{c.topic}` | `{c.name}` | {c.tail and f'`{c.tail}`'} | {c.key} | {c.writers} |" for c in CHANNELS
    ]
    state = "internal: snapshots of watch, in the partition of their scores, and of notify"
    rows.append(f"| `{STATE}` | {state} | | not part of the contract | watch, notify |")
    usage = "internal: what users, conversations, apps and tenants used lately"
    rows.append(f"| `{USAGE}` | {usage} | | not part of the contract | watch |")
    return _table(("topic", "message (`weir schema`)", "`weir tail`", "key", "written by"), rows)


def retention() -> str:
    """Return the table of what is kept how long, of topics and tables."""
    rows = [f"| `{each.topic}` | {_days(each.hours)} | {_rows(each)} |" for each in CHANNELS]
    return _table(("topic", "messages are kept for", "rows in ClickHouse"), rows)


def _days(hours: int) -> str:
    if not hours:
        return "the last of each key, for ever"
    return f"{hours} hours" if hours <= 72 else f"{hours // 24} days"


def _rows(channel: Channel) -> str:
    if not channel.table:
        return ""
    return f"`{channel.table}`, {'`WEIR_EVENTS_TTL_DAYS`' if channel.expires else 'for ever'}"


PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "settings": ("settings.md", settings),
    "metrics": ("operations.md", metrics),
    "topics": ("events.md", topics),
    "retention": ("deployment.md", retention),
}
"""Each part by its name between `<!-- name -->` and `<!-- /name -->`, with its page and what makes it."""


def page(part: str) -> tuple[Path, str, str]:
    """Return the page of a part, its text as it is and as it should be."""
    name, make = PARTS[part]
    before = (FOLDER / name).read_text("utf-8")
    begin, end = f"<!-- {part} -->\n", f"<!-- /{part} -->"
    after = re.sub(f"{begin}.*?{end}", lambda _: f"{begin}{make()}{end}", before, flags=re.DOTALL)
    return FOLDER / name, before, after


def openapi() -> tuple[Path, str, str]:
    """Return the file that describes the gate, its text as it is and as it should be."""
    path = FOLDER / "openapi.json"
    before = path.read_text("utf-8") if path.exists() else ""
    return path, before, json.dumps(document(), indent=1) + "\n"


def _table(head: tuple[str, ...], rows: list[str]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows]) + "\n"


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value == DEFAULT_POLICY:
        return "the one that ships"
    if value is None or value in ("", {}, ()):
        return ""
    return f"`{','.join(value)}`" if isinstance(value, tuple) else f"`{value}`"


def main() -> int:
    """Write the pages, or with `--check` say whether they are up to date."""
    stale = False
    for path, before, after in [*(page(part) for part in PARTS), openapi()]:
        stale |= before != after
        if "--check" not in sys.argv:
            path.write_text(after, "utf-8")
    return int(stale and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
