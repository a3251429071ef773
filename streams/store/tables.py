"""Messages as columns of the store's tables: pure, the same message always gives the same row."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from schemas.events import Alert, DeadLetter, DriftRecord, Feedback, ScoredEvent
from streams.store.errors import RowError

Columns = dict[str, list[Any]]
"""By column name, all of the same length, in the types that clickhouse-connect takes."""


@dataclass(frozen=True)
class Table:
    """A table of the store: where the rows of one kind of message go."""

    name: str
    """Of the view that people query; the rows are in `<name>_log`."""
    columns: Mapping[str, Callable[[Any], Any]]
    """How to read each column from a message."""

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


def _fields(*names: str) -> dict[str, Callable[[Any], Any]]:
    return {name: attrgetter(name) for name in names}


def _inner(prefix: str, *names: str) -> dict[str, Callable[[Any], Any]]:
    return {name: attrgetter(f"{prefix}.{name}") for name in names}


def _of_rules(name: str) -> Callable[[ScoredEvent], list[Any]]:
    return lambda scored: [getattr(hit, name) for hit in scored.decision.rules]


EVENTS = Table(
    "events",
    {
        **_inner(
            "event",
            *("event_id", "app", "kind", "request_id", "conversation_id", "tenant", "environment", "model"),
            *("provider", "prompt_name", "prompt_version", "user", "chain", "step", "text", "system_prompt"),
            *("contexts", "prompt_tokens", "completion_tokens", "latency_ms", "ttft_ms", "cost"),
            *("finish_reason", "trace_id", "span_id", "metadata"),
        ),
        "tool_calls": lambda scored: [(call.name, call.arguments) for call in scored.event.tool_calls],
        **_fields("timestamp", "storage", "text_hash", "pii_types"),
        **_inner("decision", "decision_id", "verdict", "action", "severity", "failed"),
        "degraded": attrgetter("decision.degraded"),
        **_inner("decision", "policy_version", "policy_hash", "detectors_hash", "decided_at"),
        "decision_latency_ms": attrgetter("decision.latency_ms"),
        "rules": _of_rules("rule"),
        "rule_actions": _of_rules("action"),
        "rule_severities": _of_rules("severity"),
        "rule_modes": _of_rules("mode"),
        "rule_metrics": _of_rules("metric"),
        "rule_scores": _of_rules("score"),
        "rule_failed": _of_rules("failed"),
    },
)

ALERTS = Table(
    "alerts",
    {
        **_fields("alert_id", "source", "severity", "rule", "title", "timestamp", "app", "model"),
        **_fields("prompt_version", "event_id", "decision_id", "conversation_id", "action", "mode"),
        **_fields("metric", "score", "policy_version", "policy_hash"),
        "evidence": lambda alert: [
            (e.detector, e.metric, e.label, e.start, e.end, e.weight, e.text) for e in alert.evidence
        ],
    },
)

DRIFT = Table(
    "drift",
    _fields(
        *("drift_id", "app", "model", "prompt_version", "kind", "metric", "detector", "timestamp"),
        *("event_id", "before", "after", "samples"),
    ),
)

FEEDBACK = Table(
    "feedback",
    {
        **_fields("feedback_id", "event_id", "app", "reviewer", "judgement", "metric", "comment"),
        "timestamp": lambda feedback: milliseconds(feedback.timestamp),
    },
)

DEAD_LETTERS = Table(
    "dead_letters",
    _fields(
        *("dead_letter_id", "topic", "partition", "offset", "timestamp", "reason", "detail", "size"),
        *("payload_sha256", "app", "repeats", "state"),
    ),
)

TABLES: Mapping[type, Table] = {
    ScoredEvent: EVENTS,
    Alert: ALERTS,
    DriftRecord: DRIFT,
    Feedback: FEEDBACK,
    DeadLetter: DEAD_LETTERS,
}
"""By the message that a row is made of."""


def scores(batch: Sequence[ScoredEvent]) -> Columns:
    """Return a column for each metric that any event of the batch has; None where it does not apply."""
    names = sorted({name for scored in batch for name in scored.scores})
    maps = [scored.scores for scored in batch]
    return {name: [values.get(name) for values in maps] for name in names}


def encodable(value: Any) -> Any:
    """Replace the lone surrogates of every string in a column: UTF-8 cannot hold them."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if isinstance(value, dict):
        return {encodable(key): encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(encodable(item) for item in value)
    return value
