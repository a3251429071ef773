import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import Decoder, decode, encode
from schemas.events import Event, ToolCall
from schemas.otel.attributes import ATTRIBUTES
from schemas.otel.spans import events_from_span
from tests.schemas.otel.samples import END, SPAN, TEXTS, TRACE, convert, pair

NEW = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.conversation.id": "c-1",
    "gen_ai.prompt.name": "support",
    "gen_ai.prompt.version": "3",
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 8,
    "gen_ai.response.finish_reasons": ["tool_calls"],
    "gen_ai.response.time_to_first_chunk": 0.25,
    "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
    "gen_ai.input.messages": [
        {"role": "user", "parts": [{"type": "text", "content": "Earlier question"}]},
        {"role": "assistant", "parts": [{"type": "text", "content": "Earlier answer"}]},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "Weather in Paris?"},
                {"type": "blob", "content": "aGk="},
                {"type": "text", "content": "And Rome?"},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": {"sky": "grey"}}]},
    ],
    "gen_ai.output.messages": [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Think"},
                {"type": "text", "content": "Let me look."},
                {"type": "tool_call", "id": "2", "name": "weather", "arguments": {"city": "Rome"}},
            ],
        }
    ],
    "gen_ai.tool.definitions": [{"name": "weather"}],
    "enduser.pseudo.id": "u-9",
    "user.id": "someone@example.com",
}


@pytest.mark.parametrize("as_json", [False, True], ids=["structured", "as JSON text"])
def test_a_span_of_the_current_conventions(as_json: bool) -> None:
    attributes = {
        k: json.dumps(v) if as_json and isinstance(v, list) and "messages" in k else v for k, v in NEW.items()
    }
    resource = {"service.name": "shop", "deployment.environment.name": "prod"}
    prompt, completion = convert(attributes, resource)
    common: dict[str, Any] = {
        "app": "shop",
        "environment": "prod",
        "request_id": f"{TRACE}-{SPAN}",
        "conversation_id": "c-1",
        "model": "gpt-4o",
        "provider": "openai",
        "prompt_name": "support",
        "prompt_version": "3",
        "user": "u-9",
        "contexts": ('{"sky":"grey"}',),
        "trace_id": TRACE,
        "span_id": SPAN,
        "metadata": {"gen_ai.operation.name": "chat", "gen_ai.request.temperature": "0.2"},
    }
    assert prompt == Event(
        **common, event_id=f"{TRACE}-{SPAN}-prompt", kind="prompt", text="Weather in Paris?\nAnd Rome?",
        timestamp=1_800_000_000_000, prompt_tokens=12, system_prompt="Be brief.",
    )  # fmt: skip
    assert completion == Event(
        **common, event_id=f"{TRACE}-{SPAN}-completion", kind="completion", text="Let me look.",
        prompt="Weather in Paris?\nAnd Rome?",
        timestamp=1_800_000_001_250, completion_tokens=8, latency_ms=1250.0, ttft_ms=250.0,
        finish_reason="tool_calls", tool_calls=(ToolCall("weather", '{"city":"Rome"}'),),
    )  # fmt: skip


def test_names_before_version_1_37() -> None:
    prompt, completion = pair(
        {
            "gen_ai.system": "anthropic",
            "gen_ai.usage.prompt_tokens": 5,
            "gen_ai.usage.completion_tokens": 7,
            "gen_ai.prompt": json.dumps(
                [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
            ),
            "gen_ai.completion": json.dumps([{"role": "assistant", "content": "A"}]),
            "deployment.environment": "test",
            "service.name": "x",
        }
    )
    assert (prompt.provider, prompt.environment, prompt.app) == ("anthropic", "test", "x")
    assert (prompt.system_prompt, prompt.text, prompt.prompt_tokens) == ("S", "U", 5)
    assert (completion.text, completion.completion_tokens) == ("A", 7)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("gen_ai.prompt.{}.", "gen_ai.completion.{}."),
        ("llm.input_messages.{}.message.", "llm.output_messages.{}.message."),
    ],
    ids=["OpenLLMetry", "OpenInference"],
)
def test_messages_spread_over_numbered_attributes(before: str, after: str) -> None:
    attributes: dict[str, object] = {after.format(0) + "content": "A"}
    for i, (role, content) in enumerate(
        [("system", "S"), ("user", "old"), ("assistant", "a"), ("user", "U")]
    ):
        attributes |= {before.format(i) + "role": role, before.format(i) + "content": content}
    attributes |= {before.format(10) + "role": "user", before.format(10) + "content": "last"}
    prompt, completion = convert(attributes)
    assert (prompt.system_prompt, prompt.text, completion.text) == ("S", "U\nlast", "A")
    assert prompt.metadata == {}


def test_openinference_names() -> None:
    prompt, completion = convert(
        {
            "llm.model_name": "m",
            "llm.provider": "p",
            "llm.token_count.prompt": 1,
            "llm.token_count.completion": 2,
            "llm.cost.total": 0.5,
            "session.id": "s",
            "input.value": json.dumps(
                {"messages": [{"role": "user", "content": [{"type": "text", "text": "U"}]}]}
            ),
            "output.value": "A",
        }
    )
    assert (prompt.model, prompt.provider, prompt.prompt_tokens, prompt.conversation_id) == ("m", "p", 1, "s")
    assert (prompt.text, completion.text, completion.completion_tokens, completion.cost) == ("U", "A", 2, 0.5)


SAMPLES = {"prompt_tokens": 3, "completion_tokens": 3, "ttft_ms": 3.0, "cost": 3.0}
IN_JSON = {"langfuse.observation.cost_details": '{"input": 1, "total": 3.0}'}


@pytest.mark.parametrize("name", [name for name, target in ATTRIBUTES.items() if target.convert])
def test_every_row_of_the_table_fills_its_field(name: str) -> None:
    target = ATTRIBUTES[name]
    prompt, completion = pair({name: IN_JSON.get(name, SAMPLES.get(target.field, "value"))})
    filled = SAMPLES.get(target.field, "value")
    if name == "gen_ai.response.time_to_first_chunk":
        filled = 3000.0
    default = (
        "unknown_service"
        if target.field == "app"
        else getattr(Event(event_id="e", app="a", kind="prompt", text=""), target.field)
    )
    assert getattr(prompt, target.field) == (filled if target.on != "completion" else default)
    assert getattr(completion, target.field) == (filled if target.on != "prompt" else default)


CONTENT = [
    name
    for name, target in ATTRIBUTES.items()
    if not target.convert and target.field not in ("tool_calls", "contexts") and not name.endswith("_data")
]


@pytest.mark.parametrize("name", CONTENT)
def test_every_row_of_content_is_read(name: str) -> None:
    target = ATTRIBUTES[name]
    key = name.replace("{i}", "0") + ".content" if "{i}" in name else name
    events = convert({key: "the text", "gen_ai.prompt" if "system" in name else "x": "p"})
    assert [(e.kind, getattr(e, target.field)) for e in events] == [(target.on, "the text")]


def test_targets_are_fields_of_an_event() -> None:
    assert {target.field for target in ATTRIBUTES.values()} <= set(Event.__struct_fields__)


def test_the_first_name_of_a_field_counts_unless_it_is_empty() -> None:
    both = {"gen_ai.request.model": "asked", "gen_ai.response.model": "answered"}
    assert pair(both)[1].model == "asked"
    assert pair(both | {"gen_ai.request.model": ""})[1].model == "answered"
    assert pair({"gen_ai.usage.input_tokens": "many", "gen_ai.usage.prompt_tokens": 4})[0].prompt_tokens == 4


def test_attributes_of_the_span_go_before_the_resource() -> None:
    assert pair({"service.name": "span"}, {"service.name": "resource"})[0].app == "span"
    assert pair({})[0].app == "unknown_service"


@pytest.mark.parametrize(
    "attributes",
    [{}, {"gen_ai.operation.name": "embeddings"}, {"gen_ai.prompt": ""}, {"gen_ai.input.messages": []}],
)
def test_a_span_without_content_gives_no_event(attributes: dict[str, object]) -> None:
    assert convert(attributes) == []


def test_a_completion_of_only_a_tool_call_is_an_event() -> None:
    (event,) = convert({"gen_ai.completion": [{"role": "assistant", "content": None, "tool_calls": [
        {"id": "1", "function": {"name": "f", "arguments": "{}"}}]}]})  # fmt: skip
    assert (event.kind, event.text, event.tool_calls) == ("completion", "", (ToolCall("f", "{}"),))


@pytest.mark.parametrize("text", ["42", "null", '"quoted"', "{not json", "[]broken", "[" * 100_000])
def test_a_prompt_that_resembles_json_stays_a_text(text: str) -> None:
    assert convert({"gen_ai.prompt": text})[0].text == text


def test_a_prefilled_answer_is_not_the_prompt() -> None:
    messages = [{"role": "user", "content": "U"}, {"role": "assistant", "content": "Sure:"}]
    assert convert({"gen_ai.prompt": messages})[0].text == "U"


def test_metadata_holds_no_content() -> None:
    content = {
        "gen_ai.tool.call.arguments": "SECRET",
        "gen_ai.tool.call.result": "SECRET",
        "gen_ai.retrieval.query.text": "SECRET",
        "gen_ai.evaluation.explanation": "SECRET",
        "gen_ai.request.messages": "SECRET",
        "gen_ai.response.text": "SECRET",
        "gen_ai.prompt.0.content": "SECRET",
        "gen_ai.agent.description": "SECRET",
        "gen_ai.unknown": {"deep": "SECRET"},
        "http.url": "SECRET",
    }
    kept = {"gen_ai.request.seed": 7, "gen_ai.request.stream": True, "gen_ai.response.id": "r" * 300}
    prompt, completion = pair(content | kept)
    assert prompt.metadata == completion.metadata
    assert prompt.metadata == {
        "gen_ai.request.seed": "7",
        "gen_ai.request.stream": "true",
        "gen_ai.response.id": "r" * 256,
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=300),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "parts", "type", "text", "tool_calls", "function"]), inner
        )
    ),
    max_leaves=6,
)
NAMES = st.sampled_from([name.replace("{i}", "0.content") for name in ATTRIBUTES] + ["gen_ai.other"])


@given(
    attributes=st.dictionaries(NAMES, VALUES, max_size=6),
    start=st.integers(0, 2**62),
    took=st.integers(-5, 2**40),
)
def test_any_attributes_give_events_that_the_decoder_takes(
    attributes: dict[str, object], start: int, took: int
) -> None:
    events = events_from_span(
        attributes, trace_id=TRACE, span_id=SPAN, start_ns=start, end_ns=max(0, start + took)
    )
    for event in events:
        assert decode(Event, encode(event)) == event


def test_the_events_of_a_span_pass_the_decoder_and_are_the_same_each_time() -> None:
    events = convert(TEXTS | NEW)
    assert events == convert(TEXTS | NEW)
    for event in events:
        assert Decoder().decode_event(encode(event), END // 10**6, END // 10**6) == (event, event.timestamp)


def test_text_that_utf8_cannot_hold_is_replaced() -> None:
    parts = [{"type": "tool_call", "name": "\ud800", "arguments": {"\ud800": ["\udfff", float("nan")]}}]
    prompt, completion = convert({"gen_ai.prompt": "a\ud800b", "gen_ai.completion": [{"parts": parts}]})
    assert prompt.text == "a\ufffdb"
    assert completion.tool_calls == (ToolCall("\ufffd", '{"\ufffd":["\ufffd",NaN]}'),)
