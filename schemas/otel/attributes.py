"""Which attribute of a span goes into which field of an event, and how it is read."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

from schemas.otel.chat_messages import NAME_LENGTH, clean, structure

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


class Target(NamedTuple):
    """Where an attribute goes: a field of the prompt event, of the completion event, or of both."""

    field: str
    on: Literal["both", "prompt", "completion"] = "both"
    convert: Callable[[object], Any] | None = name_of
    """None for content, which is read as chat messages."""


ATTRIBUTES: Final[dict[str, Target]] = {
    "service.name": Target("app"),
    "deployment.environment.name": Target("environment"),
    "deployment.environment": Target("environment"),
    "langfuse.environment": Target("environment"),
    "gen_ai.conversation.id": Target("conversation_id"),
    "session.id": Target("conversation_id"),
    "langfuse.session.id": Target("conversation_id"),
    "traceloop.association.properties.session_id": Target("conversation_id"),
    "traceloop.association.properties.conversation_id": Target("conversation_id"),
    "traceloop.association.properties.thread_id": Target("conversation_id"),
    "ai.telemetry.metadata.sessionId": Target("conversation_id"),
    "gen_ai.request.model": Target("model"),
    "gen_ai.response.model": Target("model"),
    "llm.model_name": Target("model"),
    "llm.request.model": Target("model"),
    "llm.request.model_name": Target("model"),
    "llm.response.model_name": Target("model"),
    "langfuse.observation.model.name": Target("model"),
    "ai.model.id": Target("model"),
    "ai.response.model": Target("model"),
    "gen_ai.provider.name": Target("provider"),
    "gen_ai.system": Target("provider"),
    "llm.provider": Target("provider"),
    "llm.system": Target("provider"),
    "ai.model.provider": Target("provider"),
    "gen_ai.prompt.name": Target("prompt_name"),
    "traceloop.prompt.key": Target("prompt_name"),
    "langfuse.observation.prompt.name": Target("prompt_name"),
    "gen_ai.prompt.version": Target("prompt_version"),
    "llm.prompt_template.version": Target("prompt_version"),
    "traceloop.prompt.version": Target("prompt_version"),
    "langfuse.observation.prompt.version": Target("prompt_version"),
    "enduser.pseudo.id": Target("user"),
    "user.hash": Target("user"),
    "user.id": Target("user"),
    "enduser.id": Target("user"),
    "langfuse.user.id": Target("user"),
    "traceloop.association.properties.user_id": Target("user"),
    "ai.telemetry.metadata.userId": Target("user"),
    "gen_ai.workflow.name": Target("chain"),
    "traceloop.workflow.name": Target("chain"),
    "langfuse.trace.name": Target("chain"),
    "gen_ai.agent.name": Target("step"),
    "traceloop.entity.name": Target("step"),
    "ai.telemetry.functionId": Target("step"),
    "gen_ai.usage.input_tokens": Target("prompt_tokens", "prompt", _count),
    "gen_ai.usage.prompt_tokens": Target("prompt_tokens", "prompt", _count),
    "llm.usage.prompt_tokens": Target("prompt_tokens", "prompt", _count),
    "llm.token_count.prompt": Target("prompt_tokens", "prompt", _count),
    "ai.usage.inputTokens": Target("prompt_tokens", "prompt", _count),
    "ai.usage.promptTokens": Target("prompt_tokens", "prompt", _count),
    "gen_ai.usage.output_tokens": Target("completion_tokens", "completion", _count),
    "gen_ai.usage.completion_tokens": Target("completion_tokens", "completion", _count),
    "llm.usage.completion_tokens": Target("completion_tokens", "completion", _count),
    "llm.token_count.completion": Target("completion_tokens", "completion", _count),
    "ai.usage.outputTokens": Target("completion_tokens", "completion", _count),
    "ai.usage.completionTokens": Target("completion_tokens", "completion", _count),
    "gen_ai.response.time_to_first_chunk": Target("ttft_ms", "completion", _seconds),
    "ai.response.msToFirstChunk": Target("ttft_ms", "completion", _amount),
    "gen_ai.usage.cost": Target("cost", "completion", _amount),
    "llm.cost.total": Target("cost", "completion", _amount),
    "langfuse.observation.cost_details": Target("cost", "completion", _within(_amount, "total")),
    "gen_ai.response.finish_reasons": Target("finish_reason", "completion", _first),
    "llm.finish_reason": Target("finish_reason", "completion", _first),
    "gen_ai.completion.0.finish_reason": Target("finish_reason", "completion", _first),
    "ai.response.finishReason": Target("finish_reason", "completion", _first),
    "gen_ai.system_instructions": Target("system_prompt", "prompt", None),
    "gen_ai.input.messages": Target("text", "prompt", None),
    "gen_ai.prompt": Target("text", "prompt", None),
    "gen_ai.prompt.{i}": Target("text", "prompt", None),
    "llm.input_messages.{i}.message": Target("text", "prompt", None),
    "llm.prompts.{i}.prompt": Target("text", "prompt", None),
    "llm.prompts": Target("text", "prompt", None),
    "langfuse.observation.input": Target("text", "prompt", None),
    "ai.prompt.messages": Target("text", "prompt", None),
    "ai.prompt": Target("text", "prompt", None),
    "pydantic_ai.all_messages": Target("text", "prompt", None),
    "input.value": Target("text", "prompt", None),
    "mlflow.spanInputs": Target("text", "prompt", None),
    "gcp.vertex.agent.llm_request": Target("text", "prompt", None),
    "traceloop.entity.input": Target("text", "prompt", None),
    "gen_ai.output.messages": Target("text", "completion", None),
    "gen_ai.completion": Target("text", "completion", None),
    "gen_ai.completion.{i}": Target("text", "completion", None),
    "llm.output_messages.{i}.message": Target("text", "completion", None),
    "llm.choices.{i}.completion": Target("text", "completion", None),
    "langfuse.observation.output": Target("text", "completion", None),
    "ai.response.text": Target("text", "completion", None),
    "ai.response.object": Target("text", "completion", None),
    "final_result": Target("text", "completion", None),
    "output.value": Target("text", "completion", None),
    "mlflow.spanOutputs": Target("text", "completion", None),
    "gcp.vertex.agent.llm_response": Target("text", "completion", None),
    "traceloop.entity.output": Target("text", "completion", None),
    "ai.response.toolCalls": Target("tool_calls", "completion", None),
}
"""Of several names for one field the first that holds something counts. `{i}` stands for the number of a
message, whose `role`, `content` and tool calls are attributes of their own."""

DETAILS: Final[dict[str, tuple[Target, ...]]] = {
    "langfuse.observation.usage_details": (
        Target("prompt_tokens", "prompt", _within(_count, "input", "prompt_tokens", "input_tokens")),
        Target(
            "completion_tokens", "completion", _within(_count, "output", "completion_tokens", "output_tokens")
        ),
    ),
}
"""Attributes that hold several fields in one JSON."""
