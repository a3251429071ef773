"""Every text of a model call is read: what exporters write beside the usual attributes."""

import json
from typing import Any

import pytest

from schemas.events import ToolCall
from schemas.otel.attributes import ATTRIBUTES
from schemas.otel.content import SpanEvent
from schemas.otel.kinds import has_reasoning
from tests.schemas.otel.samples import ANSWER, BOTH, CALL, USER, convert, read

ASKED = "Where is my parcel?"
SAID = "On its way"
TOLD = {"gen_ai.prompt": ASKED, "gen_ai.completion": SAID}


@pytest.mark.parametrize(
    ("request_data", "response_data"),
    [
        ({"messages": [USER], "model": "m"}, {"message": ANSWER, "usage": {}}),
        ({"messages": [USER], "model": "m"}, {"combined_chunk_content": SAID, "chunk_count": 2}),
        ({"input": ASKED, "model": "m"}, {"output": [{"type": "message", **ANSWER}]}),
        ({"prompt": ASKED, "model": "m"}, {"text": SAID, "finish_reason": "stop"}),
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_requests_and_responses_of_logfire(
    request_data: dict[str, Any], response_data: dict[str, Any], as_json: bool
) -> None:
    span = {"request_data": request_data, "response_data": response_data}
    assert read({k: json.dumps(v) for k, v in span.items()} if as_json else span) == BOTH


def test_request_data_of_other_spans_is_no_call() -> None:
    assert read({"request_data": json.dumps({"path": "/orders", "body": "two words"})}) == {}


@pytest.mark.parametrize("name", [name for name, row in ATTRIBUTES.items() if row.field == "contexts"])
def test_documents_of_a_retrieval_are_contexts(name: str) -> None:
    numbered = {name.replace("{i}", "0") + ".content": "Parcel 7 left."}
    listed = {name: json.dumps([{"document.content": "Parcel 7 left.", "document.score": 0.5}])}
    events = convert(TOLD | (numbered if "{i}" in name else listed))
    assert [event.contexts for event in events] == [("Parcel 7 left.",)] * 2


@pytest.mark.parametrize("answer", [{"answer": SAID}, {"type": "text", "text": SAID, "note": "x"}])
@pytest.mark.parametrize("name", ["ai.response.object", "ai.result.object"])
def test_an_object_is_an_answer_as_it_stands(name: str, answer: dict[str, str]) -> None:
    found = read({"ai.prompt.messages": json.dumps([USER]), name: json.dumps(answer)})
    assert json.loads(found["completion"]) == answer


@pytest.mark.parametrize("name", ["arguments", "input", "args", "parameters", "params", "kwargs"])
def test_arguments_of_a_tool_call_under_any_name(name: str) -> None:
    part = {"type": "tool_call", "name": "track", name: {"parcel": 7}}
    answer = json.dumps([{"role": "assistant", "parts": [part]}])
    assert read({"gen_ai.output.messages": answer})["calls"] == (ToolCall("track", '{"parcel":7}'),)


def test_arguments_in_an_attribute_of_the_call() -> None:
    span = {"gen_ai.operation.name": "chat", "gen_ai.tool.name": "track", "gen_ai.tool.call.arguments": "{}"}
    assert read({"gen_ai.prompt": ASKED, **span})["calls"] == (ToolCall("track", "{}"),)


def test_calls_of_the_apis_own_tools() -> None:
    run = {"type": "shell_call", "id": "1", "status": "completed", "action": {"commands": ["ls"]}}
    found = read({"output.value": json.dumps({"object": "response", "output": [run]})})
    assert found["calls"] == (ToolCall("shell_call", '{"action":{"commands":["ls"]}}'),)


@pytest.mark.parametrize("form", ["gen_ai.{}.message", "gen_ai.{}_message"])
@pytest.mark.parametrize("attributes", [{}, TOLD])
def test_messages_in_events_have_two_spellings(form: str, attributes: dict[str, str]) -> None:
    said = {"system": "Be nice.", "user": ASKED, "assistant": SAID}
    events = [SpanEvent(form.format(role), {"content": text}) for role, text in said.items()]
    prompt, completion = convert(attributes, None, events)
    assert (prompt.text, prompt.system_prompt, completion.text) == (ASKED, "Be nice.", SAID)


@pytest.mark.parametrize("name", ["gen_ai.system_message", "gen_ai.system.message", "llm.system_prompt"])
def test_system_prompts_in_attributes(name: str) -> None:
    prompt, _ = convert(TOLD | {name: "Be nice."})
    assert prompt.system_prompt == "Be nice."
    assert name not in prompt.metadata


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ai.response.reasoning": "thinking"}, True),
        ({"gen_ai.output.messages": json.dumps([{"parts": [{"type": "reasoning", "content": "a"}]}])}, True),
        ({"gen_ai.output.messages": [{"content": [{"type": "thinking", "thinking": "a"}]}]}, True),
        ({"gen_ai.prompt": "The reasoning behind it", "gen_ai.usage.reasoning.output_tokens": 5}, False),
        ({"gen_ai.output.messages": json.dumps([ANSWER | {"tool_calls": [CALL]}])}, False),
    ],
)
def test_reasoning_is_noticed(attributes: dict[str, object], expected: bool) -> None:
    assert has_reasoning(attributes) is expected
