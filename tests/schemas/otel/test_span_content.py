"""Content that spans hold in their events, in numbered attributes and in the notations of libraries."""

import json

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from schemas.otel.chat_messages import parse_messages
from schemas.otel.content import SpanEvent
from schemas.otel.kinds import SpanKind, kind_of
from schemas.otel.spans import events_from_span
from tests.schemas.otel.samples import (
    ANSWER,
    BOTH,
    CALL,
    IMAGE,
    SPAN,
    START,
    TEXTS,
    TRACE,
    TRACKED,
    USER,
    convert,
    numbered,
    pair,
    read,
)

DETAILS = {"gen_ai.input.messages": json.dumps([USER]), "gen_ai.output.messages": json.dumps([ANSWER])}
EVENTS = [
    [SpanEvent("gen_ai.client.inference.operation.details", DETAILS)],
    [
        SpanEvent("gen_ai.user.message", {"content": USER["content"]}),
        SpanEvent("gen_ai.choice", {"message": "On its way"}),
    ],
    [
        SpanEvent("gen_ai.user.message", {"gen_ai.event.content": json.dumps(USER)}),
        SpanEvent("gen_ai.choice", {"gen_ai.event.content": json.dumps({"index": 0, "message": ANSWER})}),
    ],
    [
        SpanEvent("gen_ai.user.message", {"gen_ai.system": "openai"}, {"content": USER["content"]}),
        SpanEvent("gen_ai.choice", {}, {"index": 0, "finish_reason": "stop", "message": ANSWER}),
    ],
    [
        SpanEvent("gen_ai.content.prompt", {"gen_ai.prompt": USER["content"]}),
        SpanEvent("gen_ai.content.completion", {"gen_ai.completion": "On its way"}),
    ],
]


@pytest.mark.parametrize("events", EVENTS)
def test_content_in_events(events: list[SpanEvent]) -> None:
    assert read({"gen_ai.operation.name": "chat"}, *events) == BOTH
    assert read({"gen_ai.prompt": "Mine"}, *events) == BOTH | {"prompt": "Mine"}


def test_messages_of_the_system_and_of_tools_in_events() -> None:
    events = [
        SpanEvent("gen_ai.system.message", {}, {"content": "Be brief"}),
        SpanEvent("gen_ai.user.message", {}, {"content": "Track it"}),
        SpanEvent("gen_ai.assistant.message", {}, {"tool_calls": [CALL]}),
        SpanEvent("gen_ai.tool.message", {}, {"content": "in Rome", "id": "1"}),
        SpanEvent("gen_ai.choice", {}, {"message": {"tool_calls": [CALL]}}),
    ]
    prompt, completion = convert({}, None, events)
    assert (prompt.text, prompt.contexts, prompt.system_prompt) == ("", ("in Rome",), "Be brief")
    assert completion.tool_calls == TRACKED["calls"]


RUN = [
    {"role": "system", "parts": [{"type": "text", "content": "Be brief"}]},
    {"role": "user", "parts": [{"type": "text", "content": "Where is my parcel?"}]},
    {"role": "assistant", "parts": [{"type": "tool_call", "name": "track", "arguments": "{}"}]},
    {"role": "user", "parts": [{"type": "tool_call_response", "name": "track", "result": "in Rome"}]},
    {"role": "assistant", "parts": [{"type": "text", "content": "On its way"}]},
]
RUN_EVENTS = [
    {"event.name": "gen_ai.system.message", "content": "Be brief", "role": "system"},
    {"event.name": "gen_ai.user.message", "content": "Where is my parcel?", "role": "user"},
    {"event.name": "gen_ai.assistant.message", "role": "assistant", "tool_calls": [CALL]},
    {"event.name": "gen_ai.tool.message", "role": "tool", "content": "in Rome"},
    {"event.name": "gen_ai.assistant.message", "role": "assistant", "content": "On its way"},
]


@pytest.mark.parametrize(
    "attributes",
    [
        {"pydantic_ai.all_messages": json.dumps(RUN), "final_result": "On its way"},
        {"pydantic_ai.all_messages": json.dumps(RUN)},
        {"all_messages_events": json.dumps(RUN_EVENTS)},
    ],
)
def test_the_run_of_an_agent_is_its_users_text_and_its_answer(attributes: dict[str, object]) -> None:
    assert read(attributes) == BOTH | {"contexts": ("in Rome",)}
    assert kind_of(attributes) is SpanKind.WRAPPER


def test_events_of_a_call_as_json() -> None:
    asked = [*RUN_EVENTS[:2], {"event.name": "gen_ai.choice", "index": 0, "message": ANSWER}]
    assert read({"gen_ai.operation.name": "chat", "events": json.dumps(asked)}) == BOTH


def test_names_of_langfuse_vercel_and_openllmetry() -> None:
    prompt, completion = convert(
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.input": "Q",
            "langfuse.observation.output": "A",
            "langfuse.observation.model.name": "m",
            "session.id": "s",
            "user.id": "u",
            "langfuse.observation.usage_details": '{"input": 4, "output": 2}',
            "langfuse.observation.cost_details": '{"total": 0.25}',
            "langfuse.trace.tags": ["a"],
            "langfuse.trace.metadata.plan": '"gold"',
            "langfuse.observation.metadata": '{"region": "eu"}',
        }
    )
    assert (prompt.model, prompt.conversation_id, prompt.user, prompt.prompt_tokens) == ("m", "s", "u", 4)
    assert (completion.completion_tokens, completion.cost) == (2, 0.25)
    assert prompt.metadata == {"plan": "gold", "region": "eu", "tags": '["a"]'}
    prompt, completion = convert(
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.prompt.messages": json.dumps([USER]),
            "ai.response.text": "A",
            "ai.model.id": "m",
            "ai.model.provider": "p",
            "ai.usage.promptTokens": 4,
            "ai.usage.outputTokens": 2,
            "ai.response.finishReason": "stop",
            "ai.telemetry.metadata.plan": "gold",
            "ai.telemetry.metadata.sessionId": "s",
            "ai.telemetry.metadata.userId": "u",
        }
    )
    assert (prompt.model, prompt.provider, prompt.conversation_id, prompt.user) == ("m", "p", "s", "u")
    assert (prompt.prompt_tokens, completion.completion_tokens, completion.finish_reason) == (4, 2, "stop")
    assert prompt.metadata == {"plan": "gold"}
    properties = numbered("traceloop.association.properties.", session_id="s", user_id="u", plan="gold")
    prompt, _ = pair(properties)
    assert (prompt.conversation_id, prompt.user, prompt.metadata) == ("s", "u", {"plan": "gold"})


@pytest.mark.parametrize("value", [0, "0", 0.0])
def test_no_tokens_are_tokens_that_nobody_counted(value: object) -> None:
    counts = {"gen_ai.usage.input_tokens": value, "gen_ai.usage.output_tokens": value}
    prompt, completion = pair(counts)
    assert (prompt.prompt_tokens, completion.completion_tokens) == (None, None)
    assert pair(counts | {"llm.token_count.prompt": 7})[0].prompt_tokens == 7


def test_a_span_without_a_duration_has_no_latency() -> None:
    (event,) = events_from_span(
        {"gen_ai.completion": "A"}, trace_id=TRACE, span_id=SPAN, start_ns=START, end_ns=START
    )
    assert event.latency_ms is None


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        (
            {"gen_ai.operation.name": "chat", "gen_ai.tool.name": "t", "gen_ai.agent.name": "a"},
            SpanKind.GENERATION,
        ),
        ({"gen_ai.operation.name": "invoke_agent"}, SpanKind.WRAPPER),
        ({"gen_ai.operation.name": "execute_tool"}, SpanKind.TOOL),
        ({"gen_ai.operation.name": "embeddings"}, SpanKind.RETRIEVAL),
        ({"openinference.span.kind": "LLM"}, SpanKind.GENERATION),
        ({"openinference.span.kind": "CHAIN"}, SpanKind.WRAPPER),
        ({"langfuse.observation.type": "span"}, SpanKind.WRAPPER),
        ({"langfuse.observation.type": "evaluator"}, SpanKind.CHECK),
        ({"traceloop.span.kind": "workflow"}, SpanKind.WRAPPER),
        ({"ai.operationId": "ai.streamText"}, SpanKind.WRAPPER),
        ({"ai.operationId": "ai.streamText.doStream"}, SpanKind.GENERATION),
        ({"ai.operationId": "ai.toolCall"}, SpanKind.TOOL),
        ({"ai.operationId": "ai.embedMany.doEmbed"}, SpanKind.RETRIEVAL),
        ({"mlflow.spanType": '"CHAT_MODEL"'}, SpanKind.GENERATION),
        ({"gen_ai.operation.name": "something new"}, None),
        ({}, None),
    ],
)
def test_what_a_span_is(attributes: dict[str, object], kind: SpanKind | None) -> None:
    assert kind_of(attributes) is kind
    texts = read(attributes | TEXTS)
    assert bool(texts) is (kind in (SpanKind.GENERATION, SpanKind.WRAPPER, None))


PLACES = ["gen_ai.prompt", "input.value", "gen_ai.prompt.0.content", "langfuse.observation.input"]
JSON_TEXTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
).map(json.dumps)


@given(text=JSON_TEXTS, place=st.sampled_from(PLACES))
@example(text='{"answer": "Call Ann"}', place="input.value")
@example(text="[1, 2]", place="input.value")
@example(text="[]", place="gen_ai.prompt")
@example(text='{"role": "admin", "rights": ["read"]}', place="input.value")
@example(text='{"type": "document", "category": "invoice"}', place="input.value")
@example(text='{"text": "Hello"}', place="gen_ai.prompt")
@example(text='{"question": "Which?", "choices": [{"text": "Paris"}, {"text": "Rome"}]}', place="input.value")
@example(text='{"status": "ok", "message": {"content": "Hello"}}', place="input.value")
@example(text='{"messages": ["Hello"]}', place="langfuse.observation.input")
@example(text='{"output": "Hello", "content": "there"}', place="input.value")
@example(text='{"a": "\\ud83d"}', place="input.value")
@example(text='{"": null}', place="gen_ai.prompt")
@example(text='[{"text": "Hello", "label": 1}]', place="gen_ai.prompt")
@example(text='{"content": [{"text": "Hello"}], "title": "Greetings"}', place="input.value")
@example(text='{"parts": [{"name": "bolt", "qty": 2}]}', place="input.value")
@example(text='[{"image": "a.png"}, {"document": {"title": "Plan"}}]', place="gen_ai.prompt")
def test_json_that_is_no_message_stays_the_text_that_it_is(text: str, place: str) -> None:
    assume(text not in ('""',))
    assert read({place: text}) == {"prompt": text}


WORDY = st.text(st.sampled_from("abc "), min_size=1, max_size=12).map(
    lambda text: f"say {text.strip() or 'x'}"
)
SHAPED = st.recursive(
    WORDY,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["note", "title", "text", "content", "role", "type", "x"]), inner, max_size=4
        )
        | st.fixed_dictionaries({"role": st.just("user"), "content": inner}, optional={"note": inner})
        | st.fixed_dictionaries({"type": st.just("text"), "text": WORDY}, optional={"more": inner})
        | st.fixed_dictionaries({"type": st.sampled_from(["image_url", "custom"]), "x": inner})
        | st.fixed_dictionaries({"thought": st.booleans(), "text": WORDY}, optional={"note": inner})
        | st.dictionaries(
            st.sampled_from(
                ["functionResponse", "toolResult", "guardContent", "reasoningContent", "document"]
            ),
            st.dictionaries(
                st.sampled_from(["text", "content", "source", "response", "reasoningText", "note"]),
                inner,
                max_size=2,
            ),
            min_size=1,
            max_size=2,
        )
        | st.fixed_dictionaries({"type": st.sampled_from(["thinking", "tool_result"]), "content": inner})
        | st.fixed_dictionaries({"messages": st.lists(inner, max_size=2)}, optional={"note": inner})
        | st.dictionaries(st.sampled_from(["message", "content", "parts", "note"]), inner, max_size=3)
        | st.fixed_dictionaries({"object": st.just("x"), "choices": st.lists(inner, max_size=2)})
        | st.fixed_dictionaries({"candidates": st.lists(inner, max_size=2)}, optional={"text": inner})
        | st.fixed_dictionaries({"output": inner | st.lists(inner, max_size=2)}, optional={"text": inner})
    ),
    max_leaves=8,
)


def leaves(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = list(value.values()) if isinstance(value, dict) else value
    return [leaf for each in inner for leaf in leaves(each)] if isinstance(inner, list) else []


@given(value=SHAPED)
def test_no_sentence_hides_in_the_shape_of_a_message(value: object) -> None:
    messages = parse_messages(json.dumps(value), "user")
    said = "\n".join(message.text + "".join(message.tool_results) for message in messages)
    for leaf in leaves(value):
        assert leaf in said or " " not in leaf


def test_media_never_become_text() -> None:
    parts = [IMAGE, {"type": "text", "text": "Look"}, {"type": "file", "file": {"file_data": "A" * 500}}]
    parts += [{"type": "custom", "blob": "B" * 500}, {"type": "audio", "data": ("C" * 76 + "\n") * 3}]
    for value in (
        parts,
        [{"role": "user", "content": parts}],
        {"messages": [{"role": "user", "content": parts}]},
    ):
        assert read({"gen_ai.prompt": json.dumps(value)}).get("prompt", "")[:4] in ("Look", '[{"t')
    assert read({"gen_ai.input.messages": json.dumps([{"role": "user", "content": parts}])}) == {
        "prompt": "Look"
    }


def test_half_a_surrogate_pair_within_json_within_an_attribute() -> None:
    messages = '[{"role": "user", "content": "Where is it \\ud83d"}]'
    assert read({"gen_ai.input.messages": messages}) == {"prompt": "Where is it \ufffd"}
