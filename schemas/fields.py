"""What a policy, a file's columns and drift may ask of an event, beside its scores."""

from typing import Final

TEXT_FIELDS: Final = (
    "app", "tenant", "environment", "kind", "model", "provider", "prompt_name", "prompt_version",
    "user", "chain", "step", "finish_reason",
)  # fmt: skip
NUMBER_FIELDS: Final = ("prompt_tokens", "completion_tokens", "latency_ms", "ttft_ms", "cost")
METADATA: Final = "metadata."
"""How the name of a field begins that an app made itself."""
