"""What is left of a message that its topic does not take: without the texts, which make it large."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from schemas import codec, topics
from schemas.events import Alert, DeadLetter, Decision, ScoredEvent
from streams.kafka.records import Message

replace = msgspec.structs.replace
ENTRY_CHARACTERS: Final = 512
"""Of an entry of the metadata that is kept, its name with its value, at most."""
METADATA_CHARACTERS: Final = 8_192
"""Of all of them."""


def reduced(topic: str, message: Message) -> Message | None:
    """Return a message of weir without its texts; None where that saves nothing, or it is none of weir's."""
    key, value = message
    reduce = _REDUCE.get(topic)
    if reduce is None or value is None:
        return None
    try:
        less = codec.encode(reduce(codec.decode(topics.BY_TOPIC[topic].message, value)))
    except codec.Rejected:
        return None
    return (key, less) if len(less) < len(value) else None


def _decision(decision: Decision) -> Decision:
    # An app that sends the text on must get one that says that it is not the original.
    return replace(decision, text=decision.text and f"[WITHHELD {len(decision.text)} characters]")


def _scored(scored: ScoredEvent) -> ScoredEvent:
    bare = scored.event.without_texts(_short(scored.event.metadata))
    storage = "none" if scored.storage == "none" else "oversize"
    return replace(scored, event=bare, decision=_decision(scored.decision), storage=storage, sketch=b"")


def _short(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the entries that are no texts, as long as they are few: the store is asked for them."""
    left, kept = METADATA_CHARACTERS, {}
    for name, value in metadata.items():
        if (size := len(name) + len(value)) <= min(ENTRY_CHARACTERS, left):
            kept[name] = value
            left -= size
    return kept


def _alert(alert: Alert) -> Alert:
    return replace(alert, evidence=())


def _letter(letter: DeadLetter) -> DeadLetter:
    """Its size still says that there was a payload, which `weir dlq` then reads from its topic."""
    return replace(letter, payload=b"", key=b"")


_REDUCE: Final[Mapping[str, Callable[[Any], msgspec.Struct]]] = MappingProxyType(
    {
        topics.DECISIONS: _decision,
        topics.SCORES: _scored,
        topics.ALERTS: _alert,
        topics.DEAD_LETTERS: _letter,
    }
)
