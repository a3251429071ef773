"""weir's own contract: `POST /v1/check` and the lines of `POST /v1/events`."""

import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec

from schemas.events import Event, Kind, ToolCall
from streams.gate.answers import Answer, UnreadableRequestError
from streams.gate.reading import json_of

MOST_EVENTS: Final = 256


Deadline = Annotated[float, msgspec.Meta(gt=0, le=600_000)]
"""Milliseconds."""


class Check(msgspec.Struct, omit_defaults=True):
    """An event to judge. Only `text` is required: an id is made, and the key may say the app."""

    text: str
    app: str = ""
    kind: Kind | msgspec.UnsetType = msgspec.UNSET
    """A prompt, where neither the event nor what stands beside `events` says it."""
    event_id: str = ""
    request_id: str = ""
    conversation_id: str = ""
    tenant: str = ""
    environment: str = ""
    timestamp: str | int | None = None
    model: str = ""
    provider: str = ""
    prompt_name: str = ""
    prompt_version: str = ""
    user: str = ""
    chain: str = ""
    step: str = ""
    prompt: str = ""
    system_prompt: str = ""
    contexts: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    cost: float | None = None
    finish_reason: str = ""
    trace_id: str = ""
    span_id: str = ""
    metadata: dict[str, str] = {}


class Request(Check, omit_defaults=True, kw_only=True):
    """One event, or up to 256 in `events`, and what the answer should hold.

    Fields beside `events` are those of all events that do not have them.
    """

    text: str | msgspec.UnsetType = msgspec.UNSET  # type: ignore[assignment]
    events: Annotated[list[Check], msgspec.Meta(min_length=1, max_length=MOST_EVENTS)] | None = None
    scores: bool = False
    evidence: bool = False
    deadline_ms: Deadline | None = None
    review_within_ms: Annotated[float, msgspec.Meta(ge=0, le=600_000)] = 0


_SHARED: Final = {
    field.name: field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    for field in msgspec.structs.fields(Check)
    if not field.required and field.name != "event_id"
}
"""What stands beside `events` for all of them, with what it is where it does not stand there."""


def events(request: Request, app: str) -> list[Event]:
    """Return the events of a request; those without an app have `app`.

    Raises `UnreadableRequestError` where there is neither `text` nor `events`, or both.
    """
    if (request.text is msgspec.UNSET) == (request.events is None):
        raise UnreadableRequestError("either `text` or `events` is needed")
    shared = {
        name: value for name, default in _SHARED.items() if (value := getattr(request, name)) != default
    }
    return [_event(check, {"app": app or "default"} | shared) for check in request.events or [request]]


def _event(check: Check, shared: dict[str, Any]) -> Event:
    given = {
        name: value for name in Check.__struct_fields__
        if (value := getattr(check, name)) != _SHARED.get(name)
    }  # fmt: skip
    given["event_id"] = check.event_id or secrets.token_hex(16)
    return Event(**({"kind": "prompt"} | shared | given))


def body(request: Request, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return the answer to one event, or `results` for those of `events`."""
    results = [_result(answer, request) for answer in answers]
    return results[0] if request.events is None else {"results": results}


def _result(answer: Answer, request: Request) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(answer.decision)
    found.pop("app")
    found |= {
        "recorded": answer.recorded,
        "rules": found.get("rules", []),
        "severity": answer.decision.severity,
    }
    if request.scores:
        found["scores"] = answer.scores
    if request.evidence:
        found["evidence"] = msgspec.to_builtins(answer.evidence)
    return found


def with_app(line: bytes, app: str) -> bytes:
    """Return the JSON of an event that says its app; as it was where it says one, or is no event."""
    if not app:
        return line
    try:
        given = json_of(line, dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return line
    return line if "app" in given else msgspec.json.encode(given | {"app": app})


def lines(raw: bytes) -> list[bytes]:
    """Return the events of a body as they are: JSON lines, or one object, or an array of them."""
    if raw.lstrip()[:1] == b"[":
        try:
            return [bytes(each) for each in json_of(raw, list[msgspec.Raw])]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [raw]
    try:
        json_of(raw, dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [line for line in raw.splitlines() if line.strip()]
    return [raw]
