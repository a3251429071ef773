"""Messages as columns of the store's tables: pure, the same message always gives the same row."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, get_args, get_type_hints

import msgspec

from schemas.events import Decision, Event, ScoredEvent
from schemas.topics import BY_TOPIC, CHANNELS, SCORES, Channel
from streams.store.errors import RowError

Columns = dict[str, list[Any]]
"""By column name, all of the same length, in the types that clickhouse-connect takes."""
Read = Callable[[Any], Any]
"""Gives the value of a column for a message."""


@dataclass(frozen=True)
class Table:
    """A table of the store: where the rows of one kind of message go."""

    name: str
    """Of the view that people query; the rows are in `<name>_log`."""
    columns: Mapping[str, Read]
    """How to read each column from a message."""
    expires: bool = True
    """Rows are deleted some time after they came."""
    metrics: Callable[[Sequence[Any]], Columns] = lambda batch: {}
    """Reads the columns of metrics, which are made as they come."""

    @property
    def log(self) -> str:
        """Name of the table that holds the rows."""
        return f"{self.name}_log"

    def read(self, batch: Sequence[Any]) -> Columns:
        """Return the batch as columns."""
        return {name: list(map(read, batch)) for name, read in self.columns.items()}


def milliseconds(moment: dt.datetime | int | None) -> int:
    """Return milliseconds since 1970 (UTC); `RowError` for None: a row's time is never the clock's."""
    if moment is None:
        raise RowError("a row needs a timestamp; use Kafka's where the message has none")
    return moment if isinstance(moment, int) else round(moment.timestamp() * 1000)


def fields(message: type[msgspec.Struct], unkept: Sequence[str] = (), within: str = "") -> dict[str, Read]:
    """Return a column for each field of a message but those `unkept`; `within` is the path to the message."""
    kinds = get_type_hints(message)  # without the limits that some have
    kept = [name for name in message.__struct_fields__ if name not in unkept]
    return {name: _read(within + name, kinds[name]) for name in kept}


def _read(path: str, kind: Any) -> Read:
    value, parts = attrgetter(path), get_args(kind)
    if dt.datetime in parts:
        return lambda message: milliseconds(value(message))
    if any(isinstance(part, type) and issubclass(part, msgspec.Struct) for part in parts):
        return lambda message: [msgspec.structs.astuple(each) for each in value(message)]
    return value


def _of_rules(name: str) -> Read:
    return lambda scored: [getattr(hit, name) for hit in scored.decision.rules]


def scores(batch: Sequence[ScoredEvent]) -> Columns:
    """Return a column for each metric that any event of the batch has; None where it does not apply."""
    names = sorted({name for scored in batch for name in scored.scores})
    maps = [scored.scores for scored in batch]
    return {name: [values.get(name) for values in maps] for name in names}


EVENTS: Final = Table(
    "events",
    {
        # Resolved, as `timestamp` of the scored event; and never kept: it is an event of its own.
        **fields(Event, ("timestamp", "prompt"), "event."),
        **fields(ScoredEvent, ("event", "scores", "decision", *BY_TOPIC[SCORES].unkept)),
        # The event's own; what to send on in place of the original; and what has another name here.
        **fields(
            Decision,
            (
                *("event_id", "app", "kind", "request_id", "conversation_id"),
                *("text", "latency_ms", "rules", "decided_by", "revision"),
            ),
            "decision.",
        ),
        "decision_latency_ms": attrgetter("decision.latency_ms"),
        "rules": _of_rules("rule"),
        "rule_actions": _of_rules("action"),
        "rule_severities": _of_rules("severity"),
        "rule_modes": _of_rules("mode"),
        "rule_metrics": _of_rules("metric"),
        "rule_scores": _of_rules("score"),
        "rule_failed": _of_rules("failed"),
    },
    metrics=scores,
)


RESOLUTIONS: Final = Table(
    "resolutions", fields(Decision, ("rules", "failed", "degraded", "text", "request_id", "latency_ms"))
)
"""What reviewers answered where a policy said `escalate`."""


def _table(channel: Channel) -> Table:
    if channel.message is ScoredEvent:
        return EVENTS
    return Table(channel.table, fields(channel.message, channel.unkept), channel.expires)


TABLES: Final[Mapping[type[msgspec.Struct], Table]] = MappingProxyType(
    {channel.message: _table(channel) for channel in CHANNELS if channel.table} | {Decision: RESOLUTIONS}
)
"""By the message that a row is made of."""


def encodable(value: Any) -> Any:
    """Replace the lone surrogates of every string in a column: UTF-8 cannot hold them."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if isinstance(value, dict):
        return {encodable(key): encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(encodable(item) for item in value)
    return value
