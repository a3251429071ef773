"""Finds the messages of a model call in what a span carries: attributes, numbered attributes, events."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from schemas.otel.chat_messages import (
    ChatMessage,
    message_of,
    parse_messages,
    read_messages,
    structure,
)
from schemas.otel.parts import clean


class SpanEvent(NamedTuple):
    """An event within a span, or a log record that belongs to one."""

    name: str
    attributes: Mapping[str, object]
    body: object = None
    """Of a log record; span events have none."""


_SPOKEN = re.compile(r"gen_ai\.([a-z]+)[._]message")
_EVENT_LISTS: Final = ("events", "all_messages_events")
"""Attributes in which pydantic-ai and logfire put events as JSON."""
_OF_LOGFIRE: Final = ("request_data", "response_data")
_OBJECTS: Final = ("ai.response.object", "ai.result.object")
"""An answer in the form that the app asked for: also where it looks like a message it is none."""
_WHOLE: Final = ("pydantic_ai.all_messages", "all_messages_events")


def messages_at(attributes: Mapping[str, object], name: str, role: str) -> list[ChatMessage]:
    """Return the messages of an attribute, or of those numbered at its `{i}`; none without a text."""
    if "{i}" in name:
        found = _numbered(attributes, name, role)
    elif (value := attributes.get(name)) is None or _void(name, value):
        return []
    elif name == "ai.prompt":
        found = _vercel(value, role)
    elif name in _OF_LOGFIRE:
        found = _logfire(value, role)
    elif name in _OBJECTS:
        found = [ChatMessage(role, clean(value))]
    elif _is_plain(attributes, name):
        found = [ChatMessage(role, str(value))]
    else:
        found = parse_messages(value, role)
    return [] if all(message.empty for message in found) else found


def from_events(
    attributes: Mapping[str, object], events: Iterable[SpanEvent]
) -> tuple[dict[str, object], bool]:
    """Return what events say about the call, as attributes, and whether they are those of a whole run.

    Messages are `gen_ai.input.messages` and `gen_ai.output.messages`.
    """
    found: dict[str, object] = {}
    told: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    for event in [*_listed(attributes), *events]:
        body = _body(event)
        if event.name in ("gen_ai.content.prompt", "gen_ai.content.completion"):
            what = event.name.removeprefix("gen_ai.content.")
            found.setdefault(f"gen_ai.{what}", event.attributes.get(f"gen_ai.{what}", body))
        elif event.name == "gen_ai.choice":
            answers.append(_choice(body))
        elif spoken := _SPOKEN.fullmatch(event.name):
            told.append({"role": spoken[1]} | {k: v for k, v in body.items() if v is not None})
        else:
            found.update({k: v for k, v in {**body, **event.attributes}.items() if v not in (None, "")})
    while told and not answers and told[-1]["role"] == "assistant" and len(told) > 1:
        answers.append(told.pop())  # nothing was asked after it: it is what was answered
    if told:
        found.setdefault("gen_ai.input.messages", told)
    if answers:
        found.setdefault("gen_ai.output.messages", answers)
    return found, any(name in attributes for name in _WHOLE)


def _void(name: str, value: object) -> bool:
    """Return whether an attribute that holds nothing but messages holds none, as JSON."""
    return name.endswith("messages") and isinstance(value, str) and value.strip() in ("[]", "{}", "null")


def _is_plain(attributes: Mapping[str, object], name: str) -> bool:
    """Return whether OpenInference says that a value is text and nothing else."""
    kind = attributes.get(f"{name.removesuffix('.value')}.mime_type") if name.endswith(".value") else None
    return isinstance(kind, str) and kind.startswith("text/") and isinstance(attributes[name], str)


def _vercel(value: object, role: str) -> list[ChatMessage]:
    """Read the Vercel AI SDK's `{"system": ..., "prompt": ..., "messages": [...]}`."""
    given = structure(value)
    if not isinstance(given, Mapping):
        return parse_messages(value, role)
    found = parse_messages(given.get("system"), "system")
    found += [message for name in ("messages", "prompt") for message in parse_messages(given.get(name), role)]
    return found or parse_messages(value, role)


def _logfire(value: object, role: str) -> list[ChatMessage]:
    """Read logfire's requests and responses; `request_data` of other spans is no call of a model."""
    given = structure(value)
    if not isinstance(given, Mapping):
        return []
    if role != "user":
        texts = [given.get(name) for name in ("combined_chunk_content", "text")]
        return read_messages(given, role) or [m for text in texts if text for m in parse_messages(text, role)]
    if "model" not in given and "messages" not in given:
        return []
    system = parse_messages(given.get("instructions"), "system")
    asked = [m for name in ("input", "prompt") for m in parse_messages(given.get(name), role)]
    return system + (read_messages(given, role) or asked)


def documents(attributes: Mapping[str, object], name: str) -> list[str]:
    """Return the texts of the documents of an attribute, or of those numbered at its `{i}`."""
    if "{i}" in name:
        return [message.text for message in _numbered(attributes, name, "tool") if message.text]
    found = structure(attributes.get(name))
    return [
        text for each in (found if isinstance(found, (list, tuple)) else [found]) if (text := _document(each))
    ]


def _document(value: object) -> str:
    if not isinstance(value := structure(value), Mapping):
        return "" if value is None else clean(value)
    inner = value.get("document")
    if isinstance(inner, Mapping):
        return _document(inner)
    names = ("content", "document.content", "page_content", "text")
    return next((clean(value[name]) for name in names if value.get(name)), clean(value))


def _numbered(attributes: Mapping[str, object], template: str, role: str) -> list[ChatMessage]:
    before, after = template.split("{i}")
    messages: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        if not name.startswith(before):
            continue
        number, _, rest = name[len(before) :].partition(".")
        if (
            number.isdecimal()
            and len(number) < 7
            and (rest + ".").startswith(path := after[1:] + "." if after else "")
        ):
            _put(messages.setdefault(int(number), {}), rest[len(path) :].split("."), value)
    return [_spread(messages[i], role) for i in sorted(messages)]


def _put(node: dict[str, Any], path: list[str], value: object) -> None:
    for step in path[:-1]:
        below = node.setdefault(step, {})
        if not isinstance(below, dict):
            return  # both `a` and `a.b`: the first counts
        node = below
    node.setdefault(path[-1], value)


def _spread(message: dict[str, Any], role: str) -> ChatMessage:
    """Return a message whose fields were attributes of their own."""
    content = message.get("content", message.get("text"))
    if isinstance(parts := structure(content), list) and read_messages(parts, role) is not None:
        content = parts
    elif not content:
        content = _listed_below(message.get("contents"), "message_content")
    call = {
        "name": message.get("function_call_name"),
        "arguments": message.get("function_call_arguments_json"),
    }
    made = {
        "role": message.get("role"),
        "content": content,
        "tool_calls": _listed_below(message.get("tool_calls"), "tool_call"),
        "function_call": call if call["name"] else message.get("function_call"),
        "refusal": message.get("refusal"),
    }
    return message_of(made, role)


def _listed_below(node: object, inner: str) -> list[Any]:
    """Return the entries of attributes numbered below a message, each without the name in between."""
    node = structure(node)
    if isinstance(node, (list, tuple)):
        return list(node)
    if not isinstance(node, dict):
        return []
    entries = [node[number] for number in sorted((n for n in node if n.isdecimal()), key=int)]
    return [entry.get(inner, entry) if isinstance(entry, dict) else entry for entry in entries]


def _listed(attributes: Mapping[str, object]) -> list[SpanEvent]:
    found = []
    for name in _EVENT_LISTS:
        entries = structure(attributes.get(name))
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, Mapping) and isinstance(event := entry.get("event.name"), str):
                body = {key: value for key, value in entry.items() if key != "event.name"}
                found.append(SpanEvent(event, {}, body))
    return found


def _body(event: SpanEvent) -> Mapping[str, Any]:
    """Return the fields of an event: of its body, or of the attribute with its JSON, or its attributes."""
    for given in (event.body, event.attributes.get("gen_ai.event.content")):
        if isinstance(given := structure(given), Mapping):
            return given
        if given not in (None, ""):
            return {"content": given}
    return event.attributes


def _choice(body: Mapping[str, Any]) -> dict[str, Any]:
    message = structure(body.get("message"))
    if isinstance(message, Mapping):
        return {"role": "assistant", "content": None} | dict(message) | _calls(body)
    return {"role": "assistant", "content": message if message is not None else body.get("content")} | _calls(
        body
    )


def _calls(body: Mapping[str, Any]) -> dict[str, Any]:
    calls = structure(body.get("tool_calls"))
    return {"tool_calls": calls} if isinstance(calls, list) else {}
