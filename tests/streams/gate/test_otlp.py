"""Exports of OpenTelemetry over HTTP, as the specification has them; the broker is a list."""

import asyncio
import base64
import gzip
import io
import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from schemas import codec, topics
from schemas.events import Event
from streams.gate import otlp
from streams.gate.keys import Keys, hash_of
from tests.streams.gate.test_server import Running, json_values

PROTOBUF, JSON = "application/x-protobuf", "application/json"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
NOW = time.time_ns()
CHAT: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt",
    "gen_ai.usage.input_tokens": 7,
    "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]),
    "gen_ai.output.messages": json.dumps([{"parts": [{"type": "text", "content": "Ho"}]}]),
}
SILENT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt"}
AGENT = CHAT | {"gen_ai.operation.name": "invoke_agent"}


def value_of(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"kvlistValue": {"values": pairs(value)}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [value_of(each) for each in value]}}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value_of(value)} for key, value in attributes.items()]


def span(told: dict[str, Any], number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "startTimeUnixNano": str(NOW),
        "endTimeUnixNano": str(NOW + 5_000_000),
        "attributes": pairs(told),
    } | more


def traces(*spans: dict[str, Any], service: str = "shop") -> dict[str, Any]:
    resource = {"attributes": pairs({"service.name": service})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(spans)}]}]}


def record(name: str, body: Any, number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "timeUnixNano": str(NOW),
        "eventName": name,
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "body": value_of(body),
    } | more


def logs(*records: dict[str, Any]) -> dict[str, Any]:
    resource = {"attributes": pairs({"service.name": "shop"})}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": list(records)}]}]}


def packed(export: dict[str, Any]) -> bytes:
    """Return an export as protobuf; ids are hex in OTLP/JSON and base64 in protobuf's own JSON."""

    def ids(node: Any) -> Any:
        if isinstance(node, list):
            return [ids(each) for each in node]
        if not isinstance(node, dict):
            return node
        return {k: binary(v) if k in ("traceId", "spanId") else ids(v) for k, v in node.items()}

    def binary(hexadecimal: str) -> str:
        return base64.b64encode(bytes.fromhex(hexadecimal)).decode()

    kind = ExportLogsServiceRequest if "resourceLogs" in export else ExportTraceServiceRequest
    return bytes(json_format.ParseDict(ids(export), kind()).SerializeToString())


async def post(
    gate: Running, path: str, export: Any, media_type: str, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """Return status, what the answer says, and its headers; the answer has the type of the question."""
    if isinstance(export, dict):
        export = json.dumps(export).encode() if media_type == JSON else packed(export)
    headers = {"Content-Type": media_type} | {key.replace("_", "-"): each for key, each in headers.items()}
    async with gate.http.post(path, data=io.BytesIO(export), headers=headers) as response:
        assert response.content_type == media_type
        raw = await response.read()
        if media_type == JSON:
            return response.status, json.loads(raw), dict(response.headers)
        if response.status != 200:
            return response.status, status_of(raw), dict(response.headers)
        kind = ExportLogsServiceResponse if "logs" in path else ExportTraceServiceResponse
        return 200, json_format.MessageToDict(kind.FromString(raw)), dict(response.headers)


def status_of(raw: bytes) -> dict[str, Any]:
    """Read a `google.rpc.Status`: a code (field 1, varint) and a message (field 2, bytes)."""
    assert raw[0] == 0x08
    assert raw[2] == 0x12
    length, at, shift = 0, 3, 0
    while True:
        length |= (raw[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if raw[at - 1] < 0x80:
            break
    assert len(raw) == at + length
    return {"code": raw[1], "message": raw[at:].decode()}


async def published(gate: Running) -> list[Event]:
    return [codec.decode(Event, value) for value in await gate.sent(topics.EVENTS)]


def counted(gate: Running, outcome: str) -> float | None:
    return gate.telemetry.registry.get_sample_value("weir_gate_spans_total", {"outcome": outcome})


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Running]:
    async with Running(tmp_path, Keys(None)) as running:
        yield running


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
@pytest.mark.parametrize("path", ["/v1/traces", "/api/public/otel/v1/traces"])
async def test_a_generation_becomes_its_prompt_and_its_answer(
    gate: Running, path: str, media_type: str
) -> None:
    assert (await post(gate, path, traces(span(CHAT)), media_type))[:2] == (200, {})
    prompt, completion = await published(gate)
    assert (prompt.text, completion.text, completion.prompt) == ("Hi", "Ho", "Hi")
    assert (prompt.app, prompt.model, prompt.prompt_tokens) == ("shop", "gpt", 7)
    assert prompt.event_id == f"{TRACE}-{1:016x}-prompt"
    assert completion.latency_ms == 5
    assert counted(gate, "published") == 1


async def test_protobuf_json_and_a_retried_export_give_the_same_events(gate: Running) -> None:
    upper = traces(span(CHAT, traceId=TRACE.upper()))
    for export, media_type in ((traces(span(CHAT)), PROTOBUF), (traces(span(CHAT)), JSON), (upper, JSON)):
        await post(gate, "/v1/traces", export, media_type)
    events = await published(gate)
    assert len(events) == 6
    assert events[:2] == events[2:4] == events[4:]


async def test_every_span_is_counted_by_what_became_of_it(gate: Running) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.result": "x"}
    plain = {"http.request.method": "GET"}
    spans = [span(each, n) for n, each in enumerate([AGENT, CHAT, tool, plain, SILENT], 1)]
    assert (await post(gate, "/v1/traces", traces(*spans), PROTOBUF))[:2] == (200, {})
    assert [event.text for event in await published(gate)] == ["Hi", "Ho"]
    found = {
        each: counted(gate, each) for each in ("published", "wrapper", "other", "without_text", "rejected")
    }
    assert found == {"published": 1, "wrapper": 1, "other": 2, "without_text": 1, "rejected": None}


async def test_a_call_without_its_texts_is_said_once(
    gate: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        await post(gate, "/v1/traces", traces(span(SILENT)), PROTOBUF)
    assert capsys.readouterr().out.count("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true") == 1


BAD = [
    (span(CHAT, 2, spanId=""), "spanId"),
    (span(CHAT, 2, traceId="0" * 32), "traceId"),
    (span(CHAT, 2, startTimeUnixNano="1000000000000000", endTimeUnixNano="0"), "timestamp_too_old"),
    (span(CHAT | {"gen_ai.input.messages": "x" * (1 << 20)}, 2), "too_large"),
]


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
@pytest.mark.parametrize(("bad", "reason"), BAD, ids=[reason for _, reason in BAD])
async def test_a_bad_span_is_refused_by_its_reason_and_takes_no_other_with_it(
    gate: Running, bad: dict[str, Any], reason: str, media_type: str
) -> None:
    status, answer, _ = await post(gate, "/v1/traces", traces(span(CHAT), bad, span(CHAT, 3)), media_type)
    assert (status, answer["partialSuccess"]["rejectedSpans"]) == (200, "1")
    assert reason in answer["partialSuccess"]["errorMessage"]
    assert len(answer["partialSuccess"]["errorMessage"]) < 300
    assert [event.text for event in await published(gate)] == ["Hi", "Ho"] * 2
    assert counted(gate, "rejected") == 1


@pytest.mark.parametrize(
    "bad",
    [
        span(CHAT, 2, startTimeUnixNano="soon"),
        span(CHAT, 2, startTimeUnixNano=10**40),
        span(CHAT, 2, attributes=5),
        span(CHAT, 2, attributes=[5]),
        span(CHAT, 2, attributes=[{"key": ["a"], "value": {}}]),
        span(CHAT, 2, events=[None]),
        5,
        None,
    ],
)
async def test_a_span_of_another_shape_takes_no_other_with_it(gate: Running, bad: Any) -> None:
    status, answer, _ = await post(gate, "/v1/traces", traces(span(CHAT), bad, span(CHAT, 3)), JSON)
    assert (status, answer["partialSuccess"]["rejectedSpans"]) == (200, "1")
    assert len(await published(gate)) == 4


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
async def test_log_records_of_a_call_are_read_together(gate: Running, media_type: str) -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": "Ho"}}
    details = record(
        "gen_ai.client.inference.operation.details", "", 2, attributes=pairs(CHAT), spanId="", traceId=""
    )
    export = logs(
        record("gen_ai.user.message", {"content": "Hi"}),
        record("gen_ai.choice", choice),
        record("app.started", "x"),
        details,
    )
    assert (await post(gate, "/v1/logs", export, media_type))[:2] == (200, {})
    events = await published(gate)
    assert sorted(event.text for event in events) == ["Hi", "Hi", "Ho", "Ho"]
    assert len({event.event_id for event in events}) == 4
    assert (counted(gate, "published"), counted(gate, "other")) == (3, 1)
    assert {event.span_id for event in events} >= {f"{1:016x}"}


async def test_refused_log_records_are_counted_one_by_one(gate: Running) -> None:
    old = [record("gen_ai.user.message", {"content": each}, timeUnixNano="1000000000") for each in "ab"]
    status, answer, _ = await post(gate, "/v1/logs", logs(*old), PROTOBUF)
    assert (status, answer["partialSuccess"]["rejectedLogRecords"]) == (200, "2")


async def test_what_is_sent_is_bounded_after_it_is_unpacked(
    gate: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = gzip.compress(packed(traces(span(CHAT))))
    assert (await post(gate, "/v1/traces", fits, PROTOBUF, Content_Encoding="gzip"))[0] == 200
    bomb = gzip.compress(bytes(gate.settings.gate_max_bytes + 1))
    status, error, _ = await post(gate, "/v1/traces", bomb, PROTOBUF, Content_Encoding="gzip")
    assert (status, error["code"]) == (413, 3)
    assert "WEIR_GATE_MAX_BYTES" in error["message"]
    many = packed(traces(*[{}] * 3))
    monkeypatch.setattr(otlp, "MOST_SPANS", 3)
    assert (await post(gate, "/v1/traces", many, PROTOBUF))[0] == 200
    monkeypatch.setattr(otlp, "MOST_SPANS", 2)
    status, error, _ = await post(gate, "/v1/traces", many, PROTOBUF)
    assert (status, "smaller batches" in error["message"]) == (413, True)
    assert len(await published(gate)) == 2


@pytest.mark.parametrize(
    ("media_type", "raw"),
    [(PROTOBUF, b"\xff\xff"), (JSON, b"{"), (JSON, b"[]"), (JSON, b""), (JSON, b'{"resourceSpans": 5}'),
     (JSON, b'{"resourceSpans": [{"scopeSpans": ' + b"[" * 100_000), ("text/plain", b"{}")],
)  # fmt: skip
async def test_what_is_no_export_is_a_status_with_what_is_wrong(
    gate: Running, media_type: str, raw: bytes
) -> None:
    async with gate.http.post("/v1/traces", data=raw, headers={"Content-Type": media_type}) as response:
        assert response.status == 400
        body = await response.read()
        error = status_of(body) if media_type == PROTOBUF else json.loads(body)
    assert error["code"] == 3
    assert 0 < len(error["message"]) < 200


@pytest.mark.parametrize(
    ("encoding", "refused"), [("gzip", 400), ("deflate", 400), ("zstd", 400), ("nonsense", 415)]
)
async def test_what_cannot_be_unpacked_is_refused(
    gate: Running, caplog: pytest.LogCaptureFixture, encoding: str, refused: int
) -> None:
    for path, status in (("/v1/traces", refused), ("/v1/check", refused), ("/v1/nothing", 404)):
        headers = {"Content-Encoding": encoding, "Content-Type": JSON}
        async with gate.http.post(path, data=b"\x01nothing", headers=headers) as response:
            assert response.status == status
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


async def test_a_full_outbox_and_a_long_queue_ask_to_come_again(
    gate: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.sender.failures = 10_000
    gate.outbox._max_bytes = 10
    status, error, headers = await post(gate, "/v1/traces", traces(span(CHAT)), PROTOBUF)
    assert (status, error["code"]) == (503, 14)
    assert int(headers["Retry-After"]) > 0
    monkeypatch.setattr(otlp, "MOST_WAITING", 0)
    status, error, headers = await post(gate, "/v1/traces", traces(span(CHAT)), JSON)
    assert (status, error["code"]) == (429, 8)
    assert int(headers["Retry-After"]) > 0
    gate.sender.failures = 0
    assert await published(gate) == []


async def test_keys_bind_app_and_tenant_and_come_as_exporters_send_them(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{hash_of('key-1')} app=mine tenant=acme\n{hash_of('key-2')}\n")
    async with Running(tmp_path, Keys.load(file)) as gate:
        export = traces(span(CHAT), service="bank")
        status, error, headers = await post(gate, "/v1/traces", export, PROTOBUF)
        assert (status, error["code"], headers["WWW-Authenticate"]) == (401, 16, "Bearer")
        for given in ("Basic x", "Basic " + base64.b64encode(b"key-1").decode(), "Bearer no"):
            assert (await post(gate, "/v1/traces", export, JSON, Authorization=given))[0] == 401
        basic = "Basic " + base64.b64encode(b"pk-any:key-1").decode()
        assert (await post(gate, "/api/public/otel/v1/traces", export, PROTOBUF, Authorization=basic))[
            0
        ] == 200
        assert (await post(gate, "/v1/traces", export, PROTOBUF, x_api_key="key-2"))[0] == 200
        events = await published(gate)
        assert [(each.app, each.tenant) for each in events[::2]] == [("mine", "acme"), ("bank", "")]
        async with gate.http.post(
            "/v1/check", json={"text": "x"}, headers={"Authorization": basic}
        ) as response:
            assert response.status == 401, "a browser sends it by itself, so no other endpoint takes it"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/traces/v1/traces", "/v1/traces"),
        ("/v1/traces/v1/logs", "/v1/logs"),
        ("/v1/traces/", "/v1/traces"),
        ("/api/public/otel/api/public/otel/v1/traces", "LANGFUSE_BASE_URL"),
        ("/", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("/v1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ("/v1/metrics", "OTEL_METRICS_EXPORTER=none"),
    ],
)
async def test_an_exporter_at_a_path_that_is_none_is_told_where_to_send(
    gate: Running, path: str, said: str
) -> None:
    agents = {PROTOBUF: "python-requests/2", JSON: "OTel-OTLP-Exporter-JavaScript/0.2"}
    for media_type, agent in agents.items():
        status, error, _ = await post(gate, path, traces(span(CHAT)), media_type, User_Agent=agent)
        assert (status, error["code"]) == (404, 5)
        assert said in error["message"]
    assert not await published(gate)


async def test_a_key_comes_as_a_password_to_a_path_that_is_none_too(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{hash_of('key-1')}\n")
    basic = "Basic " + base64.b64encode(b"pk-any:key-1").decode()
    async with Running(tmp_path, Keys.load(tmp_path / "keys")) as gate:
        for path, status in (("/v1/traces/v1/traces", 404), ("/v1/events", 401)):
            async with gate.http.post(path, data=b"", headers={"Authorization": basic}) as response:
                assert response.status == status


async def test_a_service_without_a_name_is_the_app_of_the_header(gate: Running) -> None:
    for service in ("unknown_service:python", "shop"):
        await post(gate, "/v1/traces", traces(span(CHAT), service=service), PROTOBUF, X_Weir_App="mine")
    assert [event.app for event in await published(gate)] == ["mine"] * 2 + ["shop"] * 2


async def test_a_large_export_holds_nobody_up(gate: Running) -> None:
    await gate.ask("/v1/check", {"text": "warm"})
    large = packed(traces(*(span(CHAT, number + 1) for number in range(2000))))
    work = asyncio.create_task(post(gate, "/v1/traces", large, PROTOBUF))
    # In CPU, of the loop at one go and of all: what other processes take is nobody's fault here.
    started, longest = time.process_time(), 0.0
    while not work.done():
        began = time.thread_time()
        await asyncio.sleep(0.001)
        longest = max(longest, time.thread_time() - began)
    assert (await work)[0] == 200
    assert longest < 0.4 * (time.process_time() - started)
    assert len(await published(gate)) == 4000


KEYS = [
    *("resourceSpans", "resource", "attributes", "scopeSpans", "spans", "traceId", "spanId", "name"),
    *("startTimeUnixNano", "endTimeUnixNano", "events", "key", "value", "intValue", "stringValue", "body"),
    *("arrayValue", "kvlistValue", "values", "resourceLogs", "scopeLogs", "logRecords", "eventName"),
    "timeUnixNano",
]
NAMES = ("gen_ai.choice", "gen_ai.user.message", *CHAT, TRACE, SPAN, "chat", "gen_ai.input.messages")
leaves = json_values | st.sampled_from(NAMES)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=25,
)
odd_calls = st.dictionaries(st.sampled_from([*CHAT, "input.value", "llm.cost.total"]), json_values).map(
    lambda given: traces(span({}, attributes=[{"key": k, "value": {"x": v}} for k, v in given.items()]))
)
mutated = st.tuples(st.integers(0, 500), st.binary(max_size=8)).map(
    lambda cut: packed(traces(span(CHAT)))[: cut[0]] + cut[1] + packed(traces(span(CHAT)))[cut[0] :]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(list(otlp.PATHS)),
    st.sampled_from([PROTOBUF, JSON]),
    st.binary(max_size=60) | mutated | odd_calls | trees | st.dictionaries(st.sampled_from(KEYS), trees),
)
async def test_nothing_that_is_sent_ends_as_a_fault_of_ours(
    gate: Running, caplog: pytest.LogCaptureFixture, path: str, media_type: str, body: Any
) -> None:
    with caplog.at_level(logging.ERROR):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with gate.http.post(path, data=data, headers={"Content-Type": media_type}) as response:
            assert response.status < 500, data
            assert response.content_type == media_type
    assert not caplog.records
