"""Which attribute of a span goes into which field of an event, and how it is read."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

from schemas.events import NAME_LENGTH
from schemas.otel.chat_messages import structure
from schemas.otel.parts import clean

_MAX_COUNT: Final = 2**32 - 1


def name_of(value: object) -> str:
    """Return a value as a name, as long as an event's fields allow."""
    return clean(value)[:NAME_LENGTH]


def _first(value: object) -> str:
    value = structure(value)
    return name_of(value[0] if isinstance(value, (list, tuple)) and value else value)


def _count(value: object) -> int | None:
    """Return a number of tokens; None for 0, which SDKs report that did not count."""
    number = _amount(value)
    return int(number) or None if number is not None and number <= _MAX_COUNT else None


def _amount(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _within(convert: Callable[[object], Any], *names: str) -> Callable[[object], Any]:
    """Return what reads the first of some fields in the JSON of an attribute."""

    def read(value: object) -> Any:
        fields = structure(value)
        given = [fields.get(name) for name in names] if isinstance(fields, Mapping) else []
        return next((found for each in given if (found := convert(each)) is not None), None)

    return read


def _seconds(value: object) -> float | None:
    number = _amount(value)
    return None if number is None else number * 1000


class EventField(NamedTuple):
    """Where an attribute goes: a field of the prompt event, of the completion event, or of both."""

    field: str
    on: Literal["both", "prompt", "completion"] = "both"
    convert: Callable[[object], Any] | None = name_of
    """None for content, which is read as chat messages."""


ATTRIBUTES: Final[dict[str, EventField]] = {
    "service.name": EventField("app"),
    "deployment.environment.name": EventField("environment"),
    "deployment.environment": EventField("environment"),
    "langfuse.environment": EventField("environment"),
    "gen_ai.conversation.id": EventField("conversation_id"),
    "session.id": EventField("conversation_id"),
    "langfuse.session.id": EventField("conversation_id"),
    "traceloop.association.properties.session_id": EventField("conversation_id"),
    "traceloop.association.properties.conversation_id": EventField("conversation_id"),
    "traceloop.association.properties.thread_id": EventField("conversation_id"),
    "ai.telemetry.metadata.sessionId": EventField("conversation_id"),
    "gen_ai.request.model": EventField("model"),
    "gen_ai.response.model": EventField("model"),
    "llm.model_name": EventField("model"),
    "llm.request.model": EventField("model"),
    "llm.request.model_name": EventField("model"),
    "llm.response.model_name": EventField("model"),
    "langfuse.observation.model.name": EventField("model"),
    "ai.model.id": EventField("model"),
    "ai.response.model": EventField("model"),
    "gen_ai.provider.name": EventField("provider"),
    "gen_ai.system": EventField("provider"),
    "llm.provider": EventField("provider"),
    "llm.system": EventField("provider"),
    "ai.model.provider": EventField("provider"),
    "gen_ai.prompt.name": EventField("prompt_name"),
    "traceloop.prompt.key": EventField("prompt_name"),
    "langfuse.observation.prompt.name": EventField("prompt_name"),
    "gen_ai.prompt.version": EventField("prompt_version"),
    "llm.prompt_template.version": EventField("prompt_version"),
    "traceloop.prompt.version": EventField("prompt_version"),
    "langfuse.observation.prompt.version": EventField("prompt_version"),
    "enduser.pseudo.id": EventField("user"),
    "user.hash": EventField("user"),
    "user.id": EventField("user"),
    "enduser.id": EventField("user"),
    "langfuse.user.id": EventField("user"),
    "traceloop.association.properties.user_id": EventField("user"),
    "ai.telemetry.metadata.userId": EventField("user"),
    "gen_ai.workflow.name": EventField("chain"),
    "traceloop.workflow.name": EventField("chain"),
    "langfuse.trace.name": EventField("chain"),
    "gen_ai.agent.name": EventField("step"),
    "traceloop.entity.name": EventField("step"),
    "ai.telemetry.functionId": EventField("step"),
    "gen_ai.usage.input_tokens": EventField("prompt_tokens", "prompt", _count),
    "gen_ai.usage.prompt_tokens": EventField("prompt_tokens", "prompt", _count),
    "llm.usage.prompt_tokens": EventField("prompt_tokens", "prompt", _count),
    "llm.token_count.prompt": EventField("prompt_tokens", "prompt", _count),
    "ai.usage.inputTokens": EventField("prompt_tokens", "prompt", _count),
    "ai.usage.promptTokens": EventField("prompt_tokens", "prompt", _count),
    "gen_ai.usage.output_tokens": EventField("completion_tokens", "completion", _count),
    "gen_ai.usage.completion_tokens": EventField("completion_tokens", "completion", _count),
    "llm.usage.completion_tokens": EventField("completion_tokens", "completion", _count),
    "llm.token_count.completion": EventField("completion_tokens", "completion", _count),
    "ai.usage.outputTokens": EventField("completion_tokens", "completion", _count),
    "ai.usage.completionTokens": EventField("completion_tokens", "completion", _count),
    "gen_ai.response.time_to_first_chunk": EventField("ttft_ms", "completion", _seconds),
    "ai.response.msToFirstChunk": EventField("ttft_ms", "completion", _amount),
    "gen_ai.usage.cost": EventField("cost", "completion", _amount),
    "llm.cost.total": EventField("cost", "completion", _amount),
    "langfuse.observation.cost_details": EventField("cost", "completion", _within(_amount, "total")),
    "gen_ai.response.finish_reasons": EventField("finish_reason", "completion", _first),
    "llm.finish_reason": EventField("finish_reason", "completion", _first),
    "gen_ai.completion.0.finish_reason": EventField("finish_reason", "completion", _first),
    "ai.response.finishReason": EventField("finish_reason", "completion", _first),
    "gen_ai.system_instructions": EventField("system_prompt", "prompt", None),
    "gen_ai.system_message": EventField("system_prompt", "prompt", None),
    "gen_ai.system.message": EventField("system_prompt", "prompt", None),
    "llm.system_prompt": EventField("system_prompt", "prompt", None),
    "gen_ai.input.messages": EventField("text", "prompt", None),
    "gen_ai.prompt": EventField("text", "prompt", None),
    "gen_ai.prompt.{i}": EventField("text", "prompt", None),
    "llm.input_messages.{i}.message": EventField("text", "prompt", None),
    "llm.prompts.{i}.prompt": EventField("text", "prompt", None),
    "llm.prompts": EventField("text", "prompt", None),
    "langfuse.observation.input": EventField("text", "prompt", None),
    "ai.prompt.messages": EventField("text", "prompt", None),
    "ai.prompt": EventField("text", "prompt", None),
    "pydantic_ai.all_messages": EventField("text", "prompt", None),
    "input.value": EventField("text", "prompt", None),
    "mlflow.spanInputs": EventField("text", "prompt", None),
    "gcp.vertex.agent.llm_request": EventField("text", "prompt", None),
    "traceloop.entity.input": EventField("text", "prompt", None),
    "request_data": EventField("text", "prompt", None),
    "gen_ai.output.messages": EventField("text", "completion", None),
    "gen_ai.completion": EventField("text", "completion", None),
    "gen_ai.completion.{i}": EventField("text", "completion", None),
    "llm.output_messages.{i}.message": EventField("text", "completion", None),
    "llm.choices.{i}.completion": EventField("text", "completion", None),
    "langfuse.observation.output": EventField("text", "completion", None),
    "ai.response.text": EventField("text", "completion", None),
    "ai.response.object": EventField("text", "completion", None),
    "ai.result.text": EventField("text", "completion", None),
    "ai.result.object": EventField("text", "completion", None),
    "final_result": EventField("text", "completion", None),
    "output.value": EventField("text", "completion", None),
    "mlflow.spanOutputs": EventField("text", "completion", None),
    "gcp.vertex.agent.llm_response": EventField("text", "completion", None),
    "traceloop.entity.output": EventField("text", "completion", None),
    "response_data": EventField("text", "completion", None),
    "ai.response.toolCalls": EventField("tool_calls", "completion", None),
    "ai.result.toolCalls": EventField("tool_calls", "completion", None),
    "retrieval.documents.{i}.document": EventField("contexts", "both", None),
    "retrieval.documents": EventField("contexts", "both", None),
    "gen_ai.retrieval.documents": EventField("contexts", "both", None),
    "reranker.output_documents.{i}.document": EventField("contexts", "both", None),
}
"""Of several names for one field the first that holds something counts. `{i}` stands for the number of a
message, whose `role`, `content` and tool calls are attributes of their own."""

DETAILS: Final[dict[str, tuple[EventField, ...]]] = {
    "langfuse.observation.usage_details": (
        EventField("prompt_tokens", "prompt", _within(_count, "input", "prompt_tokens", "input_tokens")),
        EventField(
            "completion_tokens", "completion", _within(_count, "output", "completion_tokens", "output_tokens")
        ),
    ),
}
"""Attributes that hold several fields in one JSON."""
