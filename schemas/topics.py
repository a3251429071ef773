"""The Kafka topics of weir, by role."""

from typing import Final

EVENTS: Final = "llm.events"
DECISIONS: Final = "llm.decisions"
SCORES: Final = "llm.scores"
ALERTS: Final = "llm.alerts"
DRIFT: Final = "llm.drift"
FEEDBACK: Final = "llm.feedback"
DEAD_LETTERS: Final = "llm.dlq"
STATE: Final = "llm.state"

ALL: Final = (EVENTS, DECISIONS, SCORES, ALERTS, DRIFT, FEEDBACK, DEAD_LETTERS, STATE)
