"""Settings: the environment (`WEIR_…`), a `.env` file, or files in `WEIR_SECRETS_DIR`."""

import os
import secrets as random
import ssl
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from schemas.events import Storage
from streams.errors import SettingsError

MIN_KEY_BYTES = 16
POLICY = Path(__file__).parent / "policy" / "default.yaml"


def _existing_file(path: Path | None) -> Path | None:
    if path is not None and not path.is_file():
        raise ValueError(f"no such file: {path}")
    return path


def _split(value: object) -> object:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


ExistingFile = Annotated[Path, AfterValidator(_existing_file)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """Everything that differs between two installations. `docs/settings.md` explains each."""

    model_config = SettingsConfigDict(
        env_prefix="WEIR_", env_file=".env", extra="ignore", hide_input_in_errors=True, env_ignore_empty=True
    )

    # Kafka
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

    # ClickHouse
    clickhouse: str = Field(
        "http://127.0.0.1:8123", description="URL of the HTTP interface; https:// for TLS"
    )
    clickhouse_user: str = Field("default", description="User")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="Password")
    clickhouse_database: str = Field("weir", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Database")
    clickhouse_ca_file: ExistingFile | None = Field(None, description="CA certificate of the server (PEM)")
    clickhouse_timeout_s: float = Field(30.0, ge=1, description="Of one insert or query")
    events_ttl_days: int = Field(90, ge=0, description="Rows are deleted after so many days; 0 keeps them")

    # Judging
    policy: Path = Field(POLICY, description="The policy file")
    policy_reload_s: float = Field(
        5.0, ge=0.1, description="Within so long a new version of the policy is taken up"
    )
    detectors: Annotated[tuple[str, ...], NoDecode] = Field(
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

    # What is kept
    storage: Storage = Field("redacted", description="Text that is kept: full, redacted, hash or none")
    redaction_key: SecretStr = Field(
        SecretStr(""),
        description="Key of the placeholders and hashes; without one, a new random key each start",
    )
    max_event_bytes: int = Field(1_048_576, ge=256, description="A larger event becomes a dead letter")
    max_event_age_days: float = Field(3653.0, gt=0, description="An older timestamp becomes a dead letter")
    max_event_future_s: float = Field(
        3600.0, gt=0, description="A timestamp further ahead becomes a dead letter"
    )
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

    # Archive and watch
    archive_rows: int = Field(5_000, ge=1, description="Rows of one insert, at most")
    archive_bytes: int = Field(
        16_777_216, ge=65_536, description="Bytes of the messages of one insert, at most"
    )
    archive_linger_s: float = Field(1.0, ge=0, description="How long to collect rows for one insert")
    watch_metrics: Annotated[tuple[str, ...], NoDecode] = Field(
        (
            "toxicity", "injection", "harmful_request", "bias_identity_attack", "pii", "refusal",
            "ungrounded", "text_tokens", "distance_assistant", "latency_ms", "completion_tokens", "cost",
        ),
        description="Scores and event fields that are watched for drift, comma-separated",
    )  # fmt: skip
    watch_delta: float = Field(
        0.002, gt=0, lt=1, description="Confidence of ADWIN: smaller means fewer alarms"
    )
    watch_snapshot_s: float = Field(
        5.0,
        ge=0.1,
        description="Between two snapshots of the drift detectors; up to a minute if there is much to write",
    )
    watch_segments: int = Field(
        10_000, ge=1, description="Segments that a worker keeps in memory; the longest idle goes first"
    )

    # Telemetry
    http_host: str = Field("127.0.0.1", description="Where /metrics, /healthz and /readyz listen")
    guard_port: Port = Field(9471, description="HTTP port of the guard")
    watch_port: Port = Field(9472, description="HTTP port of watch")
    archive_port: Port = Field(9473, description="HTTP port of the archive")
    health_stall_s: float = Field(
        60.0, gt=0, description="Messages waiting and none finished for so long: unhealthy"
    )
    max_wait_s: float = Field(
        30.0, gt=0, description="The oldest live event waits longer for its decision: degraded"
    )
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is logged"
    )
    drain_timeout_s: float = Field(20.0, gt=0, description="Time to finish what was read after SIGTERM")

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in ("detectors", "watch_metrics"):
            if name in values:
                values[name] = _split(values[name])
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kafka_security.startswith("SASL") and not (
            self.kafka_username and self.kafka_password.get_secret_value()
        ):
            raise ValueError(
                f"WEIR_KAFKA_SECURITY is {self.kafka_security}: "
                "set WEIR_KAFKA_USERNAME and WEIR_KAFKA_PASSWORD"
            )
        if 0 < len(self.redaction_key.get_secret_value().encode()) < MIN_KEY_BYTES:
            raise ValueError(
                f"WEIR_REDACTION_KEY is shorter than {MIN_KEY_BYTES} bytes: `openssl rand -hex 32` makes one"
            )
        for server in self.kafka.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise ValueError("WEIR_KAFKA must be host:port, comma-separated, for example 127.0.0.1:9092")
        parts = urlsplit(self.clickhouse)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                "WEIR_CLICKHOUSE must be a URL of the HTTP interface, for example http://127.0.0.1:8123"
            )
        if parts.password:
            raise ValueError("WEIR_CLICKHOUSE must not hold a password: set WEIR_CLICKHOUSE_PASSWORD")
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

    @cached_property
    def redaction_key_bytes(self) -> bytes:
        """The key of placeholders and text hashes; random where none is set."""
        return self.redaction_key.get_secret_value().encode() or random.token_bytes(32)


def _no_pem(setting: str, path: Path | None, error: Exception) -> SettingsError:
    """Return the error of a file that OpenSSL cannot read; it never quotes what is in it."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
    return SettingsError(f"{setting}: {path} is not what it should be, PEM ({reason})")


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


def _variable(error: SourceError) -> str:
    """Return the variable that pydantic-settings could not read as JSON; its message quotes the field."""
    return next(
        (f"WEIR_{name.upper()}" for name in Settings.model_fields if f'"{name}"' in str(error)), "WEIR_…"
    )
