"""OpenAI's `POST /v1/moderations` (https://platform.openai.com/docs/api-reference/moderations)."""

import secrets
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from schemas.events import Event
from streams.gate.answers import BLOCKING, Answer, UnreadableRequestError

CATEGORIES: Final[dict[str, tuple[str, ...]]] = {
    "harassment": ("insult",),
    "harassment/threatening": ("threat",),
    "hate": ("identity_attack", "bias_identity_attack"),
    "hate/threatening": (),
    "illicit": ("harmful_request",),
    "illicit/violent": (),
    "self-harm": (),
    "self-harm/instructions": (),
    "self-harm/intent": (),
    "sexual": (),
    "sexual/minors": (),
    "violence": (),
    "violence/graphic": (),
}
"""Each category with the metrics whose highest is its score; none: weir has no score for it."""
OWN: Final = ("toxicity", "injection", "pii", "secrets")
"""Metrics that the answer has beside OpenAI's categories."""
THRESHOLD: Final = 0.5


class Part(msgspec.Struct):
    """A part of a multi-modal input."""

    type: str
    text: str | None = None


class Request(msgspec.Struct):
    """The body of a request; any name of a model is taken."""

    input: str | list[str | Part]
    model: str = "weir"


def events(request: Request, app: str) -> list[Event]:
    """Return an event per string, one for the parts of a multi-modal input.

    Raises `UnreadableRequestError` for an image, and where there is no input at all.
    """
    given = [request.input] if isinstance(request.input, str) else request.input
    if not given:
        raise UnreadableRequestError("`input` is empty")
    texts, parts = [each for each in given if isinstance(each, str)], list[str]()
    for part in (each for each in given if isinstance(each, Part)):
        if part.type != "text" or part.text is None:
            raise UnreadableRequestError("weir judges text alone: leave out inputs of other types")
        parts.append(part.text)
    if parts:
        texts.append("\n".join(parts))
    call = secrets.token_hex(12)
    return [
        Event(event_id=f"modr-{call}-{number}", app=app, kind="prompt", text=text, step="moderation")
        for number, text in enumerate(texts)
    ]


def body(request: Request, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return the body of the response."""
    call = answers[0].decision.event_id.rpartition("-")[0] if answers else f"modr-{secrets.token_hex(12)}"
    return {"id": call, "model": request.model, "results": [_result(answer) for answer in answers]}


def _result(answer: Answer) -> dict[str, Any]:
    scores = {
        name: max((answer.scores.get(metric, 0.0) for metric in metrics), default=0.0)
        for name, metrics in CATEGORIES.items()
    }
    own = {name: answer.scores[name] for name in OWN if name in answer.scores}
    flags = {name: score >= THRESHOLD for name, score in (scores | own).items()}
    return {
        "flagged": answer.decision.action in BLOCKING or any(flags[name] for name in scores),
        "categories": flags,
        "category_scores": scores | own,
        "category_applied_input_types": {name: ["text"] if CATEGORIES[name] else [] for name in scores},
        "action": answer.decision.action,
        "unscored": [name for name, metrics in CATEGORIES.items() if not metrics],
    }
