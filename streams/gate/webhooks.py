"""Webhooks of gateways: agentgateway (kgateway, Gloo) and Portkey.

Sources: `crates/agentgateway/src/llm/policy/webhook.rs` of agentgateway, `plugins/default/webhook.ts` of
Portkey's gateway.
"""

import secrets
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from schemas.events import Event
from streams.gate.answers import BLOCKING, Answer, UnreadableRequestError, reason, strongest, text_of

FORBIDDEN = 403
Texts = list[tuple[list[Any] | dict[str, Any], int | str, str]]
"""Texts in a body: where each is (its container and its place there), and what it says."""


class AgentRequest(msgspec.Struct):
    """`POST /request` and `POST /response` of agentgateway."""

    body: dict[str, Any]


class PortkeySide(msgspec.Struct):
    """A request or a response, as Portkey hands it over."""

    json: dict[str, Any] | None = None
    text: str | None = None
    """What it has made of that."""


class PortkeyRequest(msgspec.Struct, rename="camel"):
    """The call of a Portkey hook."""

    event_type: Literal["beforeRequestHook", "afterRequestHook"]
    request: PortkeySide | None = None
    response: PortkeySide | None = None
    provider: str | None = ""
    metadata: dict[str, Any] | None = None

    @property
    def place(self) -> Literal["request", "response"]:
        """What is to be judged of it."""
        return "request" if self.event_type == "beforeRequestHook" else "response"

    @property
    def side(self) -> PortkeySide:
        """The same, itself."""
        return (self.request if self.place == "request" else self.response) or PortkeySide()


_ROOTS: Final = (
    "system", "systemInstruction", "instructions", "messages", "prompt", "suffix", "input", "contents",
    "choices", "candidates", "output", "content",
)  # fmt: skip
"""Where the APIs of models keep texts: OpenAI's (chat, completions, responses), Anthropic's, Google's."""
_TEXTS: Final = frozenset({
    *_ROOTS, "text", "refusal", "reasoning", "reasoning_content", "thinking", "summary", "arguments",
    "partial_json", "result", "query", "transcript",
})  # fmt: skip
"""Within them: what is text, where it is a string."""
_FREE: Final = frozenset({"arguments", "args", "input", "response", "result"})
"""Arguments and results of tools: where they are objects, every string in them is text."""
_TOKENS: Final = "tokens cannot be judged: send the prompt as text"


def texts_in(body: dict[str, Any] | None) -> Texts:
    """Return every text of a request to a model or of its response, in order, with what it calls tools with.

    Raises `UnreadableRequestError` where there is no place for text, or tokens in place of it.
    """
    roots = [name for name in _ROOTS if body and name in body]
    if body is None or not roots:
        raise UnreadableRequestError(f"there is none of {', '.join(_ROOTS)}")
    found: Texts = []
    try:
        for name in roots:
            _collect(body, name, found, is_text=True)
    except RecursionError:
        raise UnreadableRequestError("nested too deeply") from None
    return found


def _collect(container: Any, place: int | str, found: Texts, *, is_text: bool) -> None:
    """Add the texts at a place of a list or an object; `is_text`: a string there is one."""
    value = container[place]
    if isinstance(value, str):
        if is_text:
            found.append((container, place, value))
    elif isinstance(value, list):
        if is_text and any(isinstance(each, int) for each in value):
            raise UnreadableRequestError(_TOKENS)
        for number in range(len(value)):
            _collect(value, number, found, is_text=is_text)
    elif isinstance(value, dict):
        for name in value:
            if name in _FREE and not isinstance(value[name], str):
                _collect_all(value, name, found)
            else:
                _collect(value, name, found, is_text=name in _TEXTS)


def _collect_all(container: Any, place: int | str, found: Texts) -> None:
    value = container[place]
    if isinstance(value, str):
        found.append((container, place, value))
    elif isinstance(value, list | dict):
        for each in range(len(value)) if isinstance(value, list) else value:
            _collect_all(value, each, found)


def texts_of_side(side: PortkeySide) -> tuple[Texts, bool]:
    """Return the texts that Portkey hands over, and whether they stand in its JSON; errors as `texts_in`."""
    try:
        if texts := texts_in(side.json):
            return texts, True
    except UnreadableRequestError:
        if side.text is None:
            raise
    return [([side.text or ""], 0, side.text or "")], False


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


def replace(texts: Texts, answers: Sequence[Answer], body: dict[str, Any] | None) -> bool:
    """Write what is to be used in place of each text where it stood; return whether any differs."""
    changed = False
    for (container, place, text), answer in zip(texts, answers, strict=True):
        new = text_of(answer, text)
        changed |= new != text
        container[place] = new  # type: ignore[index]
    choices = (body or {}).get("choices") if changed else None
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            choice.pop("logprobs", None)  # the raw text once more, token by token
    return changed


def agent_body(request: AgentRequest, texts: Texts, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return what agentgateway reads: its kind is told by its shape."""
    worst = strongest(answers) if answers else None
    if worst is not None and worst.decision.action in BLOCKING:
        why = reason(worst)
        return {"action": {"body": why, "status_code": FORBIDDEN, "reason": why}}
    if replace(texts, answers, request.body):
        return {"action": {"body": request.body, "reason": "redacted by policy"}}
    return {"action": {"reason": "allowed by policy"}}


def portkey_body(
    request: PortkeyRequest, texts: Texts, answers: Sequence[Answer], *, in_json: bool
) -> dict[str, Any]:
    """Return what Portkey reads; what is redacted and not in the JSON has no way back, and does not pass."""
    worst, json = strongest(answers), request.side.json
    found: dict[str, Any] = {"verdict": worst.decision.action not in BLOCKING}
    found["data"] = {"reason": reason(worst), "action": worst.decision.action}
    if found["verdict"] and replace(texts, answers, json):
        found["verdict"] = in_json
        if in_json:
            found["transformedData"] = {request.place: {"json": json}}
    return found
