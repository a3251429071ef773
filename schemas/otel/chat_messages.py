"""Chat messages as span attributes carry them, reduced to what an event needs.

Read is what has the shape of messages: OpenTelemetry's `parts`, the chat APIs' `content` with `tool_calls`,
the items of OpenAI's Responses API, the parts of Anthropic, Gemini, Bedrock and the Vercel AI SDK, and
whole requests and responses of these APIs (`schemas.otel.api_bodies`). Everything else is text, as it stands:
an answer in JSON is an answer.
"""

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from schemas.events import NAME_LENGTH, ToolCall
from schemas.mending import mended_text, parse

_SYSTEM_ROLES: Final = ("system", "developer")
_MODEL_ROLES: Final = ("assistant", "model", "ai")
_TOOL_ROLES: Final = ("tool", "function")
_BODIES: Final = ("content", "parts", "tool_calls", "function_call", "refusal", "audio")
"""A message has one of these beside its role."""

_TEXTS: Final = ("text", "input_text", "output_text", "refusal")
_CALLS: Final = (
    *("tool_call", "tool_use", "tool-call", "function_call", "custom_tool_call"),
    *("server_tool_use", "server_tool_call", "mcp_call"),
)
_RESULTS: Final = (
    *("tool_call_response", "tool_result", "tool-result", "server_tool_call_response"),
    *("function_call_output", "custom_tool_call_output"),
)
_ARGUMENTS: Final = ("arguments", "input", "args", "parameters", "params", "kwargs", "arguments_json")
_REASONING: Final = ("reasoning", "thinking", "redacted_thinking", "compaction")
_LEFT_OUT: Final = (
    *_REASONING,
    *("image", "image_url", "input_image", "audio", "input_audio", "output_audio", "video", "video_url"),
    *("file", "input_file", "document", "blob", "uri", "media", "binary", "cachePoint"),
)
"""Reasoning, which nobody is shown, and media, which nothing here can judge."""
_UNTYPED: Final = {
    "text": "text", "functionCall": "tool_call", "function_call": "tool_call", "toolUse": "tool_call",
    "functionResponse": "tool_result", "function_response": "tool_result", "toolResult": "tool_result",
    "inlineData": "blob", "inline_data": "blob", "fileData": "file", "file_data": "file",
}  # fmt: skip
"""The parts of Gemini and Bedrock have no type: one of these names tells what they are."""
_FIELDS: Final = frozenset(
    (
        "content", "parts", "tool_calls", "function_call", "refusal", "audio", "transcript",
        "annotations", "citations", "logprobs", "usage", "reasoning", "reasoning_content", "thinking",
        "encrypted_content", "signature", "thoughtSignature", "additional_kwargs", "response_metadata",
        "providerOptions", "providerMetadata",
    )
)  # fmt: skip
"""What is read of messages and parts, or is no part of what was said. A sentence under any other name is
read as well: nobody hides one in `{"role": "user", "content": "Hi", "note": "..."}`."""
_WORDS: Final = ("text", "content", "refusal")
_ANSWERS: Final = ("response", "result", "output", "content")
_OF_PARTS: Final = _FIELDS - {"content", "parts", "refusal", "audio", "transcript", "tool_calls"}
_LONGEST_WORD: Final = 50
"""Characters; base64 in lines has longer ones."""


class ChatMessage(NamedTuple):
    """One message of a conversation."""

    role: str
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_results: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to judge in it."""
        return not (self.text or self.tool_calls or self.tool_results)


class Turn(NamedTuple):
    """What is new in the input of one model call."""

    system: str
    text: str
    contexts: tuple[str, ...]


def clean(value: object) -> str:
    """Return a value as text that UTF-8 can hold; a structure becomes JSON."""
    if isinstance(value, (dict, list, tuple)):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"), skipkeys=True, default=str)
    return mended_text(str(value))


def parse_messages(value: object, role: str) -> list[ChatMessage]:
    """Return the messages in an attribute's value; what is none is one message of `role`, as it stands."""
    if value is None or value in ("", [], (), {}):
        return []
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return [message for item in value for message in parse_messages(item, role)]
    return read_messages(structure(value), role) or [ChatMessage(role, clean(value))]


def structure(value: object) -> object:
    """Return what a JSON text of an object or a list holds; any other value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return parse(value)
        except ValueError:
            return value
    return value


def read_messages(value: object, role: str) -> list[ChatMessage] | None:
    """Return the messages of a structure that has their shape, or else None."""
    from schemas.otel.api_bodies import read_body

    if isinstance(value, Mapping):
        return _item(value, role) or read_body(value, role)
    if not isinstance(value, (list, tuple)):
        return None
    items = [item for item in value if item is not None]
    if all(_is_part(item) for item in items):
        return _parts(items, role)
    found = [_item(item, role) for item in items]
    return None if None in found else [message for each in found for message in each or ()]


def message_of(message: Mapping[str, Any], role: str) -> ChatMessage:
    """Return a message; one without a role of its own has `role`."""
    content = [part for name in ("parts", "content") for part in _list(message.get(name))]
    calls = [*_list(message.get("tool_calls")), message.get("function_call")]
    audio = message.get("audio")
    read = _of_parts(content, role)
    spoken = audio.get("transcript") if isinstance(audio, Mapping) else None
    texts = [read.text, _string(message.get("refusal")), _string(spoken), *sentences(message, _FIELDS)]
    return read._replace(
        role=clean(message.get("role") or role),
        text="\n".join(filter(None, texts)),
        tool_calls=read.tool_calls + tuple(tool_call(call) for call in calls if isinstance(call, Mapping)),
    )


def latest_turn(messages: Sequence[ChatMessage], *, whole: bool = False) -> Turn:
    """Return what the model has not answered yet; earlier turns were events of their own.

    The text is what the user wrote since the last answer, the contexts are the results of tools since
    then. The system prompt is that of the whole conversation.

    Args:
        messages: of the conversation.
        whole: they are those of all calls of an agent together: a call of a tool is no answer yet.

    """
    system = [message.text for message in messages if message.role in _SYSTEM_ROLES]
    rest, _ = split_answer([message for message in messages if message.role not in _SYSTEM_ROLES])
    answers = [
        i
        for i, message in enumerate(rest)
        if message.role in _MODEL_ROLES and not (whole and message.tool_calls)
    ]
    new = [each for each in rest[max(answers, default=-1) + 1 :] if each.role not in _MODEL_ROLES]
    contexts = [result for message in new for result in message.tool_results]
    contexts += [message.text for message in new if message.role in _TOOL_ROLES and message.text]
    text = "\n".join(message.text for message in new if message.role not in _TOOL_ROLES and message.text)
    return Turn("\n".join(filter(None, system)), text, tuple(contexts))


def split_answer(messages: Sequence[ChatMessage]) -> tuple[list[ChatMessage], list[ChatMessage]]:
    """Return the messages before the model's last ones, and those: its answer."""
    end = len(messages)
    while end and messages[end - 1].role in _MODEL_ROLES:
        end -= 1
    return list(messages[:end]), list(messages[end:])


def tool_call(call: Mapping[str, Any]) -> ToolCall:
    """Return a tool call in any of the notations."""
    for name in ("function", "tool_call", "functionCall", "function_call", "toolUse"):
        if isinstance(inner := call.get(name), Mapping):
            return tool_call(inner)
    name = call.get("name", call.get("toolName", ""))
    arguments = next((call[key] for key in _ARGUMENTS if call.get(key) is not None), "")
    return ToolCall(name=clean(name)[:NAME_LENGTH], arguments=clean(arguments))


def _item(item: object, role: str) -> list[ChatMessage] | None:
    """Return what one entry of a list of messages holds: a message, or what the Responses API has beside."""
    if isinstance(item, (list, tuple)):
        return read_messages(item, role)
    if _is_message(item):
        return [message_of(cast("Mapping[str, Any]", item), role)]
    if not _is_part(item):
        return None
    kind = _kind(item)
    return _parts([item], "tool" if kind in _RESULTS else "assistant" if kind in _CALLS else role)


def _parts(parts: Sequence[object], role: str) -> list[ChatMessage] | None:
    """Return the one message of parts; None where they say nothing and are no media: `{"type": "file"}`."""
    message = _of_parts(parts, role)
    return None if message.empty and not _heavy(parts) else [message]


def _is_message(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and (isinstance(value.get("role"), str) or isinstance(value.get("parts"), list))
        and any(name in value for name in _BODIES)
    )


def _is_part(value: object) -> bool:
    if not isinstance(value, Mapping) or "role" in value:
        return False
    given = value.get("type")
    return isinstance(given, str) and (
        (given in _TEXTS and any(isinstance(value.get(name), str) for name in _WORDS))
        or (given in _CALLS and any(name in value for name in ("name", "toolName", "function")))
        or (given in _RESULTS and any(name in value for name in _ANSWERS))
        or given in _LEFT_OUT
    )


def sentences(value: Mapping[str, Any], known: Container[str]) -> list[str]:
    """Return what is said under names that are not known; an id, an address or base64 says nothing."""
    return [each for name, entry in value.items() if name not in known for each in _said(entry)]


def _said(value: object) -> list[str]:
    if isinstance(value, str):
        words = value.split()
        return [clean(value)] if len(words) > 1 and max(map(len, words)) <= _LONGEST_WORD else []
    return [each for item in _inner(value) for each in _said(item)]


def _heavy(value: object) -> bool:
    """Return whether there is something like base64 in it."""
    if isinstance(value, str):
        return any(len(word) > _LONGEST_WORD for word in value.split())
    return any(map(_heavy, _inner(value)))


def _inner(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def _of_parts(parts: Sequence[object], role: str) -> ChatMessage:
    texts, calls, results = [], [], []
    for part in parts:
        kind = _kind(part)
        if not isinstance(part, Mapping):
            texts.append("" if part is None else clean(part))
        elif kind in _CALLS:
            calls.append(tool_call(part))
        elif kind in _RESULTS:
            results.append(_result(part))
        else:
            texts += _texts(part, kind)
    # The Vercel AI SDK says the same in `content` and in `parts`.
    return ChatMessage(
        role, "\n".join(dict.fromkeys(filter(None, texts))), tuple(calls), tuple(filter(None, results))
    )


def _kind(part: object) -> str:
    if not isinstance(part, Mapping):
        return ""
    if isinstance(given := part.get("type"), str):
        return given
    return next((kind for name, kind in _UNTYPED.items() if name in part), "")


def _texts(part: Mapping[str, Any], kind: str) -> list[str]:
    """Return what a part says: of media the words that were spoken, of one that is not known its JSON."""
    if kind in _REASONING:
        return []
    names = ("transcript",) if kind in _LEFT_OUT else _WORDS
    texts = {name: _string(part.get(name)) for name in names if isinstance(part.get(name), str)}
    if not any(texts.values()) and kind not in _LEFT_OUT + _TEXTS and not _heavy(part):
        return [clean(part)]
    return [*texts.values(), *sentences(part, _OF_PARTS | texts.keys())]


def _string(value: object) -> str:
    return mended_text(value) if isinstance(value, str) else ""


def _result(part: Mapping[str, Any]) -> str:
    for name in ("functionResponse", "function_response", "toolResult"):
        if isinstance(inner := part.get(name), Mapping):
            return _result(inner)
    given = next((part[name] for name in _ANSWERS if part.get(name) is not None), "")
    if isinstance(given, Mapping) and set(given) == {"type", "value"}:  # the Vercel AI SDK's
        given = given["value"]
    read = read_messages(given, "tool") if isinstance(given, (list, tuple)) else None
    return "\n".join(message.text for message in read if message.text) if read else clean(given)


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, (list, tuple)) else (value,)
