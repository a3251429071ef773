"""Settings of the store."""

from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, model_validator

from streams.setting_types import ExistingFile, has_blank


class ArchiveSettings(BaseModel):
    """How many rows the archive inserts at once."""

    archive_rows: int = Field(5_000, ge=1, description="Rows of one insert, at most")
    archive_bytes: int = Field(
        16_777_216, ge=65_536, description="Bytes of the messages of one insert, at most"
    )
    archive_linger_s: float = Field(1.0, ge=0, description="How long to collect rows for one insert")


class StoreSettings(BaseModel):
    """How ClickHouse is reached, and how long rows are kept."""

    clickhouse: str = Field(
        "http://127.0.0.1:8123", description="URL of the HTTP interface; https:// for TLS"
    )
    clickhouse_user: str = Field("default", description="User")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="Password")
    clickhouse_database: str = Field("weir", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Database")
    clickhouse_ca_file: ExistingFile | None = Field(None, description="CA certificate of the server (PEM)")
    clickhouse_timeout_s: float = Field(
        30.0, ge=1, description="Of one insert or query without an answer; twice as long in all"
    )
    events_ttl_days: int = Field(90, ge=0, description="Rows are deleted after so many days; 0 keeps them")

    @model_validator(mode="after")
    def _a_url(self) -> Self:
        parts = urlsplit(self.clickhouse)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                "WEIR_CLICKHOUSE must be a URL of the HTTP interface, for example http://127.0.0.1:8123"
            )
        if parts.password:
            raise ValueError("WEIR_CLICKHOUSE must not hold a password: set WEIR_CLICKHOUSE_PASSWORD")
        if has_blank(self.clickhouse):
            raise ValueError(f"WEIR_CLICKHOUSE: {self.clickhouse!r} has a blank in it")
        return self
