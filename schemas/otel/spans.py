"""From the attributes of an OpenTelemetry span of a model call to events.

Names, old and new, of the OpenTelemetry GenAI conventions
(https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/, now kept in
https://github.com/open-telemetry/semantic-conventions-genai), OpenInference
(https://arize-ai.github.io/openinference/spec/attributes/semantic-conventions.html), OpenLLMetry
(https://www.traceloop.com/docs/openllmetry/contributing/semantic-conventions), Langfuse
(https://langfuse.com/integrations/native/opentelemetry), the Vercel AI SDK
(https://ai-sdk.dev/docs/ai-sdk-core/telemetry), pydantic-ai and MLflow.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from schemas.events import Event, ToolCall
from schemas.otel.attributes import ATTRIBUTES, DETAILS, name_of
from schemas.otel.chat_messages import ChatMessage, latest_turn, split_answer, structure, tool_call
from schemas.otel.content import SpanEvent, documents, from_events, messages_at
from schemas.otel.kinds import SpanKind, kind_of
from schemas.otel.metadata import metadata

_NS_PER_MS: Final = 1_000_000
_UNKNOWN_SERVICE: Final = "unknown_service"
"""What OpenTelemetry itself calls a service without a name."""
_TOLD: Final = "gen_ai.tool.call.arguments"
_OF_TOOLS: Final = tuple(name for name, target in ATTRIBUTES.items() if target.field == "tool_calls")


def events_from_span(
    attributes: Mapping[str, object],
    *,
    trace_id: str,
    span_id: str,
    start_ns: int,
    end_ns: int,
    resource: Mapping[str, object] | None = None,
    events: Iterable[SpanEvent] = (),
) -> list[Event]:
    """Return the prompt and the completion of a model call; none for a span without their content.

    Event ids follow from trace and span, so the same span gives the same events. Token counts go to
    the event whose text they count; latency, cost and finish reason to the completion. Attributes
    `gen_ai.*` that have no field go to `metadata`, unless they may hold content, and so do the properties
    that the app gave the span.

    The span of a tool or a retrieval gives nothing, one of an agent, a chain or a workflow the texts of the
    calls in it once more: `schemas.otel.kinds` tells them apart.

    Args:
        attributes: of the span; they go before those of its events and of the resource.
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        start_ns: nanoseconds since 1970; the prompt's timestamp.
        end_ns: nanoseconds since 1970; the completion's timestamp.
        resource: attributes of the resource, for `service.name` and the environment.
        events: within the span, and log records that belong to it.

    """
    if kind_of(attributes) not in (SpanKind.GENERATION, SpanKind.WRAPPER, None):
        return []
    told, whole = from_events(attributes, events)
    sources = (attributes, told)
    asked = _asked(sources, whole)
    turn = latest_turn(asked, whole=whole)
    instructions = [message.text for message in _messages(sources, "system_prompt", "system")]
    contexts = turn.contexts + _documents(sources)
    text, tool_calls = _answer(sources, split_answer(asked)[1] if whole else [])
    # The nearest word counts: what the span itself says, then its events, then its resource.
    known = {**(resource or {}), **told, **attributes}
    common: dict[str, Any] = {
        "app": _UNKNOWN_SERVICE,
        "request_id": name_of(f"{trace_id}-{span_id}"),
        "trace_id": name_of(trace_id),
        "span_id": name_of(span_id),
        "contexts": contexts,
        "metadata": metadata(known if events else attributes, ATTRIBUTES),
    }
    prompt = {
        "event_id": name_of(f"{trace_id}-{span_id}-prompt"),
        "kind": "prompt",
        "text": turn.text,
        "timestamp": start_ns // _NS_PER_MS,
        "system_prompt": "\n".join(dict.fromkeys(filter(None, [*instructions, turn.system]))),
    }
    completion = {
        "event_id": name_of(f"{trace_id}-{span_id}-completion"),
        "kind": "completion",
        "text": text,
        "prompt": turn.text,
        "timestamp": end_ns // _NS_PER_MS,
        "latency_ms": (end_ns - start_ns) / _NS_PER_MS if end_ns > start_ns else None,
        "tool_calls": tool_calls,
    }
    made = []
    if turn.text or contexts:
        made.append(Event(**common | _fields(known, "prompt") | prompt))
    if text or tool_calls:
        made.append(Event(**common | _fields(known, "completion") | completion))
    return made


def _fields(attributes: Mapping[str, object], on: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    several = [(name, target) for name, targets in DETAILS.items() for target in targets]
    for name, target in (*ATTRIBUTES.items(), *several):
        if target.convert is None or target.on not in ("both", on) or target.field in fields:
            continue
        # The first name with a usable value counts: exporters write old and new names side by side.
        if (given := attributes.get(name)) is not None and (value := target.convert(given)) not in (None, ""):
            fields[target.field] = value
    return fields


def _asked(sources: Iterable[Mapping[str, object]], whole: bool) -> list[ChatMessage]:
    """Return the first input with something new in it, or else the first at all: its system prompt counts."""
    found = list(_found(sources, "text", "prompt", "user"))
    turns = [latest_turn(messages, whole=whole) for messages in found]
    new = next((i for i, turn in enumerate(turns) if turn.text or turn.contexts), 0)
    if not found or turns[new].system:
        return found[new] if found else []
    system = next((turn.system for turn in turns if turn.system), "")
    return [*([ChatMessage("system", system)] if system else []), *found[new]]


def _answer(
    sources: Iterable[Mapping[str, object]], fallback: list[ChatMessage]
) -> tuple[str, tuple[ToolCall, ...]]:
    sources = tuple(sources)
    messages = next(_found(sources, "text", "completion", "assistant"), fallback)
    text = "\n".join(message.text for message in messages if message.text)
    calls = tuple(call for message in messages for call in message.tool_calls)
    if not calls:
        listed = [structure(source.get(name)) for source in sources for name in _OF_TOOLS]
        entries = [each for entries in listed if isinstance(entries, list) for each in entries]
        calls = tuple(tool_call(each) for each in entries if isinstance(each, Mapping))
    if not calls:
        told = (
            {"name": source.get("gen_ai.tool.name", ""), "arguments": source[_TOLD]}
            for source in sources
            if _TOLD in source
        )
        calls = tuple(map(tool_call, told))
    return text, calls


def _messages(sources: Iterable[Mapping[str, object]], field: str, role: str) -> list[ChatMessage]:
    return next(_found(sources, field, "prompt", role), [])


def _documents(sources: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    names = [name for name, row in ATTRIBUTES.items() if row.field == "contexts"]
    return tuple(
        dict.fromkeys(text for source in sources for name in names for text in documents(source, name))
    )


def _found(
    sources: Iterable[Mapping[str, object]], field: str, on: str, role: str
) -> Iterator[list[ChatMessage]]:
    """Yield the messages of every notation that has a text or a tool call."""
    names = [
        name for name, row in ATTRIBUTES.items() if (row.field, row.on, row.convert) == (field, on, None)
    ]
    for source in sources:
        for name in names:
            if messages := messages_at(source, name, role):
                yield messages
