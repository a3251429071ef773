import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Event
from schemas.otel.kinds import SpanKind
from schemas.rejection import Rejected
from streams.ingest.spans import ExportedSpan, spans_from_line

TRACE, SPAN = "0" * 31 + "a", "0" * 15 + "b"
ATTRIBUTES = {
    "gen_ai.prompt": "How deep?",
    "gen_ai.completion": "Two metres.",
    "gen_ai.usage.output_tokens": 3,
}
START, END = 1_700_000_000_000_000_000, 1_700_000_001_500_000_000


def otlp(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [otlp(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [{"key": key, "value": otlp(item)} for key, item in value.items()]}}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def collector(attributes: dict[str, Any], **resource: str) -> dict[str, Any]:
    span = {
        "traceId": TRACE, "spanId": SPAN, "startTimeUnixNano": str(START), "endTimeUnixNano": str(END),
        "attributes": otlp(attributes)["kvlistValue"]["values"],
    }  # fmt: skip
    about = {"attributes": otlp(resource)["kvlistValue"]["values"]}
    return {"resourceSpans": [{"resource": about, "scopeSpans": [{"spans": [span]}]}]}


CONSOLE = {
    "name": "chat", "context": {"trace_id": f"0x{TRACE}", "span_id": f"0x{SPAN}", "trace_state": "[]"},
    "start_time": "2023-11-14T22:13:20.000000Z", "end_time": "2023-11-14T22:13:21.500000Z",
    "attributes": ATTRIBUTES, "resource": {"attributes": {"service.name": "shop"}, "schema_url": ""},
}  # fmt: skip
FLAT = {
    "trace_id": TRACE, "span_id": SPAN, "start_time_unix_nano": START, "end_time_unix_nano": END,
    "attributes": ATTRIBUTES, "resource": {"service.name": "shop"},
}  # fmt: skip


def spans(line: object) -> list[ExportedSpan]:
    return spans_from_line(json.dumps(line).encode())


def events(line: object) -> list[Event]:
    return [event for span in spans(line) for event in span.events]


@pytest.mark.parametrize("line", [collector(ATTRIBUTES, **{"service.name": "shop"}), CONSOLE, FLAT])
def test_three_notations_give_the_same_events(line: dict[str, Any]) -> None:
    prompt, completion = events(line)
    assert (prompt.event_id, prompt.app, prompt.text) == (f"{TRACE}-{SPAN}-prompt", "shop", "How deep?")
    assert prompt.timestamp == START // 1_000_000
    assert (completion.text, completion.latency_ms, completion.completion_tokens) == (
        "Two metres.",
        1500.0,
        3,
    )


def test_values_of_otlp_are_unwrapped() -> None:
    messages = [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]
    (prompt,) = events(collector({"gen_ai.input.messages": messages}))
    assert prompt.text == "Hello"


def test_a_span_without_times_leaves_them_to_kafka() -> None:
    prompt, completion = events({"trace_id": TRACE, "span_id": SPAN, "attributes": ATTRIBUTES})
    assert prompt.timestamp is None
    assert completion.timestamp is None


def test_a_span_without_content_gives_nothing() -> None:
    assert events(FLAT | {"attributes": {"http.method": "GET"}}) == []
    assert events({"resourceSpans": []}) == []


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (b"{", "expected the JSON of one span"),
        (b"[]", "expected a JSON object"),
        (b"[7]", "expected a JSON object"),
        (b'{"a": 1}', "`attributes` is missing"),
        (b'{"attributes": {}, "span_id": "b"}', "`trace_id` is missing"),
        (b'{"resourceSpans": 7}', "not a span"),
        (b'{"attributes": {}, "trace_id": "a", "span_id": "b", "start_time": "noon"}', "not a span"),
    ],
)
def test_anything_else_is_refused(line: bytes, detail: str) -> None:
    with pytest.raises(Rejected) as caught:
        spans_from_line(line)
    assert detail in caught.value.detail


def test_one_span_that_cannot_be_read_does_not_hide_the_others() -> None:
    export = collector(ATTRIBUTES)
    among = export["resourceSpans"][0]["scopeSpans"][0]["spans"]
    among.insert(0, {"spanId": "b"})
    bad, good = spans(export)
    assert bad.problem is not None
    assert bad.problem.detail == "required field `traceId` is missing"
    assert len(good.events) == 2


def test_a_list_of_spans_is_read_as_they_are() -> None:
    assert events([CONSOLE, FLAT]) == events(CONSOLE) * 2


def test_events_of_a_span_in_three_notations() -> None:
    details = {"gen_ai.input.messages": json.dumps([{"role": "user", "content": "How deep?"}])}
    name = "gen_ai.client.inference.operation.details"
    exported = collector({"gen_ai.operation.name": "chat"})
    pairs = otlp(details)["kvlistValue"]["values"]
    span = exported["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["events"] = [{"name": name, "timeUnixNano": "1", "attributes": pairs}]
    console = CONSOLE | {"attributes": {}, "events": [{"name": name, "attributes": details}]}
    flat = FLAT | {"attributes": {}, "events": [[name, details]]}
    for line in (exported, console, flat):
        assert [event.text for event in events(line)] == ["How deep?"]


def record(name: str, body: Any = None, moment: int = START, **more: Any) -> dict[str, Any]:
    return {
        "timeUnixNano": str(moment), "eventName": name, "traceId": TRACE, "spanId": SPAN,
        "attributes": otlp({"gen_ai.system": "openai"})["kvlistValue"]["values"],
    } | ({"body": otlp(body)} if body is not None else {}) | more  # fmt: skip


def logs(*records: dict[str, Any]) -> dict[str, Any]:
    about = {"attributes": otlp({"service.name": "shop"})["kvlistValue"]["values"]}
    return {"resourceLogs": [{"resource": about, "scopeLogs": [{"logRecords": list(records)}]}]}


def test_log_records_of_one_call_are_read_together() -> None:
    read = spans(
        logs(
            record("gen_ai.system.message", {"content": "Be brief"}),
            record("gen_ai.user.message", {"content": "How deep?"}),
            record(
                "gen_ai.choice", {"index": 0, "message": {"role": "assistant", "content": "Two metres."}}, END
            ),
            record("some.other.event", "text"),
        )
    )
    assert [span.kind for span in read] == [SpanKind.OTHER, SpanKind.GENERATION]
    prompt, completion = read[1].events
    assert (prompt.event_id, prompt.app, prompt.text) == (f"{TRACE}-{SPAN}-prompt", "shop", "How deep?")
    assert (prompt.system_prompt, prompt.provider, prompt.timestamp) == ("Be brief", "openai", START // 10**6)
    assert (completion.text, completion.latency_ms) == ("Two metres.", 1500.0)


def test_a_log_record_with_everything_in_its_attributes() -> None:
    content = {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "How deep?"}]}],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": "Two metres."}]}
        ],
    }
    details = record(
        "gen_ai.client.inference.operation.details", attributes=otlp(content)["kvlistValue"]["values"]
    )
    assert [event.text for event in events(logs(details))] == ["How deep?", "Two metres."]
    ids = {event.event_id for event in events(logs(details | {"traceId": "", "spanId": ""}))}
    assert ids == {event.event_id for event in events(logs(details | {"traceId": "", "spanId": ""}))}
    assert len(ids) == 2
    console = {"body": None, "severity_number": 9, "attributes": content, "timestamp": "2023-11-14T22:13:20Z"}
    console |= {"event_name": "gen_ai.client.inference.operation.details", "trace_id": TRACE, "span_id": SPAN}
    assert [event.text for event in events(console)] == ["How deep?", "Two metres."]


@pytest.mark.parametrize(
    ("attributes", "kind", "switch"),
    [
        ({"http.method": "GET"}, SpanKind.OTHER, ""),
        (
            {"gen_ai.request.model": "m"},
            SpanKind.GENERATION,
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        ),
        ({"llm.request.type": "chat", "gen_ai.system": "x"}, SpanKind.GENERATION, "TRACELOOP_TRACE_CONTENT"),
        ({"openinference.span.kind": "LLM"}, SpanKind.GENERATION, "OPENINFERENCE_HIDE_INPUTS"),
        ({"ai.operationId": "ai.generateText.doGenerate"}, SpanKind.GENERATION, "recordInputs"),
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.result": "x"}, SpanKind.TOOL, ""),
    ],
)
def test_what_a_span_without_events_was(attributes: dict[str, Any], kind: SpanKind, switch: str) -> None:
    (span,) = spans(FLAT | {"attributes": attributes})
    assert (span.kind, span.events) == (kind, ())
    assert switch in span.switch
    assert bool(span.switch) is bool(switch)


def test_half_a_surrogate_pair_does_not_hide_a_span() -> None:
    line = json.dumps(FLAT | {"attributes": {"gen_ai.prompt": "How deep \ud83d"}}).encode()
    ((event,),) = (span.events for span in spans_from_line(line))
    assert event.text == "How deep \ufffd"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        *("resourceSpans", "scopeSpans", "spans", "attributes", "context", "resource", "gen_ai.prompt"),
        *("trace_id", "span_id", "traceId", "spanId", "start_time", "start_time_unix_nano"),
        *("key", "value", "intValue", "arrayValue"),
    ]
)


@given(
    st.dictionaries(
        NAMES,
        st.recursive(
            JSON, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3)
        ),
    )
)
def test_a_line_is_events_or_refused_never_a_fault(line: dict[str, Any]) -> None:
    try:
        found = events(line)
    except Rejected:
        return
    assert all(isinstance(event, Event) for event in found)
