"""What a policy, a file's columns and drift may ask of an event, beside its scores."""

from typing import Final

TEXT_FIELDS: Final = (
    "app", "tenant", "environment", "kind", "model", "provider", "prompt_name", "prompt_version",
    "user", "chain", "step", "finish_reason",
)  # fmt: skip
NUMBER_FIELDS: Final = ("prompt_tokens", "completion_tokens", "latency_ms", "ttft_ms", "cost")
LANGUAGE: Final = "language"
"""Of the text, as a detector of that name finds it: no field of an event, and yet policies ask for it."""
METADATA: Final = "metadata."
"""How the name of a field begins that an app made itself."""

USAGE_OF: Final = ("user", "conversation", "app", "tenant")
AMOUNTS: Final = ("events", "tokens", "cost", "blocks", "injections")
WINDOWS_S: Final = {"1m": 60, "1h": 3_600, "1d": 86_400}
USAGE: Final = tuple(
    f"{of}_{amount}_{window}" for of in USAGE_OF for amount in AMOUNTS for window in WINDOWS_S
)
"""What whoever an event is of has used lately, as `user_injections_1h`: a policy may ask for it, too."""
