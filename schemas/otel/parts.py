"""What a part of a message is, in the notations of the model APIs, and what it says.

A part has a type (OpenAI, Anthropic, OpenTelemetry, the Vercel AI SDK), or is known by the one name it has
(Gemini, Bedrock): `{"text": ...}`, `{"toolUse": {...}}`, `{"inlineData": {...}}`.
"""

import json
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

from schemas.mending import mended_text

_TEXTS: Final = ("text", "input_text", "output_text", "refusal")
CALLS: Final = (
    *("tool_call", "tool_use", "tool-call", "function_call", "custom_tool_call"),
    *("server_tool_use", "server_tool_call", "mcp_call"),
)
RESULTS: Final = (
    *("tool_call_response", "tool_result", "tool-result", "server_tool_call_response"),
    *("function_call_output", "custom_tool_call_output"),
)
REASONING: Final = ("reasoning", "thinking", "redacted_thinking", "compaction")
_LEFT_OUT: Final = (
    *REASONING,
    *("image", "image_url", "input_image", "audio", "input_audio", "output_audio", "video", "video_url"),
    *("file", "input_file", "document", "blob", "uri", "media", "binary", "cachePoint"),
)
"""Reasoning, which nobody is shown, and media, which nothing here can judge."""
_UNTYPED: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "functionCall": ("tool_call", ("name",)), "function_call": ("tool_call", ("name",)),
    "toolUse": ("tool_call", ("name",)),
    "functionResponse": ("tool_result", ("response",)), "function_response": ("tool_result", ("response",)),
    "toolResult": ("tool_result", ("content",)),
    "inlineData": ("blob", ("data",)), "inline_data": ("blob", ("data",)),
    "fileData": ("file", ("fileUri", "file_uri")), "file_data": ("file", ("fileUri", "file_uri")),
    "image": ("image", ("source",)), "video": ("video", ("source",)), "audio": ("audio", ("source",)),
    "document": ("document", ("source",)), "cachePoint": ("cachePoint", ("type",)),
    "reasoningContent": ("reasoning", ("reasoningText", "redactedContent")),
    "guardContent": ("guard", ("text", "image")),
}  # fmt: skip
"""The parts of Gemini and Bedrock: by their name what they are, and one of the fields that they have."""
_BESIDE: Final = frozenset({
    "thought", "thoughtSignature", "thought_signature", "videoMetadata", "video_metadata", "partMetadata",
    "mediaResolution", "kind", "metadata", "citations", "cache_control",
})  # fmt: skip
"""What else such a part may have."""
WORDS: Final = ("text", "content", "refusal")
ANSWERS: Final = ("response", "result", "output", "content")
FIELDS: Final = frozenset(
    (
        "content", "parts", "tool_calls", "function_call", "refusal", "audio", "transcript",
        "annotations", "citations", "logprobs", "usage", "reasoning", "reasoning_content", "thinking",
        "encrypted_content", "signature", "thoughtSignature", "additional_kwargs", "response_metadata",
        "providerOptions", "providerMetadata",
    )
)  # fmt: skip
"""What is read of messages and parts, or is no part of what was said. A sentence under any other name is
read as well: nobody hides one in `{"role": "user", "content": "Hi", "note": "..."}`."""
_OF_PARTS: Final = FIELDS - {"content", "parts", "refusal", "audio", "transcript", "tool_calls"}
_LONGEST_WORD: Final = 50
"""Characters; base64 in lines has longer ones."""


def clean(value: object) -> str:
    """Return a value as text that UTF-8 can hold; a structure becomes JSON."""
    if isinstance(value, (dict, list, tuple)):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"), skipkeys=True, default=str)
    return mended_text(str(value))


def text_of(value: object) -> str:
    """Return a text as UTF-8 can hold it; of anything else nothing."""
    return mended_text(value) if isinstance(value, str) else ""


def is_part(value: object) -> bool:
    """Return whether a value has the form of a part, with a type or without."""
    if not isinstance(value, Mapping) or "role" in value:
        return False
    given = value.get("type")
    if "type" not in value:
        name = _untyped(value)
        alone = bool(name) and value.keys() - _BESIDE == {name}
        return alone and (name != "text" or isinstance(value[name], str))
    return isinstance(given, str) and (
        (given in _TEXTS and any(isinstance(value.get(name), str) for name in WORDS))
        or (given in CALLS and any(name in value for name in ("name", "toolName", "function")))
        or (given in RESULTS and any(name in value for name in ANSWERS))
        or given in _LEFT_OUT
    )


def is_text_alone(value: Mapping[str, Any]) -> bool:
    """Return whether a part has nothing but a text: by itself that is an answer in JSON as well."""
    return "type" not in value and "text" in value


def kind_of_part(part: object) -> str:
    """Return what a part is; empty for what is none, or not known."""
    if not isinstance(part, Mapping):
        return ""
    if isinstance(given := part.get("type"), str):
        return given
    name = _untyped(part)
    if name == "text":
        return "thinking" if part.get("thought") is True else "text"
    return _UNTYPED[name][0] if name else ""


def _untyped(part: Mapping[str, Any]) -> str:
    """Return the name by which a part without a type is known; empty where it has none."""
    if "text" in part:
        return "text"
    for name in part:
        inner = part[name]
        if name in _UNTYPED and isinstance(inner, Mapping) and any(f in inner for f in _UNTYPED[name][1]):
            return str(name)
    return ""


def said_in(part: Mapping[str, Any], kind: str) -> list[str]:
    """Return what a part says: of media the words that were spoken, of one that is not known its JSON."""
    if kind == "guard":  # Bedrock's, around what its guardrail is to look at
        inner = part["guardContent"].get("text")
        return [text_of(inner.get("text")) if isinstance(inner, Mapping) else "", *sentences(part, ())]
    names = ("transcript",) if kind in _LEFT_OUT else WORDS
    texts = {name: text_of(part.get(name)) for name in names if isinstance(part.get(name), str)}
    if not any(texts.values()) and kind not in _LEFT_OUT + _TEXTS and not heavy(part):
        return [clean(part)]
    return [*texts.values(), *sentences(part, _OF_PARTS | texts.keys())]


def sentences(value: Mapping[str, Any], known: Container[str]) -> list[str]:
    """Return what is said under names that are not known; an id, an address or base64 says nothing."""
    return [each for name, entry in value.items() if name not in known for each in _said(entry)]


def _said(value: object) -> list[str]:
    if isinstance(value, str):
        words = value.split()
        return [clean(value)] if len(words) > 1 and max(map(len, words)) <= _LONGEST_WORD else []
    return [each for item in _inner(value) for each in _said(item)]


def heavy(value: object) -> bool:
    """Return whether there is something like base64 in it."""
    if isinstance(value, str):
        return any(len(word) > _LONGEST_WORD for word in value.split())
    return any(map(heavy, _inner(value)))


def _inner(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()
