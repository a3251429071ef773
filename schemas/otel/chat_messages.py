"""Chat messages as span attributes carry them, reduced to what an event needs.

Read is what has the shape of messages: OpenTelemetry's `parts`, the chat APIs' `content` with `tool_calls`,
the items of OpenAI's Responses API, the parts of Anthropic, Gemini, Bedrock and the Vercel AI SDK, and
whole requests and responses of these APIs (`schemas.otel.api_bodies`). Everything else is text, as it stands:
an answer in JSON is an answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from schemas.events import NAME_LENGTH, ToolCall
from schemas.mending import parse
from schemas.otel.parts import (
    ANSWERS,
    CALLS,
    FIELDS,
    REASONING,
    RESULTS,
    clean,
    heavy,
    is_part,
    is_text_alone,
    kind_of_part,
    said_in,
    sentences,
    text_of,
)

_SYSTEM_ROLES: Final = ("system", "developer")
_MODEL_ROLES: Final = ("assistant", "model", "ai")
_TOOL_ROLES: Final = ("tool", "function")
_WRAPPED: Final = ("functionResponse", "function_response", "toolResult")
_ARGUMENTS: Final = ("arguments", "input", "args", "parameters", "params", "kwargs", "arguments_json")
_BODIES: Final = ("content", "parts", "tool_calls", "function_call", "refusal", "audio")
"""A message has one of these beside its role."""
_OF_ANSWERS: Final = frozenset(
    ("content", "id", "type", "name", "model", "stop_reason", "stop_sequence", "stopReason", "usage")
)
"""What stands in a message without a role: other JSON may have a content, too."""


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


def parse_messages(value: object, role: str) -> list[ChatMessage]:
    """Return the messages in an attribute's value; what is none is one message of `role`, as it stands."""
    if value is None or value in ("", [], (), {}):
        return []
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return [message for item in value for message in _parsed(item, role)]
    given = structure(value)
    if role == "user" and isinstance(given, Mapping) and given.get("role") in _MODEL_ROLES:
        return [ChatMessage(role, clean(value))]  # by itself it is no conversation: a user wrote it
    return _parsed(value, role)


def _parsed(value: object, role: str) -> list[ChatMessage]:
    if value in ("", None):
        return []
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
        return (None if is_text_alone(value) else _item(value, role)) or read_body(value, role)
    if not isinstance(value, (list, tuple)):
        return None
    items = [item for item in value if item is not None]
    if all(is_part(item) for item in items):
        return _parts(items, role)
    found = [_item(item, role) for item in items]
    return None if None in found else [message for each in found for message in each or ()]


def message_of(message: Mapping[str, Any], role: str) -> ChatMessage:
    """Return a message; one without a role of its own has `role`."""
    content = [part for name in ("parts", "content") for part in _list(message.get(name))]
    called = [*_list(message.get("tool_calls")), message.get("function_call")]
    audio = message.get("audio")
    role = clean(message.get("role") or role)
    read = _of_parts(content, role, reasons=role in _MODEL_ROLES)
    calls = read.tool_calls + tuple(tool_call(call) for call in called if isinstance(call, Mapping))
    spoken = audio.get("transcript") if isinstance(audio, Mapping) else None
    texts = [read.text, text_of(message.get("refusal")), text_of(spoken), *sentences(message, FIELDS)]
    if message.get("role") == "user":  # only a model calls tools
        texts += [call.arguments for call in calls]
    return read._replace(text="\n".join(filter(None, texts)), tool_calls=calls)


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
    if not is_part(item):
        return None
    kind = kind_of_part(item)
    return _parts([item], "tool" if kind in RESULTS else "assistant" if kind in CALLS else role)


def _parts(parts: Sequence[object], role: str) -> list[ChatMessage] | None:
    """Return the one message of parts; None where they say nothing and are no media: `{"type": "file"}`."""
    calling = any(kind_of_part(part) in CALLS for part in parts)
    message = _of_parts(parts, role, reasons=calling or role in _MODEL_ROLES)
    return None if message.empty and not heavy(parts) else [message]


def _is_message(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    if isinstance(value.get("role"), str):
        return any(name in value for name in _BODIES)
    # Gemini and Bedrock leave the role out.
    parts = value.get("parts")
    if parts is None and value.keys() <= _OF_ANSWERS:
        parts = value.get("content")
    return isinstance(parts, list) and bool(parts) and all(map(is_part, parts))


def _of_parts(parts: Sequence[object], role: str, *, reasons: bool) -> ChatMessage:
    """Return what parts say; `reasons`: they are a model's, and its reasoning is left out."""
    texts, calls, results = [], [], []
    for part in parts:
        kind = kind_of_part(part)
        if not isinstance(part, Mapping):
            texts.append("" if part is None else clean(part))
        elif kind in CALLS:
            calls.append(tool_call(part))
        elif kind in RESULTS:
            results.append(_result(part))
        elif kind in REASONING:
            texts += [] if reasons else sentences(part, ("type", "signature"))
        else:
            texts += said_in(part, kind)
    # The Vercel AI SDK says the same in `content` and in `parts`.
    return ChatMessage(
        role, "\n".join(dict.fromkeys(filter(None, texts))), tuple(calls), tuple(filter(None, results))
    )


def _result(part: Mapping[str, Any]) -> str:
    name = next((name for name in (*_WRAPPED, *ANSWERS) if part.get(name) is not None), "")
    given = part.get(name, "")
    if name in _WRAPPED and isinstance(given, Mapping):
        text = _result(given)
    else:
        if isinstance(given, Mapping) and set(given) == {"type", "value"}:  # the Vercel AI SDK's
            given = given["value"]
        read = read_messages(given, "tool") if isinstance(given, (list, tuple)) else None
        text = "\n".join(message.text for message in read if message.text) if read else clean(given)
    return "\n".join(filter(None, (text, *sentences(part, (name, *_ARGUMENTS)))))


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, (list, tuple)) else (value,)
