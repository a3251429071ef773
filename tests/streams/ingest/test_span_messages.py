import json
from typing import Any

import pytest

from schemas import codec
from schemas.events import Event
from schemas.otel.kinds import SpanKind
from streams.ingest import span_messages
from streams.ingest.field_map import FieldMap
from streams.ingest.files import InputRow
from streams.ingest.publish import PartlyRejectedError, Tally
from streams.ingest.span_messages import SpanPreparer, SpanTally, summary

NOW_MS = 1_700_000_000_000


def line(number: int, attributes: dict[str, Any], trace: str = "t", **more: Any) -> bytes:
    span = {"trace_id": trace, "span_id": f"{number + 1:016x}", "attributes": attributes}
    return json.dumps(span | more).encode()


def call(text: str, **more: Any) -> dict[str, Any]:
    return {"openinference.span.kind": "LLM", "input.value": text, "output.value": f"{text}!"} | more


def around(text: str, kind: str = "AGENT") -> dict[str, Any]:
    return call(text) | {"openinference.span.kind": kind}


def prepared(preparer: SpanPreparer, *lines: bytes) -> list[str]:
    messages = [message for i, each in enumerate(lines) for message in preparer(InputRow(i + 1, each))]
    messages += preparer.finish()
    return [codec.decode(Event, value).text for _, value in messages]


def new() -> SpanPreparer:
    return SpanPreparer(codec.Decoder(), "s", FieldMap({}, {"app": "shop"}), Tally(), lambda: NOW_MS)


@pytest.mark.parametrize(
    "order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)], ids=["outer first", "inner first", "mixed"]
)
def test_an_agent_around_a_call_is_not_published_a_second_time(order: tuple[int, int, int]) -> None:
    preparer = new()
    spans = [line(1, around("Hi", "CHAIN")), line(2, around("Hi")), line(3, call("Hi"))]
    assert prepared(preparer, *(spans[i] for i in order)) == ["Hi", "Hi!"]
    assert preparer.spans == SpanTally(read=3, published=1, repeats=2)


def test_an_agent_whose_calls_are_not_there_is_published_once_with_what_is_around_it() -> None:
    preparer = new()
    spans = [
        line(1, around("Hi", "CHAIN")),
        line(2, around("Hi")),
        line(3, around("Ho")),
        line(4, {"openinference.span.kind": "LLM"}),
    ]
    assert prepared(preparer, *spans) == ["Hi", "Hi!", "Ho", "Ho!"]
    assert (preparer.spans.published, preparer.spans.repeats, preparer.spans.without_content) == (2, 1, 1)


def test_traces_have_nothing_to_do_with_each_other() -> None:
    spans = [line(1, around("Hi"), "a"), line(2, call("Ho"), "b")]
    assert sorted(prepared(new(), *spans)) == ["Hi", "Hi!", "Ho", "Ho!"]


def test_a_pipe_without_an_end_holds_a_limited_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_messages, "HELD", 2)
    preparer = new()
    spans = [line(i, around(f"Hi {i}"), f"trace {i}") for i in range(5)]
    assert sum(len(preparer(InputRow(i + 1, each))) for i, each in enumerate(spans)) == 3 * 2
    assert len(preparer.finish()) == 2 * 2


def test_every_span_is_accounted_for() -> None:
    preparer = new()
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.result": "x"}
    silent = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    only = {"gen_ai.operation.name": "chat", "gen_ai.completion": "Hi!"}
    spans = [call("Hi"), around("Hi"), tool, silent, silent, {"http.method": "GET"}, only]
    prepared(preparer, *(line(i, each) for i, each in enumerate(spans)))
    tally = preparer.spans
    assert tally.others == {SpanKind.TOOL: 1, SpanKind.OTHER: 1}
    assert [" ".join(text.split()) for text in summary(tally)] == [
        "spans 7",
        "2 published, 1 without a prompt",
        "1 agent, chain or workflow: not published, for the calls in it were",
        "2 generation without a text: is the capture of content off? "
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true switches it on",
        "1 no model call",
        "1 tool",
    ]


def test_a_bad_span_among_good_ones_of_a_line_takes_none_with_it() -> None:
    preparer = new()
    good = json.loads(line(1, call("Hi")))
    old = json.loads(line(2, call("Ho"))) | {"start_time_unix_nano": 10**15, "end_time_unix_nano": 10**15}
    with pytest.raises(PartlyRejectedError, match="3653 days ago") as caught:
        preparer(InputRow(1, json.dumps([old, good]).encode()))
    assert [codec.decode(Event, value).text for _, value in caught.value.rest] == ["Hi", "Hi!"]
    assert (preparer.spans.read, preparer.spans.published, preparer.spans.refused) == (2, 1, 1)


def test_reasoning_that_is_left_out_is_counted() -> None:
    preparer = new()
    thought = json.dumps({"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm"}]})
    assert prepared(preparer, line(1, call("Hi", **{"output.value": thought})), line(2, call("Ho"))) == [
        "Hi", "Ho", "Ho!",
    ]  # fmt: skip
    assert preparer.spans == SpanTally(read=2, published=2, without_answer=1, with_reasoning=1)
    assert any("1  of these with reasoning" in each for each in summary(preparer.spans))
