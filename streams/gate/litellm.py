"""LiteLLM's generic guardrail: `POST /beta/litellm_basic_guardrail_api`.

LiteLLM (https://docs.litellm.ai) sends every text of a request or of a response, and of a streamed response
all of it again and again as it grows. So the id of an event is made of the call and of the place of its text:
one that grew replaces what was recorded of it.
"""

import secrets
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from schemas.events import Event, ToolCall
from streams.gate.answers import BLOCKING, Answer, reason, strongest, text_of
from streams.gate.holdback import Holdbacks

PATH: Final = "/beta/litellm_basic_guardrail_api"


class Function(msgspec.Struct):
    """A function that the model calls."""

    name: str | None = ""
    arguments: str | None = ""


class Call(msgspec.Struct):
    """A tool call in OpenAI's notation."""

    function: Function | None = None


class Caller(msgspec.Struct):
    """What LiteLLM knows of who asks; the rest of it is not read."""

    user_api_key_end_user_id: str | None = ""
    user_api_key_user_id: str | None = ""
    user_api_key_team_id: str | None = ""


class Parameters(msgspec.Struct):
    """`additional_provider_specific_params` of the guardrail's configuration, or of one request."""

    app: str = ""
    tenant: str = ""
    environment: str = ""


class Request(msgspec.Struct):
    """The body of a request."""

    input_type: Literal["request", "response"]
    texts: list[str] | None = None
    tool_calls: list[Call] | None = None
    structured_messages: list[dict[str, Any]] | None = None
    model: str | None = ""
    litellm_call_id: str | None = ""
    litellm_trace_id: str | None = ""
    request_data: Caller | None = None
    additional_provider_specific_params: Parameters | None = None


def events(request: Request, app: str) -> list[Event]:
    """Return an event per text, the last with the tool calls; one without text for tool calls alone."""
    given = request.additional_provider_specific_params or Parameters()
    caller = request.request_data or Caller()
    call = request.litellm_call_id or secrets.token_hex(16)
    kind: Literal["prompt", "completion"] = "prompt" if request.input_type == "request" else "completion"
    calls = tuple(
        ToolCall(name=each.function.name or "", arguments=each.function.arguments or "")
        for each in request.tool_calls or ()
        if each.function
    )
    texts = request.texts or ([""] if calls else [])
    roles = _roles(request, texts)
    return [
        Event(
            event_id=f"{call}-{kind}" + (f"-{number}" if number else ""),
            app=given.app or app,
            kind=kind,
            text=text,
            step=roles[number],
            request_id=call,
            # Placeholders are salted by it: they must be the same in every round of a stream.
            conversation_id=call,
            trace_id=request.litellm_trace_id or "",
            tenant=given.tenant or caller.user_api_key_team_id or "",
            environment=given.environment,
            user=caller.user_api_key_end_user_id or caller.user_api_key_user_id or "",
            model=request.model or "",
            tool_calls=calls if number == len(texts) - 1 else (),
        )
        for number, text in enumerate(texts)
    ]


def _roles(request: Request, texts: Sequence[str]) -> list[str]:
    """Return whose each text is, where messages and texts go one to one; else nothing."""
    messages = request.structured_messages or []
    if request.input_type == "request" and len(messages) == len(texts):
        return [str(message.get("role", ""))[:256] for message in messages]
    return [""] * len(texts)


def body(
    request: Request, events: Sequence[Event], answers: Sequence[Answer], holdbacks: Holdbacks
) -> dict[str, Any]:
    """Return the body of the response, of a streamed one also how much of each text may still change."""
    if not answers:
        return {"action": "NONE"}
    texts = request.texts or []
    changed = [text_of(answer, text) for text, answer in zip(texts, answers, strict=False)]
    worst = strongest(answers)
    found: dict[str, Any] = {"action": "NONE", "texts": changed}
    if worst.decision.action in BLOCKING:
        return {"action": "BLOCKED", "blocked_reason": reason(worst)}
    if request.input_type == "response" and texts:
        given = zip(events, answers, changed, strict=False)
        found["stream_holdback_chars"] = [
            holdbacks.of(answer.decision, event.text, shown) for event, answer, shown in given
        ]
    if changed != texts:
        found["action"] = "GUARDRAIL_INTERVENED"
    return found
