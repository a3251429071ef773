"""Spans that several tests read."""

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.events import Event, ToolCall
from schemas.otel.content import SpanEvent
from schemas.otel.spans import events_from_span

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
START, END = 1_800_000_000_000_000_000, 1_800_000_001_250_000_000
TEXTS = {"gen_ai.prompt": "Hello?", "gen_ai.completion": "Hi."}


def convert(
    attributes: Mapping[str, object],
    resource: Mapping[str, object] | None = None,
    events: Sequence[SpanEvent] = (),
) -> list[Event]:
    return events_from_span(
        attributes, trace_id=TRACE, span_id=SPAN, start_ns=START, end_ns=END, resource=resource, events=events
    )


def pair(
    attributes: Mapping[str, object], resource: Mapping[str, object] | None = None
) -> tuple[Event, Event]:
    prompt, completion = convert({**TEXTS, **attributes}, resource)
    return prompt, completion


def read(attributes: dict[str, Any], *events: SpanEvent) -> dict[str, Any]:
    """Return the texts and the tool calls that a span gives."""
    found: dict[str, Any] = {}
    for event in convert(attributes, None, events):
        found[event.kind] = event.text
        found |= {"calls": event.tool_calls} if event.tool_calls else {}
        found |= {"contexts": event.contexts} if event.contexts and event.kind == "prompt" else {}
    return found


USER = {"role": "user", "content": "Where is my parcel?"}
ANSWER = {"role": "assistant", "content": "On its way"}
BOTH = {"prompt": "Where is my parcel?", "completion": "On its way"}
CALL = {"id": "1", "function": {"name": "track", "arguments": '{"parcel":7}'}}
TRACKED = {"prompt": "Where is my parcel?", "completion": "", "calls": (ToolCall("track", '{"parcel":7}'),)}


def numbered(start: str, **fields: object) -> dict[str, object]:
    return {start + name.replace("__", "."): value for name, value in fields.items()}


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 20}}
