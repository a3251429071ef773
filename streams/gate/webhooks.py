"""Webhooks of gateways: agentgateway (kgateway, Gloo) and Portkey.

Sources: `crates/agentgateway/src/llm/policy/webhook.rs` of agentgateway, `plugins/default/webhook.ts` of
Portkey's gateway.
"""

import secrets
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from schemas.events import Event
from streams.gate.answers import BLOCKING, Answer, reason, strongest, text_of

FORBIDDEN = 403
Texts = list[tuple[list[Any] | dict[str, Any], int | str, str]]
"""Texts in a body: where each is (its container and its place there), and what it says."""


class AgentRequest(msgspec.Struct):
    """`POST /request` and `POST /response` of agentgateway."""

    body: dict[str, Any]


class PortkeySide(msgspec.Struct):
    """A request or a response, as Portkey hands it over."""

    json: dict[str, Any] | None = None
    text: str | None = ""


class PortkeyRequest(msgspec.Struct, rename="camel"):
    """The call of a Portkey hook."""

    event_type: Literal["beforeRequestHook", "afterRequestHook"]
    request: PortkeySide | None = None
    response: PortkeySide | None = None
    provider: str | None = ""
    metadata: dict[str, Any] | None = None


def texts_in(body: dict[str, Any] | None) -> Texts:
    """Return every text of the messages or choices of a chat body, in order."""
    found: Texts = []
    messages = [message for message in _list(body, "messages") if isinstance(message, dict)]
    for choice in _list(body, "choices"):
        if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
            messages.append(choice["message"])
        elif isinstance(choice, dict) and isinstance(choice.get("text"), str):
            found.append((choice, "text", choice["text"]))
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            found.append((message, "content", content))
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                found.append((part, "text", part["text"]))
    if isinstance(body, dict) and isinstance(body.get("prompt"), str):
        found.append((body, "prompt", body["prompt"]))
    return found


def _list(body: dict[str, Any] | None, name: str) -> list[Any]:
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, list) else []


def events(texts: Texts, kind: Literal["prompt", "completion"], app: str, provider: str = "") -> list[Event]:
    """Return an event per text."""
    call = secrets.token_hex(16)
    return [
        Event(
            event_id=f"{call}-{kind}-{number}",
            app=app,
            kind=kind,
            text=text,
            request_id=call,
            conversation_id=call,
            provider=provider,
        )
        for number, (_, _, text) in enumerate(texts)
    ]


def replace(texts: Texts, answers: Sequence[Answer]) -> bool:
    """Write what is to be used in place of each text where it stood; return whether any differs."""
    changed = False
    for (container, place, text), answer in zip(texts, answers, strict=True):
        new = text_of(answer, text)
        changed |= new != text
        container[place] = new  # type: ignore[index]
    return changed


def agent_body(request: AgentRequest, texts: Texts, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return what agentgateway reads: its kind is told by its shape."""
    worst = strongest(answers) if answers else None
    if worst is not None and worst.decision.action in BLOCKING:
        why = reason(worst)
        return {"action": {"body": why, "status_code": FORBIDDEN, "reason": why}}
    if replace(texts, answers):
        return {"action": {"body": request.body, "reason": "redacted by policy"}}
    return {"action": {"reason": "allowed by policy"}}


def portkey_body(
    side: Literal["request", "response"], json: dict[str, Any] | None, texts: Texts, answers: Sequence[Answer]
) -> dict[str, Any]:
    """Return what Portkey reads."""
    worst = strongest(answers) if answers else None
    found: dict[str, Any] = {"verdict": worst is None or worst.decision.action not in BLOCKING}
    if worst is not None:
        found["data"] = {"reason": reason(worst), "action": worst.decision.action}
    if found["verdict"] and replace(texts, answers):
        found["transformedData"] = {side: {"json": json}}
    return found
