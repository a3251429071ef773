"""The OpenAPI 3.1 description of the gate, made from the types that its endpoints read and answer."""

from typing import Any, Final, NamedTuple

import msgspec

from schemas.events import Decision, Event, Evidence, Severity
from streams.gate import litellm, moderations, native, otlp, webhooks

_ERRORS: Final = {
    "400": "A mistake in the request; the message says what, and never repeats a text",
    "401": "No key, or a wrong one",
    "403": "A web page that has no key",
    "408": "The body did not come in time",
    "413": "The body is larger than WEIR_GATE_MAX_BYTES, or holds too many texts",
    "429": "More waits than can be judged in time",
    "503": "The outbox is full",
}


class Error(msgspec.Struct):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str


class Failure(msgspec.Struct):
    """The one form of all errors."""

    error: Error


_CheckAnswer: Final = msgspec.defstruct(
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
    ],
)


class CheckAnswers(msgspec.Struct):
    """The answers to `events`, in their order."""

    results: list[_CheckAnswer]  # type: ignore[valid-type]


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

    action: str
    texts: list[str] = []
    blocked_reason: str = ""


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


class Endpoint(NamedTuple):
    """An endpoint, in the words of its types."""

    path: str
    summary: str
    asked: Any
    answered: Any
    or_answered: Any = None
    status: str = "200"


ENDPOINTS: Final = (
    Endpoint("/v1/check", "Judge one event, or several", native.Request, _CheckAnswer, CheckAnswers),
    Endpoint("/v1/moderations", "OpenAI's moderations", moderations.Request, ModerationAnswer),
    Endpoint("/v1/events", "Take events for the guard", Event, EventsAnswer, status="202"),
    Endpoint(
        "/beta/litellm_basic_guardrail_api", "LiteLLM's generic guardrail", litellm.Request, LiteLLMAnswer
    ),
    Endpoint("/request", "agentgateway: a chat before the model", webhooks.AgentRequest, AgentAnswer),
    Endpoint("/response", "agentgateway: its answer", webhooks.AgentRequest, AgentAnswer),
    Endpoint("/portkey", "Portkey's webhook", webhooks.PortkeyRequest, PortkeyAnswer),
)
NOT_DESCRIBED: Final = frozenset({"/v1/stream", *otlp.PATHS})
"""Streams and protobuf: OpenAPI has no words for them, docs/gate.md has."""


def document() -> dict[str, Any]:
    """Return the description, as JSON."""
    types = [kind for each in ENDPOINTS for kind in each[1:] if isinstance(kind, type)] + [Failure]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    of_types = dict(zip(types, schemas, strict=True))
    paths = {endpoint.path: {"post": _operation(endpoint, of_types)} for endpoint in ENDPOINTS}
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


def _operation(endpoint: Endpoint, schemas: dict[type, Any]) -> dict[str, Any]:
    bodies = {"application/json": {"schema": schemas[endpoint.asked]}}
    if endpoint.path == "/v1/events":
        bodies["application/x-ndjson"] = {"schema": {"type": "string"}}
    answered = schemas[endpoint.answered]
    if endpoint.or_answered:
        answered = {"anyOf": [answered, schemas[endpoint.or_answered]]}
    responses = {endpoint.status: _response("The answer", answered)}
    responses |= {status: _response(what, schemas[Failure]) for status, what in _ERRORS.items()}
    return {
        "summary": endpoint.summary,
        "operationId": endpoint.path.strip("/").replace("/", "_"),
        "parameters": [
            _header("X-Weir-App", "The app, where neither the event nor the key says it", {"type": "string"}),
            _header(
                "X-Weir-Deadline-Ms",
                "Answer by then",
                {"type": "number", "exclusiveMinimum": 0, "maximum": 600_000},
            ),
        ],
        "requestBody": {"required": True, "content": bodies},
        "responses": responses,
    }


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _response(description: str, schema: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
