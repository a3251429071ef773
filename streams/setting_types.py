"""Types of settings that several rooms share."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

_ADDRESS: Final = re.compile(r"[^\s:]+:[0-9]{1,5}")


def _existing_file(path: Path | None) -> Path | None:
    if path is not None and not path.is_file():
        raise ValueError(f"no such file: {path}")
    return path


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError("write host:port, such as 127.0.0.1:9474")
    return value


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


ExistingFile = Annotated[Path, AfterValidator(_existing_file)]
LOOPBACK = ("127.0.0.1", "localhost")
Address = Annotated[str, AfterValidator(_address)]
"""host:port to listen at."""
Port = Annotated[int, Field(ge=1, le=65535)]
CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Names; in the environment one text."""


def has_blank(address: str) -> bool:
    """Return whether there is white space within an address: no host has any in its name."""
    return any(map(str.isspace, address.strip()))


def is_local(address: str) -> bool:
    """Return whether only this machine reaches what listens at an address."""
    return address.rpartition(":")[0] in LOOPBACK


def name_in(headers: Mapping[str, str]) -> str:
    """Return the name by which a request reached us."""
    host = headers.get("Host", "")
    return host.rpartition(":")[0] or host
