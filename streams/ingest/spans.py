"""Lines of exported OpenTelemetry spans and log records, in the notations that exporters write, to events."""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from schemas.events import Event
from schemas.mending import parse
from schemas.otel.content import SpanEvent
from schemas.otel.kinds import SpanKind, content_switch, has_reasoning, is_model_call, kind_of
from schemas.otel.spans import events_from_span
from schemas.rejection import Reason, Rejected

_DETAILS: Final = "gen_ai.client.inference.operation.details"
_MALFORMED: Final = (AttributeError, TypeError, ValueError, OverflowError, RecursionError)
_MOST_NS: Final = 2**64 - 1


class ExportedSpan(NamedTuple):
    """What was found in one span, or in the log records of one."""

    kind: SpanKind
    trace_id: str = ""
    events: tuple[Event, ...] = ()
    """Its prompt and its completion, as far as it has their text."""
    switch: str = ""
    """Of a generation without a text: the setting that makes its instrumentation write it."""
    reasoning: bool = False
    """It holds reasoning, which is left out."""
    problem: Rejected | None = None
    """Why it could not be read."""
    records: int = 1
    """Log records that it was read from; 1 for a span."""


def spans_from_line(line: bytes) -> list[ExportedSpan]:
    """Return what is in the spans and log records of one line of JSON.

    Read are the Collector's file exporter (OTLP/JSON: `resourceSpans`, `resourceLogs`), the console
    exporters of the SDKs on one line (`context`, `attributes`), and a flat object with `trace_id`, `span_id`,
    `attributes` and, where known, `start_time_unix_nano`, `end_time_unix_nano`, `events` and `resource`; or a
    list of these.

    Raises:
        Rejected: the line is none of these.

    """
    try:
        found = parse(line.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        raise Rejected(
            Reason.INVALID_JSON, "expected the JSON of one span, or of one export, per line"
        ) from None
    entries = found if isinstance(found, list) else [found]
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        raise Rejected(Reason.NOT_AN_OBJECT, "expected a JSON object")
    return [span for entry in entries for span in _entry(entry)]


def _entry(entry: dict[str, Any]) -> list[ExportedSpan]:
    try:
        if "resourceSpans" in entry or "resourceLogs" in entry:
            return list(spans_from_export(entry))
        if "resourceMetrics" in entry:
            return [ExportedSpan(SpanKind.OTHER)]
        return [_flat_log(entry) if "body" in entry and "attributes" in entry else _flat(entry)]
    except _MALFORMED:
        raise _malformed() from None


def spans_from_export(export: Mapping[str, Any]) -> Iterator[ExportedSpan]:
    """Yield what is in the spans and log records of an export in the form of OTLP/JSON.

    Raises `Rejected` where the export has not that form; a span that has not it has a `problem`.
    """
    try:
        yield from _otlp_spans(export)
        yield from _otlp_logs(export)
    except _MALFORMED:
        raise _malformed() from None


def _malformed() -> Rejected:
    return Rejected(Reason.WRONG_TYPE, "not a span as OpenTelemetry exports it")


def _read(read: Callable[[], ExportedSpan], records: int = 1) -> ExportedSpan:
    """Return what is read, or what is wrong with it: one bad span is no reason to refuse an export."""
    try:
        return read()
    except Rejected as rejected:
        problem = rejected
    except _MALFORMED:
        problem = _malformed()
    return ExportedSpan(SpanKind.OTHER, problem=problem, records=records)


def _span(
    attributes: Mapping[str, Any],
    resource: Mapping[str, Any],
    ids: tuple[str, str],
    times: tuple[int, int],
    events: Sequence[SpanEvent],
) -> ExportedSpan:
    if not all(0 <= moment <= _MOST_NS for moment in times):
        raise Rejected(Reason.INVALID_TIMESTAMP, "expected nanoseconds since 1970")
    kind = kind_of(attributes)
    made = events_from_span(
        attributes, trace_id=ids[0], span_id=ids[1], start_ns=times[0], end_ns=times[1], resource=resource,
        events=events,
    )  # fmt: skip
    if kind is None:
        asked = made or is_model_call(attributes) or any(event.name.startswith("gen_ai.") for event in events)
        kind = SpanKind.GENERATION if asked else SpanKind.OTHER
    without = kind is SpanKind.GENERATION and not made
    reasoning = kind is SpanKind.GENERATION and any(
        map(has_reasoning, (attributes, *(event.attributes for event in events)))
    )
    return ExportedSpan(
        kind, ids[0], tuple(map(_timed, made)), content_switch(attributes) if without else "", reasoning
    )


def _timed(event: Event) -> Event:
    """Leave out the timestamp of a span that had none: then Kafka's counts."""
    return msgspec.structs.replace(event, timestamp=None) if event.timestamp == 0 else event


def _otlp_spans(export: Mapping[str, Any]) -> Iterator[ExportedSpan]:
    for of_resource in export.get("resourceSpans") or ():
        resource = _attributes((of_resource.get("resource") or {}).get("attributes"))
        for of_scope in of_resource.get("scopeSpans") or of_resource.get("instrumentationLibrarySpans") or ():
            for span in of_scope.get("spans") or ():
                yield _read(partial(_otlp_span, span, resource))


def _otlp_span(span: Mapping[str, Any], resource: Mapping[str, Any]) -> ExportedSpan:
    start = int(span.get("startTimeUnixNano") or 0)
    ids = _identifier(span, "traceId"), _identifier(span, "spanId")
    events = [
        SpanEvent(str(e.get("name")), _attributes(e.get("attributes"))) for e in span.get("events") or ()
    ]
    times = start, int(span.get("endTimeUnixNano") or start)
    return _span(_attributes(span.get("attributes")), resource, ids, times, events)


def _otlp_logs(export: Mapping[str, Any]) -> Iterator[ExportedSpan]:
    """Log records about one call of a model are read together: its messages are records of their own."""
    for of_resource in export.get("resourceLogs") or ():
        resource = _attributes((of_resource.get("resource") or {}).get("attributes"))
        calls: dict[tuple[str, str], list[tuple[SpanEvent, int]]] = {}
        for of_scope in of_resource.get("scopeLogs") or ():
            for record in of_scope.get("logRecords") or ():
                yield from _sorted_in(record, calls)
        for ids, records in calls.items():
            yield _read(partial(_from_logs, records, resource, ids), len(records))


def _sorted_in(
    record: Mapping[str, Any], calls: dict[tuple[str, str], list[tuple[SpanEvent, int]]]
) -> list[ExportedSpan]:
    """Put a log record to the others of its call; return it where it is of none, or not readable."""
    try:
        attributes = _attributes(record.get("attributes"))
        name = str(record.get("eventName") or attributes.get("event.name"))
        event = SpanEvent(name, attributes, _value(record.get("body") or {}))
        if not _tells(event):
            return [ExportedSpan(SpanKind.OTHER)]
        moment = int(record.get("timeUnixNano") or record.get("observedTimeUnixNano") or 0)
        ids = _ids(record.get("traceId"), record.get("spanId"), event, moment)
    except _MALFORMED:
        return [ExportedSpan(SpanKind.OTHER, problem=_malformed())]
    calls.setdefault(ids, []).append((event, moment))
    return []


def _from_logs(
    records: Sequence[tuple[SpanEvent, int]], resource: Mapping[str, Any], ids: tuple[str, str]
) -> ExportedSpan:
    attributes = {name: value for event, _ in records for name, value in event.attributes.items()}
    moments = [moment for _, moment in records]
    span = _span(attributes, resource, ids, (min(moments), max(moments)), [event for event, _ in records])
    return span._replace(records=len(records))


def _tells(event: SpanEvent) -> bool:
    """Return whether a log record is about what went into a model or came out of it."""
    name = event.name
    return name in (_DETAILS, "gen_ai.choice") or (
        name.startswith("gen_ai.") and (name.endswith(".message") or name.startswith("gen_ai.content."))
    )


def _ids(trace_id: object, span_id: object, event: SpanEvent, moment: int) -> tuple[str, str]:
    """Return the ids of a log record; where it has none, they follow from what it says."""
    if (trace := _hex(trace_id)) and (span := _hex(span_id)):
        return trace, span
    digest = hashlib.blake2b(repr((event, moment)).encode("utf-8", "replace"), digest_size=24).hexdigest()
    return digest[:32], digest[32:]


def _hex(identifier: object) -> str:
    """Return an id as it is compared; empty where there is none: that of zeros stands for none."""
    found = str(identifier or "").removeprefix("0x").lower()
    return found if found.strip("0") else ""


def _attributes(pairs: Iterable[Mapping[str, Any]] | None) -> dict[str, Any]:
    return {pair["key"]: _value(pair.get("value") or {}) for pair in pairs or () if "key" in pair}


def _value(value: Mapping[str, Any]) -> Any:
    """Unwrap an AnyValue of OTLP/JSON, in which 64-bit integers are texts."""
    for kind, content in value.items():
        if kind == "intValue":
            return int(content)
        if kind == "arrayValue":
            return [_value(item) for item in content.get("values") or ()]
        if kind == "kvlistValue":
            return _attributes(content.get("values"))
        return content
    return None


def _flat(span: Mapping[str, Any]) -> ExportedSpan:
    context = span.get("context") or span
    attributes = span.get("attributes")
    if not isinstance(attributes, Mapping):
        raise Rejected(Reason.MISSING_FIELD, "required field `attributes` is missing")
    resource = span.get("resource") or {}
    start = _nanoseconds(span, "start_time")
    return _span(
        attributes,
        resource.get("attributes", resource),
        (_identifier(context, "trace_id"), _identifier(context, "span_id")),
        (start, _nanoseconds(span, "end_time") or start),
        [_flat_event(event) for event in span.get("events") or []],
    )


def _flat_event(event: Mapping[str, Any] | Sequence[Any]) -> SpanEvent:
    """Read an event as the console exporter writes it, or a pair of its name and its attributes."""
    if isinstance(event, Mapping):
        return SpanEvent(str(event.get("name")), event.get("attributes") or {})
    name, attributes = event
    return SpanEvent(str(name), dict(attributes))


def _flat_log(record: Mapping[str, Any]) -> ExportedSpan:
    attributes = record["attributes"] or {}
    name = str(record.get("event_name") or attributes.get("event.name"))
    event = SpanEvent(name, attributes, record["body"])
    if not _tells(event):
        return ExportedSpan(SpanKind.OTHER)
    resource = record.get("resource") or {}
    moment = _nanoseconds(record, "timestamp")
    ids = _ids(record.get("trace_id"), record.get("span_id"), event, moment)
    return _from_logs([(event, moment)], resource.get("attributes", resource), ids)


def _identifier(context: Mapping[str, Any], name: str) -> str:
    if not (value := _hex(context.get(name))):
        raise Rejected(Reason.MISSING_FIELD, f"required field `{name}` is missing")
    return value


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
