"""What a span says beside the fields of an event: numbers and names of the call, properties of the app."""

import re
from collections.abc import Container, Mapping
from typing import Any, Final

from schemas.events import NAME_LENGTH
from schemas.otel.chat_messages import structure
from schemas.otel.parts import clean

_CONTENT: Final = re.compile(
    r"gen_ai\.(?:(?:prompt|completion)\.\d|(?:tool|retrieval|evaluation|content|memory|input|output)\."
    r"|.*\.(?:messages|text|content|tool_calls|available_tools|description)$)"
)
"""May hold what users or tools wrote, which is no metadata."""
_PROPERTIES: Final = (
    "traceloop.association.properties.",
    "ai.telemetry.metadata.",
    "langfuse.trace.metadata.",
    "langfuse.observation.metadata.",
)
"""Properties that the app gave the span, each an attribute of its own; their own names are kept."""
_MAPS: Final = ("metadata", "langfuse.trace.metadata", "langfuse.observation.metadata")
"""The same as one JSON."""
_TAGS: Final = ("tag.tags", "langfuse.trace.tags")


def metadata(attributes: Mapping[str, object], fields: Container[str]) -> dict[str, str]:
    """Return the metadata of a span's events; `fields` are the attributes that have a field of their own."""
    found: dict[str, str] = {}
    for name, value in attributes.items():
        if name in fields:
            continue
        if name.startswith("gen_ai."):
            if isinstance(value, (str, bool, int, float)) and not _CONTENT.match(name):
                found[clean(name)] = _label(value)
        elif name in _MAPS and isinstance(entries := structure(value), Mapping):
            found |= {clean(key): _label(entry) for key, entry in entries.items()}
        elif name in _TAGS:
            found["tags"] = _label(value)
        elif start := next((start for start in _PROPERTIES if name.startswith(start)), ""):
            found[clean(name.removeprefix(start))] = _label(value)
    return found


def _label(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = clean(value)
    quoted = len(text) > 1 and text[0] == text[-1] == '"'  # a text as JSON, as Langfuse writes it
    return (text[1:-1] if quoted else text)[:NAME_LENGTH]
