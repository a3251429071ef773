"""Messages of the life cycle of alerts: what becomes of those on `llm.alerts` that have one cause.

The evolution rule is that of `schemas.events`.
"""

from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec

from schemas.events import Id, Long, Name, OpenSeverity

AlertState = Literal["open", "acknowledged", "silenced", "resolved"]
ChangeKind = Literal[
    "opened", "grew", "escalated", "still_open", "acknowledged", "silenced", "unsilenced", "resolved",
    "reopened",
]  # fmt: skip
ActionKind = Literal["acknowledge", "silence", "resolve"]
ALERT_STATES: tuple[AlertState, ...] = get_args(AlertState)
CHANGES: tuple[ChangeKind, ...] = get_args(ChangeKind)
ACTIONS: tuple[ActionKind, ...] = get_args(ActionKind)

# Readers take any text, as in `schemas.events`.
if TYPE_CHECKING:
    OpenState = AlertState
    OpenChange = ChangeKind
else:
    OpenState = Annotated[str, msgspec.Meta(examples=list(ALERT_STATES))]
    OpenChange = Annotated[str, msgspec.Meta(examples=list(CHANGES))]

MOST_COMMENT = 4096
"""Characters of a comment."""
Comment = Annotated[str, msgspec.Meta(max_length=MOST_COMMENT)]


class AlertPart(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One of the things that an alert stands for: a message of `llm.alerts`, or a drift."""

    part_id: str
    """Its `alert_id`, or the `drift_id`."""
    title: str
    timestamp: Long
    """When it was found, milliseconds since 1970 (UTC)."""
    began_at: Long = 0
    """When it began, as estimated; 0 where nobody can say."""
    app: str = ""
    model: str = ""
    prompt_version: str = ""
    kind: str = ""
    """`prompt` or `completion`, of a drift."""
    metric: str = ""
    score: float | None = None
    """The value that decided; of a drift the new level."""
    before: float | None = None
    """The level before a drift."""
    open_ended: bool = False
    """It lasts until it is said to be over."""
    resolved_at: Long = 0
    """When it was over, milliseconds since 1970 (UTC); 0: it is not, or nobody will say."""


class AlertChange(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A change of an alert, with all that is known of the alert since, on `llm.alert-states`."""

    change_id: str
    """`alert_id`, `change` and `number`: the same when it is published or delivered again."""
    alert_id: str
    """Of the first message on `llm.alerts` that it stands for."""
    change: OpenChange
    number: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] = 1
    """Counts the changes of this kind."""
    version: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] = 1
    """Counts the changes: the highest is the current state."""
    state: OpenState
    severity: OpenSeverity
    """The strongest so far."""
    kind: str
    """`policy` for a rule of the policy; else as `rule`."""
    rule: str
    app: str
    """Empty for what concerns several."""
    subject: str = ""
    """What it is about, beside app and rule."""
    source: str = ""
    """The role that raised it."""
    title: str
    timestamp: Long
    """Of the change, by the clock of notify, milliseconds since 1970 (UTC)."""
    opened_at: Long
    """Of the first cause, or when it began as estimated, milliseconds since 1970 (UTC)."""
    last_at: Long
    """Of the latest cause."""
    resolved_at: Long = 0
    reason: str = ""
    """Why it is resolved: `returned`, `quiet`, `ended`, `accepted`, `by hand`, `forgotten`."""
    alerts: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 1
    """How many messages and drifts it stands for."""
    parts: tuple[AlertPart, ...] = ()
    """The first of them."""
    who: Name = ""
    """Who acknowledged, silenced or resolved it last."""
    comment: str = ""
    silenced_until: Long = 0
    """Milliseconds since 1970 (UTC); 0: it is not silenced."""


class AlertAction(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a person does about an alert, on `llm.alert-actions`."""

    action_id: Id
    alert_id: Id
    """Of the alert, or of one of its parts."""
    action: ActionKind
    who: Name
    comment: Comment = ""
    until: Long = 0
    """The end of a silence, milliseconds since 1970 (UTC)."""
    timestamp: Long | None = None
    """Milliseconds since 1970 (UTC). Without one, Kafka's timestamp."""
