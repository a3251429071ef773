"""The channels of weir: each topic on Kafka, the messages on it, and the table that keeps them.

All that is known of a topic is in its entry of `CHANNELS`: who creates topics, archives, follows or
republishes them reads it there. `docs/architecture.md` says how to add one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import msgspec

from schemas.alerts import AlertAction, AlertChange
from schemas.drift import BiasRecord, DriftRecord
from schemas.events import Alert, DeadLetter, Decision, Event, Feedback, ScoredEvent
from schemas.policy import PolicyChange
from schemas.reviews import Claim

EVENTS: Final = "llm.events"
EVENTS_BULK: Final = "llm.events.bulk"
"""Events that nobody waits for, such as a file's: the guard judges those of `EVENTS` first."""
DECISIONS: Final = "llm.decisions"
SCORES: Final = "llm.scores"
ALERTS: Final = "llm.alerts"
ALERT_STATES: Final = "llm.alert-states"
ALERT_ACTIONS: Final = "llm.alert-actions"
DRIFT: Final = "llm.drift"
BIAS: Final = "llm.bias"
FEEDBACK: Final = "llm.feedback"
POLICY: Final = "llm.policy"
CLAIMS: Final = "llm.claims"
DEAD_LETTERS: Final = "llm.dlq"
STATE: Final = "llm.state"
USAGE: Final = "llm.usage"
"""What users, conversations, apps and tenants used lately: watch writes it, guard and gate read it."""

_DAY: Final = 24


@dataclass(frozen=True)
class Channel:
    """A topic, its messages, and what is done with them."""

    topic: str
    message: type[msgspec.Struct]
    name: str
    """Of the message: in `weir schema` and of its JSON Schema file."""
    key: str
    """What the Kafka key is, as docs/events.md says it."""
    writers: str
    """Who publishes, as docs/events.md says it."""
    hours: int
    """How long Kafka keeps a message; 0: the last one of each key, for ever."""
    megabytes: int = 0
    """The largest record batch (MiB); 0: what the broker allows, about 1."""
    from_outside: bool = False
    """Other programs write it: read by `codec.Decoder`, within limits of size and clock. The message needs a
    field `timestamp`."""
    tail: str = ""
    """Its name for `weir tail`; channels of the same name are followed together."""
    table: str = ""
    """Where the archive keeps its messages, a column per field; empty: nowhere."""
    unkept: tuple[str, ...] = ()
    """Fields of the message that are no columns."""
    expires: bool = True
    """Rows are deleted after WEIR_EVENTS_TTL_DAYS."""


CHANNELS: Final = (
    Channel(
        # An oversized event must reach the guard to become a dead letter, not fail in the app's producer.
        *(EVENTS, Event, "event"), key="`conversation_id`, or else `event_id`", writers="your apps",
        hours=3 * _DAY, megabytes=8, from_outside=True, tail="events",
    ),
    Channel(
        *(EVENTS_BULK, Event, "event"), key="as on `llm.events`",
        writers="`weir publish`, and whoever waits for no answer",
        hours=3 * _DAY, megabytes=8, from_outside=True, tail="events",
    ),
    Channel(
        *(DECISIONS, Decision, "decision"), key="as the event", writers="guard, gate, archive (of reviewers)",
        hours=_DAY, megabytes=4, tail="decisions",
    ),
    Channel(
        *(SCORES, ScoredEvent, "scored_event"), key='segment: `["app","model","prompt_version"]` as JSON',
        writers="guard", hours=3 * _DAY, megabytes=4, tail="scores", table="events",
        unkept=("nearest_reference", "sketch"),
    ),
    Channel(
        *(ALERTS, Alert, "alert"), key="not part of the contract", writers="guard, watch",
        hours=30 * _DAY, tail="alerts", table="alerts",
    ),
    Channel(
        *(ALERT_STATES, AlertChange, "alert_change"), key="`alert_id`", writers="notify",
        hours=30 * _DAY, tail="alert-states", table="alert_changes",
    ),
    Channel(
        *(ALERT_ACTIONS, AlertAction, "alert_action"), key="`alert_id`",
        writers="`weir alerts`, and whoever deals with alerts",
        hours=30 * _DAY, from_outside=True, tail="alert-actions", table="alert_actions", expires=False,
    ),
    Channel(
        *(DRIFT, DriftRecord, "drift"), key="segment", writers="watch",
        hours=30 * _DAY, tail="drift", table="drift",
    ),
    Channel(
        *(BIAS, BiasRecord, "bias"), key="segment", writers="watch",
        hours=30 * _DAY, tail="bias", table="bias",
    ),
    Channel(
        *(FEEDBACK, Feedback, "feedback"), key="any; `event_id` is a good one", writers="reviewers",
        hours=30 * _DAY, from_outside=True, tail="feedback", table="feedback", expires=False,
    ),
    Channel(
        *(POLICY, PolicyChange, "policy_change"), key="not part of the contract",
        writers="guard, gate, archive, `weir policy restore`",
        hours=0, megabytes=4, tail="policy", table="policy_changes", expires=False,
    ),
    Channel(
        *(CLAIMS, Claim, "claim"), key="not part of the contract", writers="desk", hours=_DAY,
    ),
    Channel(
        *(DEAD_LETTERS, DeadLetter, "dead_letter"), key="not part of the contract", writers="every role",
        hours=14 * _DAY, megabytes=2, tail="dlq", table="dead_letters", unkept=("payload", "key"),
    ),
)  # fmt: skip

BY_TOPIC: Final[Mapping[str, Channel]] = MappingProxyType({each.topic: each for each in CHANNELS})
MESSAGES: Final[Mapping[str, type[msgspec.Struct]]] = MappingProxyType(
    {each.name: each.message for each in CHANNELS}
)
"""Every message by the name of its JSON Schema file."""
ARCHIVED: Final = tuple(each.topic for each in CHANNELS if each.table)
ALL: Final = (*BY_TOPIC, STATE, USAGE)
"""Every topic; those of channels, and weir's own."""
