"""Settings: the environment (`WEIR_…`), a `.env` file, or files in `WEIR_SECRETS_DIR`."""

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from streams.alerts.settings import AlertSettings
from streams.decisions.settings import DecisionSettings
from streams.desk.settings import DeskSettings
from streams.errors import SettingsError, did_you_mean
from streams.gate.settings import GateSettings
from streams.kafka.settings import DeadLetterSettings, KafkaSettings
from streams.monitors.settings import WatchSettings
from streams.store.settings import ArchiveSettings, StoreSettings
from streams.telemetry.settings import TelemetrySettings

_SECRETS: Final = re.compile("PASSWORD|SECRET|TOKEN|_KEY$")
_CREDENTIALS: Final = re.compile(r"//[^/@\s]*@")


# The last comes first in docs/settings.md.
class Settings(
    TelemetrySettings, AlertSettings, DeskSettings, GateSettings, WatchSettings, ArchiveSettings,
    DeadLetterSettings, DecisionSettings, StoreSettings, KafkaSettings, BaseSettings,
):  # fmt: skip
    """Everything that differs between two installations: the settings of every room, read together."""

    model_config = SettingsConfigDict(
        env_prefix="WEIR_", env_file=".env", extra="ignore", hide_input_in_errors=True, env_ignore_empty=True
    )


MISSPELT: Final = 0.8
"""How alike a name must be, without what is before it in all."""


def load(**overrides: Any) -> Settings:
    """Read the settings; raise `SettingsError` with one line per problem."""
    folder = os.environ.get("WEIR_SECRETS_DIR")
    if folder and not Path(folder).is_dir():
        raise SettingsError(f"WEIR_SECRETS_DIR: no such folder: {folder}")
    try:
        return Settings(_secrets_dir=folder or None, **overrides)
    except SourceError as error:
        raise SettingsError(
            f'{_variable(error)}: JSON was expected, such as {{"name": "topic:FILE"}}'
        ) from None
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_input=False, include_url=False):
            name = "_".join(str(part) for part in problem["loc"][:1])
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"WEIR_{name.upper()}: {message}" if name else message)
        raise SettingsError("\n".join(lines)) from None


def unread(environment: Iterable[str]) -> dict[str, str]:
    """Return the `WEIR_` variables that nothing reads, each with which one may be meant, or with ""."""
    known = {f"WEIR_{name.upper()}" for name in Settings.model_fields} | {"WEIR_SECRETS_DIR"}
    names = sorted(name for name in environment if name.upper().startswith("WEIR_"))
    return {name: did_you_mean(name.upper(), known) for name in names if name.upper() not in known}


def misspelt(environment: Iterable[str]) -> dict[str, str]:
    """Return those of `unread` that differ from a setting by a letter or two, each with that one's name."""
    fields = [name.upper() for name in Settings.model_fields]
    near = {
        name: get_close_matches(name.upper().removeprefix("WEIR_"), fields, 1, MISSPELT)
        for name in unread(environment)
    }
    return {name: f"WEIR_{found[0]}" for name, found in near.items() if found}


def masked(name: str, value: str) -> str:
    """Return the value of a variable as it may be shown."""
    field = Settings.model_fields.get(name.upper().removeprefix("WEIR_").lower())
    if _SECRETS.search(name.upper()) or (field is not None and "Secret" in str(field.annotation)):
        return "(set, hidden)" if value else "(empty)"
    return _CREDENTIALS.sub("//(hidden)@", value)


def _variable(error: SourceError) -> str:
    """Return the variable that pydantic-settings could not read as JSON; its message quotes the field."""
    return next(
        (f"WEIR_{name.upper()}" for name in Settings.model_fields if f'"{name}"' in str(error)), "WEIR_…"
    )
