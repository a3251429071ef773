"""The Kafka topics of weir, by role."""

from typing import Final

EVENTS: Final = "llm.events"
EVENTS_BULK: Final = "llm.events.bulk"
"""Events that nobody waits for, such as a file's: the guard judges those of `EVENTS` first."""
DECISIONS: Final = "llm.decisions"
SCORES: Final = "llm.scores"
ALERTS: Final = "llm.alerts"
DRIFT: Final = "llm.drift"
FEEDBACK: Final = "llm.feedback"
DEAD_LETTERS: Final = "llm.dlq"
STATE: Final = "llm.state"

ALL: Final = (EVENTS, EVENTS_BULK, DECISIONS, SCORES, ALERTS, DRIFT, FEEDBACK, DEAD_LETTERS, STATE)
