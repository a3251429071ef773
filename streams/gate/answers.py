"""What a caller is told, whatever the contract: the decision, and whether it is recorded."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from schemas.events import VERDICTS, Decision, Evidence
from streams.policy.actions import ACTIONS

BLOCKING: Final = frozenset(word for word, traits in ACTIONS.items() if traits.stops)
"""What must not go on: an escalated text waits for a person."""


class UnreadableRequestError(ValueError):
    """A request that holds nothing that can be judged: to let it pass would be to pass what nobody has read.

    The message says what is wrong and repeats nothing of it.
    """


class Answer(NamedTuple):
    """The answer to one event."""

    decision: Decision
    scores: dict[str, float]
    recorded: bool
    """It is with Kafka, or will be in a moment; False while Kafka is away."""
    evidence: tuple[Evidence, ...] = ()


def text_of(answer: Answer, original: str) -> str:
    """Return the text to use in place of the original."""
    redacted = answer.decision.text
    return original if redacted is None else redacted


def strongest(answers: Sequence[Answer]) -> Answer:
    """Return the answer with the strongest action."""
    return max(answers, key=lambda answer: VERDICTS.index(answer.decision.action))


def reason(answer: Answer) -> str:
    """Return why, for a person who must not see how the rules work: their names alone."""
    action = answer.decision.action
    names = ", ".join(
        hit.rule for hit in answer.decision.rules if hit.mode == "enforce" and hit.action == action
    )
    return f"{'blocked' if action == 'block' else action} by policy{f': {names}' if names else ''}"
