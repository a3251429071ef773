"""Whole requests and responses of model APIs, which some exporters put into an attribute as they are."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.otel.chat_messages import ChatMessage, message_of, read_messages
from schemas.otel.parts import sentences

_REQUEST: Final = ("messages", "contents", "system", "systemInstruction", "system_instruction", "config")
_DESCRIPTIONS: Final = (
    "tools",
    "functions",
    "toolConfig",
    "tool_choice",
    "response_format",
    "response_schema",
)
_OF_RESPONSES: Final = (
    "instructions",
    "text",
    "metadata",
    "error",
    "incomplete_details",
    "reasoning",
    "prompt",
)
"""What the Responses API repeats of the request. A sentence that stands in a body under a name that is
neither read nor describes tools and formats is read as well."""


def read_body(body: Mapping[str, Any], role: str) -> list[ChatMessage] | None:
    """Return the messages of a request or a response, or None for anything else."""
    for name, read in _READERS.items():
        if name in body and (found := read(body, role)):
            known = (*_DESCRIPTIONS, *(_REQUEST if name in _REQUEST else (name,)))
            known += _OF_RESPONSES if body.get("object") == "response" else ()
            return found + [ChatMessage(role, said) for said in sentences(body, known)]
    return None


def _request(body: Mapping[str, Any], role: str) -> list[ChatMessage] | None:
    messages = body.get("messages", body.get("contents"))
    if isinstance(messages, Mapping):
        messages = [messages]
    if not isinstance(messages, (list, tuple)) or (found := read_messages(messages, role)) is None:
        return None
    config = body.get("config")
    given = [body.get(name) for name in ("system", "systemInstruction", "system_instruction")]
    given.append(config.get("system_instruction") if isinstance(config, Mapping) else None)
    return [message for each in given if each for message in _system(each)] + found


def _system(value: object) -> list[ChatMessage]:
    if isinstance(value, str):
        return [ChatMessage("system", value)]
    found = read_messages(value, "system") or []
    return [message._replace(role="system") for message in found]


def _choices(body: Mapping[str, Any], role: str) -> list[ChatMessage] | None:
    """Chat and text completions; a choice is `{"message": {...}}` or `{"text": "..."}`."""
    texts = any(name in body for name in ("object", "model", "usage"))
    return _each(body["choices"], "message", bare=True, texts=texts)


def _output(body: Mapping[str, Any], role: str) -> list[ChatMessage] | None:
    """OpenAI's Responses API has a list of items here, Bedrock a message."""
    output = body["output"]
    if isinstance(output, Mapping):
        return _message(output, role) if output.keys() == {"message"} else None
    if not (isinstance(output, (list, tuple)) and all(isinstance(item, Mapping) for item in output)):
        return None
    shown = [_called(item) for item in output if _has_text(item)]
    known = body.get("object") == "response" or len(shown) == len(output)
    return read_messages(shown, "assistant") if known else None


def _has_text(item: Mapping[str, Any]) -> bool:
    kind = str(item.get("type"))
    return kind in _ITEMS or "role" in item or kind.endswith("_call")


def _called(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the call of a tool of the API itself as one of a function: what it was told, it was told."""
    kind = str(item.get("type"))
    if kind in _ITEMS or "role" in item:
        return item
    told = {name: value for name, value in item.items() if name not in ("type", "id", "call_id", "status")}
    return {"type": "function_call", "name": kind, "arguments": told}


_ITEMS: Final = ("message", "function_call", "custom_tool_call", "function_call_output", "mcp_call")
"""Items of an output that hold text; the others tell of searches, reasoning and images."""


def _candidates(body: Mapping[str, Any], role: str) -> list[ChatMessage] | None:
    return _each(body["candidates"], "content")


def _generations(body: Mapping[str, Any], role: str) -> list[ChatMessage] | None:
    """LangChain's result: a list for each prompt."""
    found = body["generations"]
    if isinstance(found, (list, tuple)) and all(isinstance(each, (list, tuple)) for each in found):
        found = [item for each in found for item in each]
    return _each(found, "message", bare=True, texts=True)


def _message(body: Mapping[str, Any], role: str) -> list[ChatMessage] | None:
    """Ollama's and Bedrock's `{"message": {...}}`."""
    return _each([{"message": body["message"]}], "message")


def _content(body: Mapping[str, Any], role: str) -> list[ChatMessage] | None:
    """A response of Google's ADK, `{"content": {"parts": [...]}}`."""
    return _each([{"content": body["content"]}], "content")


def _each(entries: object, name: str, *, bare: bool = False, texts: bool = False) -> list[ChatMessage] | None:
    if not isinstance(entries, (list, tuple)):
        return None
    found = [_entry(entry, name, bare, texts) for entry in entries]
    return None if None in found else [message for message in found if message is not None]


def _entry(entry: object, name: str, bare: bool, texts: bool) -> ChatMessage | None:
    """Return the message in one choice, a `bare` one also without a role; or else its text."""
    if not isinstance(entry, Mapping):
        return None
    message, text = entry.get(name), entry.get("text")
    if isinstance(message, Mapping) and isinstance(message.get("kwargs"), Mapping):
        message = message["kwargs"]  # as LangChain writes its objects
    more = sentences(entry, (name, *_ASIDE))
    if isinstance(message, Mapping) and (
        "role" in message or "parts" in message or (bare and "content" in message)
    ):
        read = message_of(message, "assistant")
        return read._replace(text="\n".join(dict.fromkeys(filter(None, (read.text, *more)))))
    return (
        ChatMessage("assistant", "\n".join(dict.fromkeys((text, *more))))
        if texts and isinstance(text, str)
        else None
    )


_ASIDE: Final = ("logprobs", "generation_info", "citationMetadata")
_READERS: Final = {
    "messages": _request,
    "contents": _request,
    "choices": _choices,
    "output": _output,
    "candidates": _candidates,
    "generations": _generations,
    "message": _message,
    "content": _content,
}
