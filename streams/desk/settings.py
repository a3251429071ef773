"""Settings of the desk."""

from typing import Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from streams.setting_types import Address, is_local


class DeskSettings(BaseModel):
    """Where the desk listens, and who gets in."""

    desk_listen: Address = Field(
        "127.0.0.1:9490",
        description="Where the desk answers, host:port; another host than this machine needs a password",
    )
    desk_password: SecretStr = Field(
        SecretStr(""), description="Password of the desk; the user name is whatever a reviewer calls himself"
    )

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the desk."""
        return is_local(self.desk_listen)

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if not self.is_local and not self.desk_password.get_secret_value():
            raise ValueError("WEIR_DESK_LISTEN is reached by other machines: set WEIR_DESK_PASSWORD")
        return self
