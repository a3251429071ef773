"""Chat messages as span attributes carry them, reduced to what an event needs.

Three notations are read: OpenTelemetry's `parts`, the chat APIs' `content` with `tool_calls` (which
`gen_ai.prompt` and `gen_ai.completion` held as JSON text), and a plain text without any structure.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from schemas.events import ToolCall

_NAME_LENGTH: Final = 256
_SYSTEM_ROLES: Final = ("system", "developer")
_MODEL_ROLES: Final = ("assistant", "model")


class Message(NamedTuple):
    """One message of a conversation."""

    role: str
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_results: tuple[str, ...] = ()


class Turn(NamedTuple):
    """What is new in the input of one model call."""

    system: str
    text: str
    contexts: tuple[str, ...]


def clean(value: object) -> str:
    """Return a value as text that UTF-8 can hold; a structure becomes JSON."""
    if isinstance(value, (dict, list, tuple)):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"), skipkeys=True, default=str)
    return str(value).encode(errors="replace").decode()


def parse_messages(value: object, role: str) -> list[Message]:
    """Return the messages in an attribute's value; a text that is not JSON is one message of `role`."""
    if isinstance(value, str):
        try:
            parsed = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return [Message(role, clean(value))]
        # A prompt such as `42` or `null` is JSON too.
        if not isinstance(parsed, (dict, list)):
            return [Message(role, clean(value))]
        value = parsed
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = value["messages"]
    items = _items(value)
    if any(isinstance(item, dict) and "role" not in item and "type" in item for item in items):
        return [_message({"parts": items}, role)]
    return [_message(item, role) for item in items if item is not None]


def latest_turn(messages: list[Message]) -> Turn:
    """Return what the model has not answered yet; earlier turns were events of their own.

    The text is what the user wrote since the last answer, the contexts are the results of tools since
    then. The system prompt is that of the whole conversation.
    """
    system = [message.text for message in messages if message.role in _SYSTEM_ROLES]
    rest = [message for message in messages if message.role not in _SYSTEM_ROLES]
    while rest and rest[-1].role in _MODEL_ROLES:
        rest.pop()
    answered = max((i for i, message in enumerate(rest) if message.role in _MODEL_ROLES), default=-1)
    new = rest[answered + 1 :]
    contexts = [result for message in new for result in message.tool_results]
    contexts += [message.text for message in new if message.role == "tool" and message.text]
    text = "\n".join(message.text for message in new if message.role != "tool" and message.text)
    return Turn("\n".join(filter(None, system)), text, tuple(contexts))


def _message(item: object, role: str) -> Message:
    if not isinstance(item, dict):
        return Message(role, clean(item))
    parts = _items(item.get("parts", item.get("content", "")))
    typed = [part for part in parts if isinstance(part, dict)]
    calls = [part for part in typed if _kind(part) in ("tool_call", "tool_use")]
    calls += [call for call in _items(item.get("tool_calls")) if isinstance(call, dict)]
    return Message(
        role=clean(item.get("role") or role),
        text="\n".join(filter(None, map(_text, parts))),
        tool_calls=tuple(map(_tool_call, calls)),
        tool_results=tuple(_result(part) for part in typed if _kind(part) == "tool_call_response"),
    )


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, (list, tuple)) else (value,)


def _kind(part: object) -> str:
    return str(part.get("type", "text")) if isinstance(part, dict) else "text"


def _text(part: object) -> str:
    if _kind(part) != "text" or part is None:
        return ""
    if isinstance(part, dict):
        return clean(part.get("content", part.get("text", "")))
    return clean(part)


def _tool_call(part: dict[str, Any]) -> ToolCall:
    function = part.get("function")
    call = function if isinstance(function, dict) else part
    arguments = call.get("arguments", call.get("input", ""))
    return ToolCall(name=clean(call.get("name", ""))[:_NAME_LENGTH], arguments=clean(arguments))


def _result(part: dict[str, Any]) -> str:
    return clean(part.get("response", part.get("result", "")))
