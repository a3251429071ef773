"""Settings of watch."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from schemas.fields import NUMBER_FIELDS
from streams.errors import did_you_mean
from streams.monitors.views import MOST_LEARNED
from streams.setting_types import CommaSeparated

LEAST_ENTITIES = 4_096
"""A quarter of the table must hold the entities of what is counted at once."""
RATES = ("action_rate", "block_rate", "refusal_rate")
"""Shares of events: with any action, blocked, and refused by the model (of completions)."""


class WatchSettings(BaseModel):
    """What is watched for drift, and how closely."""

    watch_metrics: CommaSeparated = Field(
        (
            "toxicity", "injection", "harmful_request", "bias_identity_attack", "pii", "refusal",
            "ungrounded", "text_tokens", "distance_assistant", "latency_ms", "completion_tokens", "cost",
            "action_rate", "block_rate",
        ),
        description="Scores, event fields and rates that are watched for drift, comma-separated",
    )  # fmt: skip
    watch_quiet_events: float = Field(
        200_000,
        ge=1_000,
        le=1e12,
        description="Events of a segment, all watched metrics together, in which one false alarm is accepted",
    )
    watch_learn_values: int = Field(
        64,
        ge=16,
        le=MOST_LEARNED,
        description="Values that a segment learns a metric from before it can alarm; anew after each drift",
    )
    watch_bias_gap: float = Field(
        0.1,
        gt=0,
        le=1,
        description="How much worse off a group is when that is large: difference of two levels of 0 to 1",
    )
    watch_snapshot_s: float = Field(
        5.0,
        ge=0.1,
        description="Between two snapshots of the drift detectors; up to a minute if there is much to write",
    )
    watch_segments: int = Field(
        10_000, ge=1, description="Segments that a worker keeps in memory; the longest idle goes first"
    )
    watch_injection_score: float = Field(
        0.9, gt=0, le=1, description="Score of `injection` from which an event counts in `user_injections_1h`"
    )
    usage_entities: int = Field(
        250_000,
        ge=LEAST_ENTITIES,
        le=1_000_000,
        description="Users, conversations, apps and tenants whose usage watch, guard and gate each keep in "
        "memory (1 kB each); the least active go first",
    )


def unknown_watched(settings: WatchSettings, metrics: Sequence[str]) -> list[str]:
    """Return what is wrong with `watch_metrics`: a message per name that neither a detector nor an event has.

    The default list is not looked at: it may name metrics of detectors that are not loaded.
    """
    known = (*metrics, *NUMBER_FIELDS, *RATES)
    named = settings.watch_metrics if "watch_metrics" in settings.model_fields_set else ()
    return [
        f"WEIR_WATCH_METRICS: there is no metric, event field or rate {name!r}{did_you_mean(name, known)}"
        for name in named
        if name not in known
    ]
