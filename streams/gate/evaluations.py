"""Scores as OpenTelemetry writes them: log events `gen_ai.evaluation.result`, beside the spans they judge.

The names are those of the semantic conventions for generative AI (v0.1.0, in development):
https://github.com/open-telemetry/semantic-conventions-genai. No text goes out.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs

from schemas.events import ScoredEvent

EVENT: Final = "gen_ai.evaluation.result"
NAME: Final = "gen_ai.evaluation.name"
VALUE: Final = "gen_ai.evaluation.score.value"
LABEL: Final = "gen_ai.evaluation.score.label"
EXPLANATION: Final = "gen_ai.evaluation.explanation"
ERROR: Final = "error.type"
CONVERSATION: Final = "gen_ai.conversation.id"
EVENT_ID, DECISION_ID, KIND = "weir.event.id", "weir.decision.id", "weir.event.kind"
DECISION: Final = "weir.decision"
"""The evaluation whose label is the action."""
_TRACE_BYTES, _SPAN_BYTES = 16, 8
_LAST_MS: Final = 1 << 43
"""A clock may say anything: what is later has no place in 64 bits of nanoseconds."""
_Value = str | float


def export_of(scored: Sequence[ScoredEvent]) -> ExportLogsServiceRequest:
    """Return the scores, decisions and failed detectors of events as one export, by app."""
    request = ExportLogsServiceRequest()
    apps: dict[str, ResourceLogs] = {}
    for each in scored:
        app = each.event.app
        if app not in apps:
            apps[app] = request.resource_logs.add()
            apps[app].resource.attributes.append(_pair("service.name", app))
            apps[app].scope_logs.add().scope.name = "weir"
        apps[app].scope_logs[0].log_records.extend(_records(each))
    return request


def _records(scored: ScoredEvent) -> Iterator[LogRecord]:
    decision = scored.decision
    rules = {hit.metric: hit for hit in decision.rules if hit.metric}
    for metric, score in scored.scores.items():
        more: dict[str, _Value] = {VALUE: score}
        if metric in rules:
            more |= {LABEL: rules[metric].action, EXPLANATION: rules[metric].rule}
        yield _record(scored, metric, more)
    for detector in decision.failed:
        yield _record(scored, detector, {ERROR: "failed"})
    names = ", ".join(hit.rule for hit in decision.rules)
    yield _record(scored, DECISION, {LABEL: decision.action, EXPLANATION: names})


def _record(scored: ScoredEvent, name: str, more: Mapping[str, _Value]) -> LogRecord:
    event, decision = scored.event, scored.decision
    nanoseconds = min(max(0, decision.decided_at), _LAST_MS) * 1_000_000
    given: dict[str, _Value] = {
        NAME: name,
        CONVERSATION: event.conversation_id,
        EVENT_ID: event.event_id,
        DECISION_ID: decision.decision_id,
        KIND: event.kind,
    }
    return LogRecord(
        time_unix_nano=nanoseconds,
        observed_time_unix_nano=nanoseconds,
        event_name=EVENT,
        trace_id=_id(event.trace_id, _TRACE_BYTES),
        span_id=_id(event.span_id, _SPAN_BYTES),
        attributes=[_pair(key, value) for key, value in {**given, **more}.items() if value != ""],
    )


def _pair(key: str, value: _Value) -> KeyValue:
    held = AnyValue(string_value=value) if isinstance(value, str) else AnyValue(double_value=value)
    return KeyValue(key=key, value=held)


def _id(text: str, size: int) -> bytes:
    """Return the bytes of an id of OpenTelemetry; none where an app has ids of another kind."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return b""
    return found if len(found) == size else b""
