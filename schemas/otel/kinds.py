"""What a span is: the call of a model, what wraps such calls, a tool, a retrieval.

A wrapper (agent, chain, workflow) repeats the texts of the calls in it, and a tool's texts stand in the
calls before and after it: whoever judges them all judges one answer several times.
"""

import enum
import re
from collections.abc import Mapping
from typing import Final


class SpanKind(enum.StrEnum):
    """What a span is, as messages for people name it."""

    GENERATION = "generation"
    WRAPPER = "agent, chain or workflow"
    TOOL = "tool"
    RETRIEVAL = "embedding or retrieval"
    CHECK = "guardrail or evaluation"
    OTHER = "no model call"


_G, _W, _T, _R, _C = SpanKind.GENERATION, SpanKind.WRAPPER, SpanKind.TOOL, SpanKind.RETRIEVAL, SpanKind.CHECK

_VALUES: Final[dict[str, dict[str, SpanKind]]] = {
    "openinference.span.kind": {
        "llm": _G, "agent": _W, "chain": _W, "tool": _T, "retriever": _R, "reranker": _R, "embedding": _R,
        "guardrail": _C, "evaluator": _C,
    },
    "langfuse.observation.type": {
        "generation": _G, "span": _W, "agent": _W, "chain": _W, "tool": _T, "retriever": _R, "embedding": _R,
        "guardrail": _C, "evaluator": _C, "event": SpanKind.OTHER,
    },
    "gen_ai.operation.name": {
        "chat": _G, "generate_content": _G, "text_completion": _G, "completion": _G,
        "invoke_agent": _W, "create_agent": _W, "invoke_workflow": _W, "plan": _W,
        "execute_tool": _T, "embeddings": _R, "retrieval": _R,
        "apply_guardrail": _C, "run_guardrail": _C,
    },
    "traceloop.span.kind": {"workflow": _W, "task": _W, "agent": _W, "tool": _T},
    "llm.request.type": {"chat": _G, "completion": _G, "embedding": _R, "rerank": _R},
    "langsmith.span.kind": {"llm": _G, "chain": _W, "tool": _T, "retriever": _R, "embedding": _R},
    "mlflow.spanType": {
        "chat_model": _G, "llm": _G, "agent": _W, "chain": _W, "workflow": _W, "task": _W, "tool": _T,
        "retriever": _R, "embedding": _R, "reranker": _R, "guardrail": _C, "evaluator": _C,
    },
}  # fmt: skip
"""By attribute and value; the first attribute with a value that is known decides."""
_VERCEL: Final = {
    "ai.generatetext": _W, "ai.streamtext": _W, "ai.generateobject": _W, "ai.streamobject": _W,
    "ai.toolcall": _T, "ai.embed": _R, "ai.embedmany": _R, "ai.rerank": _R,
}  # fmt: skip
"""Of the Vercel AI SDK's operations those without a part after the second; `.doGenerate` is the model's."""
_AGENTS: Final = ("pydantic_ai.all_messages", "all_messages_events", "final_result")
_CALLS: Final = ("gen_ai.", "llm.", "ai.", "langfuse.observation.", "mlflow.span")
"""How the attributes begin of which a span of a model call has some."""


def kind_of(attributes: Mapping[str, object]) -> SpanKind | None:
    """Return what a span says that it is; None where it does not say."""
    if isinstance(operation := attributes.get("ai.operationId"), str):
        first, _, detail = operation.lower().removeprefix("ai.").partition(".")
        if found := _VERCEL.get(f"ai.{first}"):
            return SpanKind.GENERATION if found is SpanKind.WRAPPER and detail else found
    for name, kinds in _VALUES.items():
        value = attributes.get(name)
        if isinstance(value, str) and (kind := kinds.get(value.strip('"').lower())):
            return kind
    if any(name in attributes for name in _AGENTS):
        return SpanKind.WRAPPER
    return None


def is_model_call(attributes: Mapping[str, object]) -> bool:
    """Return whether any attribute is one of those that instrumentations of model calls set."""
    return any(name.startswith(_CALLS) for name in attributes)


_REASONING: Final = re.compile(
    r"\"type\"\s*:\s*\"(?:reasoning|thinking|redacted_thinking)\"|\"(?:reasoning_content|thinking)\"\s*:\s*\"[^\"]"
)


def has_reasoning(attributes: Mapping[str, object]) -> bool:
    """Return whether a span holds what a model thought before its answer: nobody is shown it."""
    return "ai.response.reasoning" in attributes or any(
        _REASONING.search(value if isinstance(value, str) else repr(value).replace("'", '"'))
        for value in attributes.values()
        if isinstance(value, (str, list, dict))
    )


_SWITCHES: Final = (
    ("traceloop.", "TRACELOOP_TRACE_CONTENT=true"),
    ("llm.request.type", "TRACELOOP_TRACE_CONTENT=true"),
    ("openinference.", "OPENINFERENCE_HIDE_INPUTS=false and OPENINFERENCE_HIDE_OUTPUTS=false"),
    ("openlit.", "openlit.init(capture_message_content=True)"),
    ("ai.", "experimental_telemetry: {recordInputs: true, recordOutputs: true}"),
    ("logfire.", "InstrumentationSettings(include_content=True)"),
    ("gen_ai.", "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true"),
)


def content_switch(attributes: Mapping[str, object]) -> str:
    """Return the setting that makes the instrumentation of a span write its texts; empty when unknown."""
    return next(
        (switch for start, switch in _SWITCHES if any(name.startswith(start) for name in attributes)), ""
    )
