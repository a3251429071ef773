"""Finds the messages of a model call in what a span carries: attributes, numbered attributes, events."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from schemas.otel.chat_messages import ChatMessage, message_of, parse_messages, read_messages, structure


class SpanEvent(NamedTuple):
    """An event within a span, or a log record that belongs to one."""

    name: str
    attributes: Mapping[str, object]
    body: object = None
    """Of a log record; span events have none."""


_EVENT_LISTS: Final = ("events", "all_messages_events")
"""Attributes in which pydantic-ai and logfire put events as JSON."""
_WHOLE: Final = ("pydantic_ai.all_messages", "all_messages_events")


def messages_at(attributes: Mapping[str, object], name: str, role: str) -> list[ChatMessage]:
    """Return the messages of an attribute, or of those numbered at its `{i}`; none without a text."""
    if "{i}" in name:
        found = _numbered(attributes, name, role)
    elif (value := attributes.get(name)) is None or _void(name, value):
        return []
    elif name == "ai.prompt":
        found = _vercel(value, role)
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
        elif event.name.startswith("gen_ai.") and event.name.endswith(".message"):
            told.append({"role": event.name.split(".")[1]} | {k: v for k, v in body.items() if v is not None})
        else:
            found.update({k: v for k, v in {**body, **event.attributes}.items() if v not in (None, "")})
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
