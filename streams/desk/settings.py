"""Settings of the desk."""

from typing import Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from streams.setting_types import Address, CommaSeparated, Port, is_local


class DeskSettings(BaseModel):
    """Where the desk listens, and who gets in."""

    desk_listen: Address = Field(
        "127.0.0.1:9490",
        description="Where the desk answers, host:port; another host than this machine needs a password, or "
        "a proxy that says who asks",
    )
    desk_port: Port = Field(9475, description="HTTP port of the desk's metrics and health")
    desk_password: SecretStr = Field(
        SecretStr(""), description="Password of the desk; the user name is whatever a reviewer calls himself"
    )
    desk_viewer_password: SecretStr = Field(
        SecretStr(""), description="Password of those who may look and not judge; needs the other one, too"
    )
    desk_user_header: str = Field(
        "",
        pattern=r"^[A-Za-z0-9-]*$",
        description="Header in which a proxy names who asks, such as X-Forwarded-User",
    )
    desk_proxies: CommaSeparated = Field(
        ("127.0.0.1", "::1"), description="Addresses of the proxies whose header is believed"
    )
    desk_reviewers: CommaSeparated = Field(
        (), description="Names, as the proxy gives them, of who may judge; empty: everybody that it lets in"
    )

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the desk."""
        return is_local(self.desk_listen)

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        password = self.desk_password.get_secret_value()
        if not self.is_local and not password and not self.desk_user_header:
            raise ValueError(
                "WEIR_DESK_LISTEN is reached by other machines: "
                "set WEIR_DESK_PASSWORD or WEIR_DESK_USER_HEADER"
            )
        if self.desk_viewer_password.get_secret_value() and not password:
            raise ValueError("WEIR_DESK_VIEWER_PASSWORD alone lets nobody judge: set WEIR_DESK_PASSWORD, too")
        return self
