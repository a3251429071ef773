"""Scores that go out: what they say, and that an endpoint which fails holds up nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import ClientSession, web
from aiokafka import AIOKafkaProducer
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from schemas import codec, topics
from schemas.events import Decision, Event, RuleHit, ScoredEvent
from streams.gate import evaluations_out
from streams.gate.evaluations import export_of
from streams.gate.evaluations_out import EvaluationsOut
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def scored(event_id: str, trace_id: str = TRACE) -> ScoredEvent:
    event = Event(
        event_id=event_id, app="shop", kind="completion", text="my secret text", conversation_id="talk",
        trace_id=trace_id, span_id=SPAN,
    )  # fmt: skip
    hit = RuleHit(
        rule="toxicity-block", action="block", severity="high", mode="enforce", metric="toxicity", score=0.9
    )
    decision = Decision(
        decision_id="d1", event_id=event_id, app="shop", kind="completion", verdict="block", action="block",
        severity="high", rules=(hit,), failed=("pii",), policy_version="1", policy_hash="h",
        detectors_hash="h", decided_at=1_700_000_000_123, latency_ms=1.0,
    )  # fmt: skip
    scores = {"toxicity": 0.9, "injection": 0.01}
    return ScoredEvent(event=event, scores=scores, decision=decision, timestamp=1)


def attributes(record: LogRecord) -> dict[str, str | float]:
    return {each.key: each.value.string_value or each.value.double_value for each in record.attributes}


def test_a_score_is_an_evaluation_of_the_span_it_judges_and_has_no_text() -> None:
    [resource] = export_of([scored("e1"), scored("e2")]).resource_logs
    assert [each.value.string_value for each in resource.resource.attributes] == ["shop"]
    records = resource.scope_logs[0].log_records
    assert {record.event_name for record in records} == {"gen_ai.evaluation.result"}
    assert {(record.trace_id.hex(), record.span_id.hex()) for record in records} == {(TRACE, SPAN)}
    assert {record.time_unix_nano for record in records} == {1_700_000_000_123_000_000}
    told = {found["gen_ai.evaluation.name"]: found for found in map(attributes, records[:4])}
    assert list(told) == ["toxicity", "injection", "pii", "weir.decision"]
    assert told["toxicity"]["gen_ai.evaluation.score.value"] == 0.9
    assert told["toxicity"]["gen_ai.evaluation.score.label"] == "block"
    assert "gen_ai.evaluation.score.label" not in told["injection"]
    assert told["pii"]["error.type"] == "failed"
    assert told["weir.decision"]["gen_ai.evaluation.explanation"] == "toxicity-block"
    assert told["injection"]["weir.event.id"] == "e1"
    assert b"secret" not in export_of([scored("e1")]).SerializeToString()


@pytest.mark.parametrize("trace_id", ["", "request 7", "0af7"])
def test_ids_that_are_none_of_opentelemetry_are_left_out(trace_id: str) -> None:
    record = export_of([scored("e1", trace_id)]).resource_logs[0].scope_logs[0].log_records[0]
    assert (record.trace_id, record.span_id.hex()) == (b"", SPAN)


@pytest.mark.parametrize("decided_at", [-1, 2**63 - 1])
def test_a_clock_may_say_anything(decided_at: int) -> None:
    item = scored("e1")
    item = msgspec.structs.replace(
        item, decision=msgspec.structs.replace(item.decision, decided_at=decided_at)
    )
    assert len(export_of([item]).resource_logs[0].scope_logs[0].log_records) == 4


class Backend:
    """An OTLP endpoint that answers as it is told, in the end with 200."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self.answered: list[tuple[int, set[str]]] = []
        self.keys: set[str] = set()

    async def answer(self, request: web.Request) -> web.Response:
        self.keys.add(request.headers.get("api-key", ""))
        export = ExportLogsServiceRequest.FromString(await request.read())
        records = export.resource_logs[0].scope_logs[0].log_records
        status = self._statuses.pop(0) if self._statuses else 200
        self.answered.append((status, {str(attributes(each)["weir.event.id"]) for each in records}))
        return web.Response(status=status)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/v1/logs", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1/logs"
        finally:
            await runner.cleanup()


@pytest.mark.kafka
async def test_scores_go_out_also_after_an_endpoint_that_failed(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluations_out, "PAUSE_S", (0.01, 0.02))
    backend, telemetry = Backend(503, 503, 400), Telemetry("gate")
    settings = Settings(kafka=broker, _env_file=None)
    async with (
        backend.listening() as url,
        AIOKafkaProducer(bootstrap_servers=broker) as producer,
    ):
        out = EvaluationsOut(settings, url, "api-key=a%20b", telemetry)
        running = asyncio.create_task(out.run())
        number = 0
        # It reads what is published from when it has joined on, so what goes first may not be seen.
        while sum(status == 200 for status, _ in backend.answered) < 2:
            number += 1
            await producer.send_and_wait(topics.SCORES, codec.encode(scored(f"e{number}")))
            await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    (_, first), (_, again), (_, refused), (_, later) = backend.answered[:4]
    assert first == again == refused, "503 is tried again, 400 is not"
    assert not first & later
    assert backend.keys == {"a b"}
    counted = telemetry.registry.get_sample_value
    assert counted("weir_gate_evaluations_total", {"outcome": "refused"}) == len(first)
    assert (counted("weir_gate_evaluations_total", {"outcome": "sent"}) or 0) >= 1


async def test_what_an_endpoint_does_not_take_is_dropped_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluations_out, "PAUSE_S", (0.01, 0.02))
    monkeypatch.setattr(evaluations_out, "PATIENCE_S", 0.1)
    out = EvaluationsOut(Settings(_env_file=None), "http://127.0.0.1:1/v1/logs", "", Telemetry("gate"))
    async with ClientSession() as http:
        assert await out._send(http, b"") == "dropped"
