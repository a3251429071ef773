"""What the gate answers, and what exporters of OpenTelemetry send it: for the description alone."""

from typing import Annotated, Any, Final, Literal

import msgspec

from schemas.events import Decision, Evidence, Severity


class Error(msgspec.Struct):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str


class Failure(msgspec.Struct):
    """The one form of all errors."""

    error: Error


CheckAnswer: Final = msgspec.defstruct(
    "CheckAnswer",
    [
        *(
            (each.name, each.type)
            for each in msgspec.structs.fields(Decision)
            if each.required and each.name != "app"
        ),
        ("severity", Severity),
        ("recorded", bool),
        *(
            (each.name, each.type, each.default)
            for each in msgspec.structs.fields(Decision)
            if not each.required and each.name != "severity"
        ),
        ("scores", dict[str, float], {}),
        ("evidence", tuple[Evidence, ...], ()),
        ("warnings", list[str], []),
    ],
)


class CheckAnswers(msgspec.Struct):
    """The answers to `events`, in their order."""

    results: list[CheckAnswer]  # type: ignore[valid-type]
    warnings: list[str] = []
    """Names that look like misspelt fields; an app or a tenant that is not the key's."""


class ModerationResult(msgspec.Struct):
    """What is found in one input."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]
    action: str
    unscored: list[str]


class ModerationAnswer(msgspec.Struct):
    """The answer to `POST /v1/moderations`."""

    id: str
    model: str
    results: list[ModerationResult]


class LiteLLMAnswer(msgspec.Struct):
    """What LiteLLM does with the texts."""

    action: Literal["NONE", "BLOCKED", "GUARDRAIL_INTERVENED"]
    texts: list[str] = []
    blocked_reason: str = ""
    stream_holdback_chars: list[int] = []
    """Of each text of a response: how many of its last characters may still change."""


class AgentAnswer(msgspec.Struct):
    """What agentgateway does: its kind is told by its shape."""

    action: dict[str, Any]


class PortkeyAnswer(msgspec.Struct, rename="camel"):
    """Whether Portkey lets it pass, and as what."""

    verdict: bool
    data: dict[str, Any] = {}
    transformed_data: dict[str, Any] = {}


class Rejection(msgspec.Struct):
    """A line that is no event."""

    index: int
    reason: str
    detail: str


class EventsAnswer(msgspec.Struct):
    """What was taken of the lines."""

    accepted: int
    rejected: list[Rejection]
    warnings: list[str] = []
    """Names that look like misspelt fields; an app or a tenant that is not the key's."""


class StreamError(msgspec.Struct):
    """Why a stream broke off."""

    message: str
    type: str


class StreamMessage(msgspec.Struct):
    """What a stream gives: pieces, at last the decision; before that, where it broke off, why."""

    delta: str = ""
    decision: CheckAnswer | None = None  # type: ignore[valid-type]
    complete: bool | None = None
    warnings: list[str] = []
    """With the decision: what the client said that counts for nothing."""
    error: StreamError | None = None


Hex = Annotated[str, msgspec.Meta(pattern="^([0-9a-fA-F]{16}|[0-9a-fA-F]{32})$")]


class AnyValue(msgspec.Struct, rename="camel"):
    """A value, in the one of its fields that is there."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: str | int | None = None
    double_value: float | None = None
    array_value: "ArrayValue | None" = None
    kvlist_value: "KeyValueList | None" = None


class ArrayValue(msgspec.Struct):
    """A list."""

    values: list[AnyValue] = []


class KeyValue(msgspec.Struct):
    """An attribute."""

    key: str
    value: AnyValue


class KeyValueList(msgspec.Struct):
    """An object."""

    values: list[KeyValue] = []


class Resource(msgspec.Struct):
    """Who exports: `service.name` is the app."""

    attributes: list[KeyValue] = []


class SpanEvent(msgspec.Struct):
    """An event of a span."""

    name: str = ""
    attributes: list[KeyValue] = []


class Span(msgspec.Struct, rename="camel"):
    """A span; other fields are not read."""

    trace_id: Hex
    span_id: Hex
    name: str = ""
    start_time_unix_nano: str | int = ""
    end_time_unix_nano: str | int = ""
    attributes: list[KeyValue] = []
    events: list[SpanEvent] = []


class ScopeSpans(msgspec.Struct):
    """Spans of an instrumentation."""

    spans: list[Span] = []


class ResourceSpans(msgspec.Struct, rename="camel"):
    """Spans of a service."""

    resource: Resource | None = None
    scope_spans: list[ScopeSpans] = []


class TracesExport(msgspec.Struct, rename="camel"):
    """`ExportTraceServiceRequest` of OTLP."""

    resource_spans: list[ResourceSpans] = []


class LogRecord(msgspec.Struct, rename="camel"):
    """A log record; other fields are not read."""

    event_name: str = ""
    trace_id: str = ""
    span_id: str = ""
    time_unix_nano: str | int = ""
    body: AnyValue | None = None
    attributes: list[KeyValue] = []


class ScopeLogs(msgspec.Struct, rename="camel"):
    """Log records of an instrumentation."""

    log_records: list[LogRecord] = []


class ResourceLogs(msgspec.Struct, rename="camel"):
    """Log records of a service."""

    resource: Resource | None = None
    scope_logs: list[ScopeLogs] = []


class LogsExport(msgspec.Struct, rename="camel"):
    """`ExportLogsServiceRequest` of OTLP."""

    resource_logs: list[ResourceLogs] = []


class PartialSuccess(msgspec.Struct, rename="camel"):
    """How many were refused, and why."""

    rejected_spans: str = "0"
    rejected_log_records: str = "0"
    error_message: str = ""


class ExportAnswer(msgspec.Struct, rename="camel"):
    """What became of an export."""

    partial_success: PartialSuccess | None = None


class Status(msgspec.Struct):
    """`google.rpc.Status`."""

    code: int
    message: str
