"""Exports of OTLP, protobuf or JSON, to the one form that is read: that of OTLP/JSON."""

import base64
import enum
from collections.abc import Iterable, Iterator
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from schemas.mending import parse
from schemas.rejection import Reason, Rejected

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"


class Signal(enum.StrEnum):
    """What an export holds."""

    TRACES = "traces"
    LOGS = "logs"


def export_of(raw: bytes, signal: Signal, media_type: str) -> dict[str, Any]:
    """Return an export in the form of OTLP/JSON; what is made of protobuf may be iterated once.

    Raises `Rejected` for what is not such an export.
    """
    if media_type == PROTOBUF:
        return _from_protobuf(raw, signal)
    try:
        found = parse(raw)
    except ValueError:
        raise Rejected(Reason.INVALID_JSON, "expected an export as OTLP/JSON") from None
    if not isinstance(found, dict):
        raise Rejected(Reason.NOT_AN_OBJECT, "expected an export as OTLP/JSON")
    return found


def _from_protobuf(raw: bytes, signal: Signal) -> dict[str, Any]:
    try:
        if signal is Signal.LOGS:
            return {"resourceLogs": _resource_logs(ExportLogsServiceRequest.FromString(raw))}
        return {"resourceSpans": _resource_spans(ExportTraceServiceRequest.FromString(raw))}
    except DecodeError:
        raise Rejected(Reason.INVALID_VALUE, f"not the protobuf of an export of {signal}") from None


# Iterators, since an empty span or attribute is two bytes on the wire and a hundred times that in Python.
def _resource_spans(request: ExportTraceServiceRequest) -> Iterator[dict[str, Any]]:
    for each in request.resource_spans:
        scopes = ({"spans": map(_span, scope.spans)} for scope in each.scope_spans)
        yield {"resource": {"attributes": _pairs(each.resource.attributes)}, "scopeSpans": scopes}


def _resource_logs(request: ExportLogsServiceRequest) -> Iterator[dict[str, Any]]:
    for each in request.resource_logs:
        scopes = ({"logRecords": map(_record, scope.log_records)} for scope in each.scope_logs)
        yield {"resource": {"attributes": _pairs(each.resource.attributes)}, "scopeLogs": scopes}


def _span(span: Span) -> dict[str, Any]:
    return {
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "startTimeUnixNano": span.start_time_unix_nano,
        "endTimeUnixNano": span.end_time_unix_nano,
        "attributes": _pairs(span.attributes),
        "events": ({"name": each.name, "attributes": _pairs(each.attributes)} for each in span.events),
    }


def _record(record: LogRecord) -> dict[str, Any]:
    return {
        "traceId": record.trace_id.hex(),
        "spanId": record.span_id.hex(),
        "timeUnixNano": record.time_unix_nano,
        "observedTimeUnixNano": record.observed_time_unix_nano,
        "eventName": record.event_name,
        "attributes": _pairs(record.attributes),
        "body": _value(record.body),
    }


def _pairs(pairs: Iterable[KeyValue]) -> Iterator[dict[str, Any]]:
    return ({"key": pair.key, "value": _value(pair.value)} for pair in pairs)


def _value(value: AnyValue) -> dict[str, Any]:
    match value.WhichOneof("value"):
        case "array_value":
            return {"arrayValue": {"values": map(_value, value.array_value.values)}}
        case "kvlist_value":
            return {"kvlistValue": {"values": _pairs(value.kvlist_value.values)}}
        case "bytes_value":
            return {"bytesValue": base64.b64encode(value.bytes_value).decode()}
        case "int_value":
            return {"intValue": value.int_value}
        case "string_value" | "bool_value" | "double_value" as kind:
            return {kind.replace("_v", "V"): getattr(value, kind)}
        case _:
            return {}
