"""The OpenAPI 3.1 description of the gate, made from the types that its endpoints read and answer."""

from typing import Any, Final, NamedTuple

import msgspec

from schemas.events import Event
from streams.gate import litellm, moderations, native, otlp, stream_lines, webhooks
from streams.gate import openapi_types as answers
from streams.ingest.otlp import JSON, PROTOBUF, Signal

NDJSON: Final = "application/x-ndjson"
EVENT_STREAM: Final = "text/event-stream"
ERRORS: Final = {
    "400": "A mistake in the request; the message says what, and never repeats a text",
    "401": "No key, or a wrong one",
    "403": "A web page that has no key",
    "408": "The body did not come in time",
    "413": "The body is larger than WEIR_GATE_MAX_BYTES, or holds too many texts",
    "415": "The Content-Encoding is none that the gate unpacks",
    "429": "More waits than can be judged in time",
    "503": "The outbox is full; to LiteLLM also: more waits than can be judged in time",
}
_STREAMED: Final = ("400", "401", "403", "415")
"""Later ones come within the stream."""


class Media(NamedTuple):
    """The body of a request or a response, in each media type that it may have."""

    kind: Any
    types: tuple[str, ...] = (JSON,)
    or_kind: Any = None
    """What it may be instead."""


class Endpoint(NamedTuple):
    """A method of a path, in the words of its types."""

    path: str
    summary: str
    asked: Media | None
    answered: Media | None
    status: str = "200"
    method: str = "post"
    errors: tuple[str, ...] = tuple(ERRORS)
    failure: Media = Media(answers.Failure)


def _otlp(path: str, signal: Signal) -> Endpoint:
    asked = answers.LogsExport if signal is Signal.LOGS else answers.TracesExport
    types = (JSON, PROTOBUF)
    answered, failure = Media(answers.ExportAnswer, types), Media(answers.Status, types)
    return Endpoint(path, f"OTLP: {signal}", Media(asked, types), answered, failure=failure)


LINES: Final = Media(stream_lines.Line, (NDJSON,))
MESSAGES: Final = Media(answers.StreamMessage, (NDJSON, EVENT_STREAM))
CHECKED: Final = Media(answers.CheckAnswer, or_kind=answers.CheckAnswers)
MODERATED: Final = Media(answers.ModerationAnswer)
EVENTS, TAKEN = Media(Event, (JSON, NDJSON)), Media(answers.EventsAnswer)
TEXTS, GUARDED = Media(litellm.Request), Media(answers.LiteLLMAnswer)
CHAT, DONE = Media(webhooks.AgentRequest), Media(answers.AgentAnswer)
ENDPOINTS: Final = (
    Endpoint("/v1/check", "Judge one event, or several", Media(native.Request), CHECKED),
    Endpoint("/v1/moderations", "OpenAI's moderations", Media(moderations.Request), MODERATED),
    Endpoint("/v1/events", "Take events for the guard", EVENTS, TAKEN, "202"),
    Endpoint("/v1/stream", "Check a completion while it is written", LINES, MESSAGES, errors=_STREAMED),
    Endpoint("/v1/stream", "The same as a WebSocket: lines and answers are its messages", None, None, "101",
             "get", errors=_STREAMED),
    Endpoint(litellm.PATH, "LiteLLM's generic guardrail", TEXTS, GUARDED),
    Endpoint("/request", "agentgateway: a chat before the model", CHAT, DONE),
    Endpoint("/response", "agentgateway: its answer", CHAT, DONE),
    Endpoint("/portkey", "Portkey's webhook", Media(webhooks.PortkeyRequest), Media(answers.PortkeyAnswer)),
    *(_otlp(path, signal) for path, signal in otlp.PATHS.items()),
)  # fmt: skip


_CHECK: Final = f"{native.Request.__module__}.Request"


def document() -> dict[str, Any]:
    """Return the description, as JSON."""
    media = [each for endpoint in ENDPOINTS for each in (endpoint.asked, endpoint.answered, endpoint.failure)]
    kinds = list(dict.fromkeys(kind for each in media if each for kind in (each.kind, each.or_kind) if kind))
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    of_kinds = dict(zip(kinds, schemas, strict=True))
    components[_CHECK] |= {"oneOf": [{"required": ["text"]}, {"required": ["events"]}]}
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method] = _operation(endpoint, of_kinds)
    return {
        "openapi": "3.1.0",
        "info": {"title": "weir gate", "version": "1", "description": "See docs/gate.md."},
        "servers": [{"url": "http://127.0.0.1:9480"}],
        "security": [{}, {"bearer": []}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _operation(endpoint: Endpoint, schemas: dict[Any, Any]) -> dict[str, Any]:
    socket = endpoint.method == "get"
    asked = {"requestBody": {"required": True, **_content(endpoint.asked, schemas)}} if endpoint.asked else {}
    done = "A WebSocket" if socket else "The answer"
    failed = _content(endpoint.failure, schemas)
    return {
        "summary": endpoint.summary,
        "operationId": endpoint.path.strip("/").replace("/", "_") + ("_socket" if socket else ""),
        "parameters": [
            _header("X-Weir-App", "The app, where neither the event nor the key says it", {"type": "string"}),
            _header(
                "X-Weir-Deadline-Ms",
                "Answer by then",
                {"type": "number", "exclusiveMinimum": 0, "maximum": 600_000},
            ),
        ],
        **asked,
        "responses": {
            endpoint.status: {"description": done, **_content(endpoint.answered, schemas)},
            **{status: {"description": ERRORS[status], **failed} for status in endpoint.errors},
        },
    }


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _content(media: Media | None, schemas: dict[Any, Any]) -> dict[str, Any]:
    """Return the content of a body: what is not JSON as a whole is a string to OpenAPI."""
    if media is None:
        return {}
    schema = schemas[media.kind]
    if media.or_kind:
        schema = {"anyOf": [schema, schemas[media.or_kind]]}
    return {"content": {each: {"schema": _typed(schema, each)} for each in media.types}}


def _typed(schema: Any, media_type: str) -> Any:
    if media_type == JSON:
        return schema
    # Of lines and events that is the schema of each; protobuf has its own.
    of_each = {} if media_type == PROTOBUF else {"contentSchema": schema}
    return {"type": "string", "contentMediaType": media_type} | of_each
