"""The part of an event that is read where there is no time for all of it."""

from collections.abc import Iterable, Iterator

import msgspec

from schemas.events import Event, ToolCall

EXCERPT = 2_000
"""Characters of each text: long enough for an ordinary prompt, and read in a millisecond."""
ENTRIES = 16
"""Contexts, tool calls and entries of metadata, at most."""


def excerpt(event: Event) -> Event:
    """Return an event with the first `EXCERPT` characters of each text, of contexts and calls together.

    The metadata stay whole, for the conditions of the policy (see `few_metadata`). An event of which that
    is all, and of the metadata what those are cut to, is returned as it is.
    """
    contexts = tuple(_within(event.contexts))
    arguments = list(_within(call.arguments for call in event.tool_calls))
    calls = tuple(
        ToolCall(name=call.name, arguments=text)
        for call, text in zip(event.tool_calls, arguments, strict=False)
    )
    changes = {"contexts": contexts, "tool_calls": calls}
    changes |= {name: getattr(event, name)[:EXCERPT] for name in ("text", "prompt", "system_prompt")}
    is_whole = all(getattr(event, name) == value for name, value in changes.items())
    if is_whole and few_metadata(event).metadata == event.metadata:
        return event
    return msgspec.structs.replace(event, **changes)


def few_metadata(event: Event) -> Event:
    """Return an event with the first `ENTRIES` of its metadata, of `EXCERPT` characters together."""
    names = list(event.metadata)[:ENTRIES]
    values = _within(event.metadata[name] for name in names)
    return msgspec.structs.replace(event, metadata=dict(zip(names, values, strict=False)))


def _within(texts: Iterable[str]) -> Iterator[str]:
    left = EXCERPT
    for number, text in enumerate(texts):
        if number == ENTRIES or (left <= 0 < len(text)):
            return
        yield text[:left]
        left -= len(text)
