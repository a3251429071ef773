"""Settings of Kafka: the broker, what is read at once, dead letters."""

import ssl
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from schemas import codec
from streams.errors import SettingsError
from streams.setting_types import ExistingFile, has_blank


class KafkaSettings(BaseModel):
    """How the broker is reached, and what its topics are like."""

    kafka: str = Field("127.0.0.1:9092", description="Bootstrap servers, host:port, comma-separated")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Security protocol of the Kafka listener"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="SASL mechanism"
    )
    kafka_username: str = Field("", description="SASL user")
    kafka_password: SecretStr = Field(SecretStr(""), description="SASL password")
    kafka_ca_file: ExistingFile | None = Field(None, description="CA certificate of the brokers (PEM)")
    kafka_cert_file: ExistingFile | None = Field(None, description="Client certificate for mutual TLS (PEM)")
    kafka_key_file: ExistingFile | None = Field(None, description="Client key for mutual TLS (PEM)")
    kafka_key_password: SecretStr = Field(SecretStr(""), description="Password of the client key")
    kafka_fetch_wait_ms: int = Field(
        200,
        ge=1,
        le=5000,
        description="How long the broker may hold an empty fetch; a message ends the wait at once",
    )
    kafka_session_timeout_s: float = Field(
        6.0, ge=1, le=300, description="Silence after which a worker counts as dead and its partitions move"
    )
    kafka_start_timeout_s: float = Field(30.0, ge=1, description="How long to wait for the broker at start")
    group_prefix: str = Field("weir", min_length=1, description="Consumer groups are <prefix>-guard, …")
    partitions: int = Field(4, ge=1, le=1000, description="Partitions of a topic that `weir topics` creates")
    replication: int = Field(1, ge=1, le=9, description="Replicas of a topic that `weir topics` creates")
    max_wait_s: float = Field(
        30.0, gt=0, description="The oldest live event waits longer for its decision: degraded"
    )
    drain_timeout_s: float = Field(20.0, gt=0, description="Time to finish what was read after SIGTERM")

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.kafka_security.startswith("SASL") and not (
            self.kafka_username and self.kafka_password.get_secret_value()
        ):
            raise ValueError(
                f"WEIR_KAFKA_SECURITY is {self.kafka_security}: "
                "set WEIR_KAFKA_USERNAME and WEIR_KAFKA_PASSWORD"
            )
        for server in self.kafka.split(","):
            if has_blank(server):
                raise ValueError(f"WEIR_KAFKA: {server.strip()!r} has a blank in it; a comma parts servers")

            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise ValueError("WEIR_KAFKA must be host:port, comma-separated, for example 127.0.0.1:9092")
        return self

    @cached_property
    def ssl_context(self) -> ssl.SSLContext | None:
        """TLS context for Kafka, None for plain connections."""
        if not self.kafka_security.endswith("SSL"):
            return None
        try:
            context = ssl.create_default_context(cafile=self.kafka_ca_file)
        except OSError as error:
            raise _no_pem("WEIR_KAFKA_CA_FILE", self.kafka_ca_file, error) from None
        if self.kafka_cert_file:
            # A function, so that OpenSSL does not ask for the password on the terminal.
            password = self.kafka_key_password.get_secret_value
            try:
                context.load_cert_chain(self.kafka_cert_file, self.kafka_key_file, password)
            except (OSError, ValueError) as error:
                files = "WEIR_KAFKA_CERT_FILE, WEIR_KAFKA_KEY_FILE, WEIR_KAFKA_KEY_PASSWORD"
                raise _no_pem(files, self.kafka_cert_file, error) from None
        return context


class DeadLetterSettings(BaseModel):
    """What is kept of messages that are refused, and how many may be."""

    dlq_payload_bytes: int = Field(
        65_536, ge=0, le=900_000, description="Of the payload kept in a dead letter"
    )
    dlq_flood: int = Field(
        500,
        ge=1,
        description="Dead letters of one reason and app in a window that are kept one by one; more is a "
        "flood, counted and sampled",
    )
    dlq_window_s: float = Field(60.0, ge=1, description="The window in which a flood of dead letters counts")
    dlq_max_run: int = Field(0, ge=0, description="So many dead letters in a row stop the worker; 0: never")
    dlq_max_ratio: float = Field(
        0.0,
        ge=0,
        le=1,
        description="A larger share of dead letters among the last 10,000 messages stops the worker; 0: "
        "never",
    )


class EventLimits(BaseModel):
    """Which events are taken; every other is refused with a reason."""

    max_event_bytes: int = Field(1_048_576, ge=256, description="A larger event becomes a dead letter")
    max_event_age_days: float = Field(3653.0, gt=0, description="An older timestamp becomes a dead letter")
    max_event_future_s: float = Field(
        3600.0, gt=0, description="A timestamp further ahead becomes a dead letter"
    )

    @property
    def decoder(self) -> codec.Decoder:
        """A decoder of events that refuses what is beyond the limits."""
        return codec.Decoder(
            max_bytes=self.max_event_bytes,
            max_past_ms=int(self.max_event_age_days * codec.DAY_MS),
            max_future_ms=int(self.max_event_future_s * 1000),
        )


def _no_pem(setting: str, path: Path | None, error: Exception) -> SettingsError:
    """Return the error of a file that OpenSSL cannot read; it never quotes what is in it."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
    return SettingsError(f"{setting}: {path} is not what it should be, PEM ({reason})")
