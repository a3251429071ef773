"""`POST /v1/traces` and `/v1/logs`: what exporters of OpenTelemetry send, to events for the guard.

Source: https://github.com/open-telemetry/opentelemetry-proto/blob/main/docs/specification.md
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
import structlog
from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from schemas import codec
from schemas.events import Event
from schemas.otel.kinds import SpanKind
from schemas.rejection import Reason, Rejected
from streams.gate.batcher import BusyError
from streams.gate.keys import Caller
from streams.gate.outbox import Parcel
from streams.gate.service import Service
from streams.ingest.otlp import JSON, PROTOBUF, Signal, export_of
from streams.ingest.spans import ExportedSpan, spans_from_export
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)
PATHS: Final = {
    "/v1/traces": Signal.TRACES,
    "/v1/logs": Signal.LOGS,
    "/api/public/otel/v1/traces": Signal.TRACES,
}
"""The last one is where Langfuse's SDKs send to."""
_ENDINGS: Final = ("/v1/traces", "/v1/logs", "/v1/metrics")
_AGENTS: Final = ("otel-otlp-exporter", "opentelemetry")
"""How the names of exporters and of the Collector begin, as they send them."""
MOST_WAITING: Final = 32
"""Exports that wait to be read; each may be as large as a body may be."""
MOST_SPANS: Final = 50_000
"""Spans or log records of one export: SDKs send 512, the Collector 8,192; an empty one is two bytes."""
BUSY_S: Final = 2.0
_CODES: Final = {401: 16, 403: 7, 404: 5, 429: 8, 503: 14}
_INVALID_ARGUMENT: Final = 3
_TOLD_REASONS: Final = 3


class _Taken(NamedTuple):
    """What became of an export."""

    parcels: list[Parcel]
    outcomes: Counter[str]
    reasons: Counter[str]
    switches: set[str]


class Intake:
    """Takes exports, one at a time, in a thread: to read a large one must not hold up those who wait."""

    def __init__(self, service: Service, telemetry: Telemetry) -> None:
        self._service = service
        self._telemetry = telemetry
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0
        self._switches: set[str] = set()

    async def take(
        self, signal: Signal, media_type: str, raw: bytes, caller: Caller, app: str
    ) -> web.Response:
        """Publish the generations in an export; return what its exporter reads.

        Args:
            signal: what the export holds.
            media_type: of the export and of the answer.
            raw: the export, unpacked.
            caller: whose key it is.
            app: of spans whose resource has no `service.name`.

        Raises:
            Rejected: it is no export.
            BusyError: too many wait; `OutboxFullError`: too much does.

        """
        if self._waiting >= MOST_WAITING:
            raise BusyError(BUSY_S)
        self._waiting += 1
        try:
            async with self._turn:
                taken = await asyncio.to_thread(self._read, signal, media_type, raw, caller, app)
        finally:
            self._waiting -= 1
        self._service.send(taken.parcels)
        for outcome, count in taken.outcomes.items():
            self._telemetry.count(catalogue.GATE_SPANS, count, outcome)
        for switch in taken.switches - self._switches:
            log.warning("calls of models come without their texts", mend=switch)
        self._switches |= taken.switches
        return _answer(_response(signal, taken), media_type)

    def _read(self, signal: Signal, media_type: str, raw: bytes, caller: Caller, app: str) -> _Taken:
        taken = _Taken([], Counter(), Counter(), set())
        for number, span in enumerate(spans_from_export(export_of(raw, signal, media_type))):
            if number == MOST_SPANS:
                raise Rejected(Reason.TOO_LARGE, f"more than {MOST_SPANS} {signal}: send smaller batches")
            try:
                parcels = self._parcels(span, caller, app)
            except Rejected as rejected:
                taken.outcomes["rejected"] += span.records
                taken.reasons[f"{rejected.reason}: {rejected.detail}"] += span.records
                continue
            taken.parcels.extend(parcels)
            taken.outcomes[_outcome(span)] += span.records
            if span.switch:
                taken.switches.add(span.switch)
        return taken

    def _parcels(self, span: ExportedSpan, caller: Caller, app: str) -> list[Parcel]:
        if span.problem is not None:
            raise span.problem
        if span.kind is not SpanKind.GENERATION:
            return []
        return [self._service.parcel(codec.encode(_named(event, app)), caller) for event in span.events]


def _named(event: Event, app: str) -> Event:
    """Return the event with `app` where its service has no name: OpenTelemetry then makes up one."""
    nameless = event.app.startswith("unknown_service") and app
    return msgspec.structs.replace(event, app=app) if nameless else event


def _outcome(span: ExportedSpan) -> str:
    if span.kind is SpanKind.GENERATION:
        return "published" if span.events else "without_text"
    return "wrapper" if span.kind is SpanKind.WRAPPER else "other"


def _response(signal: Signal, taken: _Taken) -> Message:
    """Return the response; `partial_success` is in it only where something is refused."""
    response = ExportLogsServiceResponse() if signal is Signal.LOGS else ExportTraceServiceResponse()
    if refused := taken.outcomes["rejected"]:
        partial = response.partial_success
        setattr(partial, "rejected_log_records" if signal is Signal.LOGS else "rejected_spans", refused)
        told = (f"{count} of {reason}" for reason, count in taken.reasons.most_common(_TOLD_REASONS))
        partial.error_message = "; ".join(told)
    return response


def _answer(response: Message, media_type: str) -> web.Response:
    if media_type == PROTOBUF:
        return web.Response(body=response.SerializeToString(), content_type=PROTOBUF)
    return web.Response(body=json_format.MessageToJson(response, indent=None).encode(), content_type=JSON)


def readable(media_type: str) -> None:
    """Raise `Rejected` for the media type of no export."""
    if media_type not in (PROTOBUF, JSON):
        raise Rejected(Reason.INVALID_VALUE, f"Content-Type: expected {PROTOBUF} or {JSON}")


def of_exporter(path: str, headers: Mapping[str, str]) -> bool:
    """Return whether an exporter asks, by the path it was given or by what it says of itself."""
    media_type, agent = headers.get("Content-Type", ""), headers.get("User-Agent", "").lower()
    return path.rstrip("/").endswith(_ENDINGS) or media_type == PROTOBUF or agent.startswith(_AGENTS)


def where_to(path: str) -> str:
    """Return what an exporter is told that asks at a path that is none."""
    if path.rstrip("/").endswith("/v1/metrics"):
        return "weir takes traces and logs, and no metrics: set OTEL_METRICS_EXPORTER=none"
    return (
        "no such path: traces go to /v1/traces and logs to /v1/logs. OTEL_EXPORTER_OTLP_ENDPOINT and "
        "LANGFUSE_BASE_URL are the address alone, without a path; OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, "
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT and the `endpoint` of an exporter made in code have it, once"
    )


def failure(status: int, message: str, media_type: str, headers: Mapping[str, str]) -> web.Response:
    """Return an error as exporters read it: a `google.rpc.Status`."""
    code = _CODES.get(status, _INVALID_ARGUMENT)
    if media_type == PROTOBUF:
        text = message.encode()
        body = bytes((0x08, code, 0x12)) + _varint(len(text)) + text
        return web.Response(body=body, content_type=PROTOBUF, status=status, headers=headers)
    body = msgspec.json.encode({"code": code, "message": message})
    return web.Response(body=body, content_type=JSON, status=status, headers=headers)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))
