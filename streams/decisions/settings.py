"""Settings of decisions: how events are judged, and what is kept of their texts."""

import secrets
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from schemas.events import Storage
from streams.kafka.settings import EventLimits
from streams.policy import DEFAULT_POLICY
from streams.setting_types import CommaSeparated

MIN_KEY_BYTES = 16


class JudgingSettings(BaseModel):
    """Which detectors and which policy judge an event."""

    policy: Path = Field(DEFAULT_POLICY, description="The policy file")
    policy_reload_s: float = Field(
        5.0, ge=0.1, description="Within so long a new version of the policy is taken up"
    )
    detectors: CommaSeparated = Field(
        (), description="Detectors to run, comma-separated, in place of the default ones; +name adds to those"
    )
    detector_budget_ms: float = Field(
        2000.0,
        gt=0,
        description="Wall-clock budget of one detector or shared feature for one batch; beyond it, it failed",
    )
    degrade_after_ms: float = Field(
        500.0,
        ge=0,
        description="Events that wait so long: apps beyond their share of the guard are read less closely; "
        "0: never",
    )
    references: dict[str, str] = Field(
        default_factory=dict,
        description='More reference sets as JSON: {"name": "topic:FILE"} or {"name": "attack:FILE"}',
    )
    reference_neighbours: int = Field(
        1, ge=1, description="Which nearest reference of a set gives its distance or similarity: the k-th"
    )
    terms: CommaSeparated = Field(
        (),
        description="Sets of words, phrases and patterns: folders or files (.txt, .yaml), comma-separated; "
        "taken up again when they change",
    )
    detoxify: str = Field(
        "original",
        description="Model of the optional detector `detoxify`: a name, or CHECKPOINT:CONFIG_FOLDER",
    )
    threads: int = Field(
        0, ge=0, le=256, description="Threads that read texts in doubt; 0: as many as cores, at most 4"
    )
    batch_events: int = Field(
        512, ge=1, le=10_000, description="Events that the guard judges at once, at most"
    )


class KeepingSettings(BaseModel):
    """What is kept of a text."""

    storage: Storage = Field("redacted", description="Text that is kept: full, redacted, hash or none")
    redaction_key: SecretStr = Field(
        SecretStr(""),
        description="Key of the placeholders and hashes; without one, a new random key each start",
    )

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if 0 < len(self.redaction_key.get_secret_value().encode()) < MIN_KEY_BYTES:
            raise ValueError(
                f"WEIR_REDACTION_KEY is shorter than {MIN_KEY_BYTES} bytes: `openssl rand -hex 32` makes one"
            )
        return self

    @cached_property
    def redaction_key_bytes(self) -> bytes:
        """The key of placeholders and text hashes; random where none is set."""
        return self.redaction_key.get_secret_value().encode() or secrets.token_bytes(32)


class DecisionSettings(EventLimits, KeepingSettings, JudgingSettings):
    """All that a decision depends on, beside the event."""
