import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Event
from schemas.rejection import Rejected
from streams.spans import events_from_line

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


def events(line: object) -> list[Event]:
    return events_from_line(json.dumps(line).encode())


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
        (b'{"a": 1}', "`attributes` is missing"),
        (b'{"attributes": {}, "span_id": "b"}', "`trace_id` is missing"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"spanId": "b"}]}]}]}', "`traceId` is missing"),
        (b'{"resourceSpans": 7}', "not a span"),
        (b'{"attributes": {}, "trace_id": "a", "span_id": "b", "start_time": "noon"}', "not a span"),
    ],
)
def test_anything_else_is_refused(line: bytes, detail: str) -> None:
    with pytest.raises(Rejected) as caught:
        events_from_line(line)
    assert detail in caught.value.detail


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
