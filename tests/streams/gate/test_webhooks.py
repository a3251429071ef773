"""What the webhooks of gateways find to judge: every text, in whichever API of a model it is written."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from streams.gate.answers import UnreadableRequestError
from streams.gate.keys import Keys
from streams.gate.webhooks import texts_in
from tests.streams.gate.test_server import ATTACK, HARMLESS, PERSON, Running

SECRET = json.dumps({"key": "AKIA" + "Q3EGRIZ5IH6EXB7M"})
CALL = {"id": "1", "type": "function", "function": {"name": "mail", "arguments": SECRET}}
PART = {"type": "text", "text": "x"}


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Running]:
    async with Running(tmp_path, Keys(None)) as running:
        yield running


def said(*contents: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": each, **more}} for each in contents]}


def asked(*contents: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": each} for each in contents], **more}


BODIES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "chat": (asked("x", [PART]), ["x", "x"]),
    "choices": (said("x", "y"), ["x", "y"]),
    "tool-calls": (said(None, tool_calls=[CALL]), [SECRET]),
    "function-call": (said(None, function_call={"name": "f", "arguments": "x"}), ["x"]),
    "refusal-and-reasoning": (said("x", refusal="y", reasoning_content="z"), ["x", "y", "z"]),
    "completions": ({"prompt": ["x", "y"], "model": "m", "suffix": "z"}, ["x", "y", "z"]),
    "completion": ({"choices": [{"index": 0, "text": "x"}]}, ["x"]),
    "responses-text": ({"instructions": "x", "input": "y"}, ["x", "y"]),
    "responses": ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]}, ["x"]),
    "responses-output": (
        {"output": [
            {"type": "message", "content": [{"type": "output_text", "text": "x"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "y"},
        ]},
        ["x", "y"],
    ),
    "anthropic": (
        asked(
            [{"type": "tool_use", "name": "f", "input": {"to": ["y"], "n": 1}}],
            [{"type": "tool_result", "tool_use_id": "t", "content": [PART]}],
            system="x",
        ),
        ["x", "y", "x"],
    ),
    "anthropic-answer": ({"type": "message", "role": "assistant", "content": [PART]}, ["x"]),
    "google": (
        {"systemInstruction": {"parts": [PART]}, "contents": [{"parts": [
            {"text": "y"}, {"functionCall": {"name": "f", "args": {"a": {"b": "z"}}}},
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        ]}]},
        ["x", "y", "z"],
    ),
    "images": (asked([{"type": "image_url", "image_url": {"url": "data:,"}}]), []),
    "empty": ({"messages": []}, []),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_every_text_of_a_body_is_found_where_it_can_be_replaced(name: str) -> None:
    body, texts = BODIES[name]
    found = texts_in(body)
    assert [text for _, _, text in found] == texts
    for container, place, text in found:
        assert container[place] == text  # type: ignore[index]


@pytest.mark.parametrize("body", [{}, None, {"text": "x"}, {"prompt": [[1, 2]]}, {"input": [5]}])
def test_what_cannot_be_judged_is_no_empty_text(body: dict[str, Any] | None) -> None:
    with pytest.raises(UnreadableRequestError):
        texts_in(body)


def test_a_body_deeper_than_can_be_walked_is_refused() -> None:
    body: Any = "x"
    for _ in range(3_000):
        body = {"content": body}
    with pytest.raises(UnreadableRequestError):
        texts_in(body)


async def test_what_is_in_tool_calls_is_judged_and_what_repeats_a_redacted_text_goes(gate: Running) -> None:
    rejected = (await gate.ask("/response", {"body": said(None, tool_calls=[CALL])}))["action"]
    assert rejected["status_code"] == 403
    body = said(HARMLESS, PERSON)
    body["choices"][1]["logprobs"] = {"content": [{"token": "jane", "logprob": -1.0}]}
    masked = (await gate.ask("/response", {"body": body}))["action"]["body"]["choices"]
    assert masked[0]["message"]["content"] == HARMLESS
    assert "jane" not in json.dumps(masked[1])
    await gate.ask("/request", {"body": {"model": "m"}}, 400)


def hook(**given: Any) -> dict[str, Any]:
    return {"eventType": "beforeRequestHook", "request": given}


async def test_portkey_gets_no_verdict_on_what_cannot_be_judged_or_handed_back(gate: Running) -> None:
    assert not (await gate.ask("/portkey", hook(json={"input": ATTACK}, text="")))["verdict"]
    redacted = await gate.ask("/portkey", hook(json=None, text=PERSON))
    assert (redacted["verdict"], redacted["data"]["action"]) == (False, "redact")
    assert (await gate.ask("/portkey", hook(json=None, text=HARMLESS)))["verdict"]
    for unreadable in (hook(), hook(json={"prompt": [1, 2]}), {"eventType": "beforeRequestHook"}):
        await gate.ask("/portkey", unreadable, 400)
