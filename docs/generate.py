"""Writes the parts of the documentation that are made from the code: `make docs`."""

import sys
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from streams.settings import POLICY, Settings

SETTINGS = Path(__file__).parent / "settings.md"
INTRODUCTION = """# Settings

Every setting is an environment variable. weir also reads a `.env` file in the working directory and, where
`WEIR_SECRETS_DIR` names a folder, a file per setting in it (`weir_kafka_password`, …), as Docker and
Kubernetes mount secrets. The environment wins over `.env`, and `.env` over files. `weir doctor` shows what
is in force.

This page is made from the code by `make docs`.

| variable | default | what it is |
|---|---|---|
"""


def settings_page() -> str:
    """Return the text of `docs/settings.md`."""
    rows = [
        f"| `WEIR_{name.upper()}` | {_default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return INTRODUCTION + "\n".join(rows) + "\n"


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value == POLICY:
        return "the one that ships"
    if value is None or value in ("", {}, ()):
        return ""
    return f"`{','.join(value)}`" if isinstance(value, tuple) else f"`{value}`"


def main() -> int:
    """Write the pages, or with `--check` say whether they are up to date."""
    if "--check" in sys.argv:
        return int(SETTINGS.read_text("utf-8") != settings_page())
    SETTINGS.write_text(settings_page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
