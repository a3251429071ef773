"""Lines of exported OpenTelemetry spans, in the three notations that exporters write, to events."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from schemas.events import Event
from schemas.opentelemetry import events_from_span
from schemas.rejection import Reason, Rejected


def events_from_line(line: bytes) -> list[Event]:
    """Return the prompts and completions of the spans in one line of JSON; none where they have no content.

    Read are the Collector's file exporter (OTLP/JSON: `resourceSpans`), the console exporter of the
    SDKs on one line (`context`, `attributes`), and a flat object with `trace_id`, `span_id`, `attributes`
    and, where known, `start_time_unix_nano`, `end_time_unix_nano` and `resource`.

    Raises:
        Rejected: the line is none of these.

    """
    try:
        found = msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Rejected(
            Reason.INVALID_JSON, "expected the JSON of one span, or of one export, per line"
        ) from None
    if not isinstance(found, dict):
        raise Rejected(Reason.NOT_AN_OBJECT, "expected a JSON object")
    try:
        spans = list(_otlp(found)) if "resourceSpans" in found else [_flat(found)]
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise Rejected(Reason.WRONG_TYPE, "not a span as OpenTelemetry exports it") from None
    return [_timed(event) for span in spans for event in span]


def _timed(event: Event) -> Event:
    """Leave out the timestamp of a span that had none: then Kafka's counts."""
    return msgspec.structs.replace(event, timestamp=None) if event.timestamp == 0 else event


def _otlp(export: Mapping[str, Any]) -> Iterator[list[Event]]:
    for of_resource in export["resourceSpans"]:
        resource = _attributes(of_resource.get("resource", {}).get("attributes", []))
        for of_scope in of_resource.get("scopeSpans", []):
            for span in of_scope.get("spans", []):
                start = int(span.get("startTimeUnixNano", 0))
                yield events_from_span(
                    _attributes(span.get("attributes", [])),
                    trace_id=str(span["traceId"]) if "traceId" in span else _missing("traceId"),
                    span_id=str(span["spanId"]) if "spanId" in span else _missing("spanId"),
                    start_ns=start,
                    end_ns=int(span.get("endTimeUnixNano", start)),
                    resource=resource,
                )


def _attributes(pairs: list[Mapping[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: _value(pair.get("value", {})) for pair in pairs if "key" in pair}


def _value(value: Mapping[str, Any]) -> Any:
    """Unwrap an AnyValue of OTLP/JSON, in which 64-bit integers are texts."""
    for kind, content in value.items():
        if kind == "intValue":
            return int(content)
        if kind == "arrayValue":
            return [_value(item) for item in content.get("values", [])]
        if kind == "kvlistValue":
            return _attributes(content.get("values", []))
        return content
    return None


def _flat(span: Mapping[str, Any]) -> list[Event]:
    context = span.get("context") or span
    attributes = span.get("attributes")
    if not isinstance(attributes, Mapping):
        raise Rejected(Reason.MISSING_FIELD, "required field `attributes` is missing")
    resource = span.get("resource") or {}
    start = _nanoseconds(span, "start_time")
    return events_from_span(
        attributes,
        trace_id=_identifier(context, "trace_id"),
        span_id=_identifier(context, "span_id"),
        start_ns=start,
        end_ns=_nanoseconds(span, "end_time") or start,
        resource=resource.get("attributes", resource),
    )


def _identifier(context: Mapping[str, Any], name: str) -> str:
    value = context.get(name)
    return str(value).removeprefix("0x") if value else _missing(name)


def _missing(name: str) -> str:
    raise Rejected(Reason.MISSING_FIELD, f"required field `{name}` is missing")


def _nanoseconds(span: Mapping[str, Any], name: str) -> int:
    if (given := span.get(f"{name}_unix_nano")) is not None:
        return int(given)
    if (moment := span.get(name)) is None:
        return 0
    parsed = dt.datetime.fromisoformat(str(moment))
    since = (parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)) - dt.datetime(
        1970, 1, 1, tzinfo=dt.UTC
    )
    return since // dt.timedelta(microseconds=1) * 1000
