"""Types of settings that several rooms share."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode


def _existing_file(path: Path | None) -> Path | None:
    if path is not None and not path.is_file():
        raise ValueError(f"no such file: {path}")
    return path


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


ExistingFile = Annotated[Path, AfterValidator(_existing_file)]
Port = Annotated[int, Field(ge=1, le=65535)]
CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Names; in the environment one text."""
