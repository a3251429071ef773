"""Settings of watch."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from schemas.fields import NUMBER_FIELDS
from streams.errors import did_you_mean
from streams.setting_types import CommaSeparated


class WatchSettings(BaseModel):
    """What is watched for drift, and how closely."""

    watch_metrics: CommaSeparated = Field(
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


def unknown_watched(settings: WatchSettings, metrics: Sequence[str]) -> list[str]:
    """Return what is wrong with `watch_metrics`: a message per name that neither a detector nor an event has.

    The default list is not looked at: it may name metrics of detectors that are not loaded.
    """
    known = (*metrics, *NUMBER_FIELDS)
    named = settings.watch_metrics if "watch_metrics" in settings.model_fields_set else ()
    return [
        f"WEIR_WATCH_METRICS: there is no metric or event field {name!r}{did_you_mean(name, known)}"
        for name in named
        if name not in known
    ]
