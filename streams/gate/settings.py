"""Settings of the gate."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from streams.setting_types import Address, ExistingFile, Port, is_local


class GateSettings(BaseModel):
    """Where the gate listens, whom it serves, and how long and how much may wait."""

    gate_listen: Address = Field(
        "127.0.0.1:9480",
        description="Where the gate answers, host:port; 0.0.0.0:9480 for every address",
    )
    gate_port: Port = Field(9474, description="HTTP port of the gate's metrics and health")
    gate_keys: ExistingFile | None = Field(
        None, description="File of API keys, made by `weir gate --new-key`; without one everybody may call"
    )
    gate_cert_file: ExistingFile | None = Field(None, description="Certificate of the gate for TLS (PEM)")
    gate_key_file: ExistingFile | None = Field(None, description="Private key of that certificate (PEM)")
    gate_deadline_ms: float = Field(
        2000.0,
        gt=0,
        le=600_000,
        description="A request waits no longer; what is not judged by then is answered by `on_failure`",
    )
    gate_max_bytes: int = Field(
        8_388_608, ge=1024, le=268_435_456, description="Largest body of a request, unpacked"
    )
    gate_outbox: Path = Field(
        Path(".weir/outbox"), description="Folder of what is not yet with Kafka; one for each gate"
    )
    gate_outbox_bytes: int = Field(
        268_435_456, ge=1_048_576, description="So much may wait there while Kafka is away"
    )
    gate_outbox_full: Literal["refuse", "pass"] = Field(
        "refuse", description="When no more can be kept: refuse requests (503), or answer without a record"
    )

    gate_stream_tail: Literal["drop", "pass"] = Field(
        "drop",
        description="What becomes of the held end of a streamed completion that breaks off, or that is not "
        "judged in time: drop it, or pass it redacted",
    )
    gate_stream_idle_s: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="A streamed completion has broken off when nothing comes, or is read, of it for so long",
    )

    gate_evaluations: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="URL of an OTLP/HTTP endpoint for logs, `http://collector:4318/v1/logs`: scores go there "
        "as `gen_ai.evaluation.result`; empty for nowhere",
    )
    gate_evaluations_headers: SecretStr = Field(
        SecretStr(""), description="Headers for it: `name=value,name=value`, values percent-encoded"
    )

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the gate."""
        return is_local(self.gate_listen)

    @model_validator(mode="after")
    def _both_files(self) -> Self:
        if (self.gate_cert_file is None) != (self.gate_key_file is None):
            raise ValueError("WEIR_GATE_CERT_FILE and WEIR_GATE_KEY_FILE belong together: set both")
        return self
