"""What watch finds of what is watched over time: messages like those of `schemas.events`."""

from typing import Annotated

import msgspec

from schemas.events import Evidence, Kind, Long, Name


class DriftRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A change in the level of a metric within a segment, on `llm.drift`."""

    drift_id: str
    app: str
    model: str = ""
    prompt_version: str = ""
    kind: Kind
    metric: str
    detector: str
    timestamp: Long
    """Of the event at which it was found, milliseconds since 1970 (UTC)."""
    event_id: str
    before: float
    """Mean of the metric before the change; of quantities and of scores beyond 1 the geometric mean."""
    after: float
    samples: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    """Events of the segment seen until then."""
    began_at: Long = 0
    """When the change is estimated to have begun: milliseconds since 1970 (UTC)."""
    before_samples: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    """Values that `before` is the mean of."""
    after_samples: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    """Values that `after` is the mean of."""
    after_low: float | None = None
    """Where the new level lies, at least."""
    after_high: float | None = None
    """Where the new level lies, at most."""
    cause: str = ""
    """The drift of the same segment that was found before and has the alert: this one had begun by then."""
    returns: str = ""
    """The drift that is over with this one: the level from before it is back. Else levels tell."""
    named_group: Name = ""
    """Of a gap between groups: the one that is worse off; `before` is the level of the others."""
    evidence: tuple[Evidence, ...] = ()
    """Of a change of subjects: shares of clusters and references. Never the text of an event."""


class BiasRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How answers to texts that name a group differ from those to texts that name others, on `llm.bias`."""

    bias_id: str
    app: str
    model: str = ""
    prompt_version: str = ""
    named_group: Name
    measure: Name
    """`toxicity`, mean score; `refusal`, `block`, `length`: shares of answers that refuse, are blocked, are
    shorter than the median that was learned."""
    timestamp: Long
    """Of the last answer, milliseconds since 1970 (UTC)."""
    since: Long
    """When the window began that is compared: milliseconds since 1970 (UTC)."""
    level: float
    """Of the group."""
    others: float
    """Level of the answers that name another group, and not this one."""
    samples: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    others_samples: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    gap_low: float
    """Where the level of the group less that of the others lies, at least, however often one looks."""
    gap_high: float
    found: bool = False
    """The group is worse off: significantly, and by `WEIR_WATCH_BIAS_GAP` or more."""
