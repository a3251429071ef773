"""The HTTP server of the gate: routes, keys, limits; each contract is an adapter of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, Literal, TypeVar

import msgspec
import structlog
from aiohttp import web
from aiohttp.http_parser import RawRequestMessage

from schemas import codec
from schemas.events import Event
from streams.decisions.judge import wall_clock_ms
from streams.gate import (
    failures,
    heads,
    litellm,
    misspelt,
    moderations,
    native,
    otlp,
    stream_http,
    stream_lines,
    webhooks,
)
from streams.gate.answers import Answer, UnreadableRequestError
from streams.gate.batcher import BusyError
from streams.gate.holdback import AT_ONCE, Holdbacks
from streams.gate.keys import Caller, Keys
from streams.gate.reading import (
    TOO_LARGE,
    UNPROCESSABLE,
    Bodies,
    RefusedError,
    check_encoding,
    check_texts,
    decoded,
    off_loop,
)
from streams.gate.service import Service
from streams.gate.settings import GateSettings
from streams.gate.stream import Stream
from streams.gate.turns import came_at
from streams.ingest.otlp import Signal
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)
T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MOST_LINES: Final = 20_000
"""Of one body of `/v1/events`: reading more of them would hold up the others."""
JUDGED: Final = frozenset({"/v1/check", "/v1/moderations", litellm.PATH, "/request", "/response", "/portkey"})
"""Where answers are waited for."""


class Gate:
    """The endpoints of the gate over one `Service`."""

    def __init__(self, settings: GateSettings, service: Service, keys: Keys, telemetry: Telemetry) -> None:
        self._settings = settings
        self._service = service
        self._keys = keys
        self._telemetry = telemetry
        self._holdbacks = Holdbacks(service.tail)
        self._bodies = Bodies(settings.gate_max_bytes)
        self._intake = otlp.Intake(service, telemetry)

    def application(self) -> web.Application:
        """Return the application with all routes."""
        app = web.Application(middlewares=[self._guarded])
        app.router.add_post("/v1/check", self._check)
        app.router.add_post("/v1/moderations", self._moderations)
        app.router.add_post("/v1/events", self._events)
        app.router.add_post("/v1/stream", self._stream)
        app.router.add_get("/v1/stream", self._socket, allow_head=False)
        app.router.add_post(litellm.PATH, self._litellm)
        app.router.add_post("/request", self._agent("prompt"))
        app.router.add_post("/response", self._agent("completion"))
        app.router.add_post("/portkey", self._portkey)
        for path, signal in otlp.PATHS.items():
            app.router.add_post(path, self._otlp(signal))
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who has a key; answer every failure in one form, and count all."""
        began = time.perf_counter()
        route = request.match_info.route.resource
        endpoint = route.canonical if route is not None else "other"
        try:
            request[heads.CALLER] = heads.caller_of(request, self._keys, self._settings)
            request[heads.WARNINGS] = heads.warnings_of(request)
            response = await handler(request)
        except failures.EXPECTED as error:
            response = failures.answer(request, error)
        if (warnings := request.get(heads.WARNINGS)) and not response.prepared:
            response.headers[heads.WARNING] = "; ".join(warnings)
        if request.content.exception() is not None:
            request.content.feed_eof()  # or aiohttp reads on, and logs what it finds as a fault of ours
            response.force_close()
        self._count(endpoint, response.status, time.perf_counter() - began)
        return response

    def _count(self, endpoint: str, status: int, seconds: float) -> None:
        self._telemetry.count(catalogue.GATE_REQUESTS, 1, endpoint, str(status))
        self._telemetry.observe(catalogue.GATE_REQUEST_SECONDS, seconds, endpoint)

    def refuse(self, message: RawRequestMessage) -> bytes | None:
        """Return the answer to a request for which there will be no time, from its head alone; else None."""
        if message.path not in JUDGED or message.method != "POST":
            return None
        came = came_at()
        try:
            self._service.admit(
                heads.allowed_s(message.headers, self._settings.gate_deadline_ms) - (time.monotonic() - came)
            )
        except RefusedError:
            return None  # of whom the handler says why
        except BusyError as error:
            status, answer = failures.busy_at_once(message.path, error)
            self._count(message.path, status, time.monotonic() - came)
            return answer
        return None

    def _within_s(self, request: web.Request, wanted_ms: float | None = None) -> float:
        return heads.within_s(request, self._settings.gate_deadline_ms, wanted_ms)

    async def _judged(
        self,
        request: web.Request,
        events: Sequence[Event],
        *,
        within_ms: float | None = None,
        explain: bool = False,
    ) -> list[Answer]:
        check_texts(len(events))
        caller: Caller = request[heads.CALLER]
        request[heads.WARNINGS] = heads.warnings_of(request, events)
        checked = [self._checked(event, caller, number) for number, event in enumerate(events)]
        return await self._service.answers(checked, self._within_s(request, within_ms), explain=explain)

    def _checked(self, event: Event, caller: Caller, number: int) -> Event:
        """Return the event as its key allows it, held to the limits that events on Kafka have."""
        try:
            payload = codec.encode(caller.binds(event))
            now = wall_clock_ms()
            checked, _ = self._service.decoder.decode_event(payload, now, now)
        except codec.Rejected as rejected:
            raise RefusedError(
                UNPROCESSABLE, str(rejected.reason), f"event {number}: {rejected.detail}"
            ) from None
        return checked

    async def _body(self, request: web.Request) -> bytes:
        """Return the body of a request that is to be judged; when that is hopeless nothing of it is read."""
        self._service.admit(self._within_s(request))
        body = await self._bodies.read(request)
        heads.came(request)
        return body

    async def _asked(self, request: web.Request, read: Callable[[bytes], T]) -> T:
        """Return what `read` makes of a body; raise `BusyError` where there is no time for that."""
        raw = await self._body(request)
        try:
            async with asyncio.timeout(max(0.0, self._within_s(request))):
                return await off_loop(read, raw)
        except TimeoutError:
            raise BusyError(1.0) from None

    async def _check(self, request: web.Request) -> web.Response:
        def read(raw: bytes) -> tuple[native.Request, list[str]]:
            return decoded(raw, native.Request), misspelt.warnings(raw)

        asked, unknown = await self._asked(request, read)
        try:
            events = native.events(asked, heads.app_of(request, ""))
        except UnreadableRequestError as unreadable:
            raise UnreadableRequestError("; ".join((str(unreadable), *unknown))) from None
        answers = await self._judged(request, events, within_ms=asked.deadline_ms, explain=asked.evidence)
        if asked.review_within_ms:
            answers = await self._service.reviewed(answers, asked.review_within_ms / 1000)
        warnings = unknown + request[heads.WARNINGS]
        return _answer(native.body(asked, answers) | ({"warnings": warnings} if warnings else {}))

    async def _moderations(self, request: web.Request) -> web.Response:
        asked = await self._asked(request, partial(decoded, kind=moderations.Request))
        check_texts(len(asked.input) if isinstance(asked.input, list) else 1)
        events = moderations.events(asked, heads.app_of(request, "moderations"))
        return _answer(moderations.body(asked, await self._judged(request, events)))

    async def _litellm(self, request: web.Request) -> web.Response:
        asked = await self._asked(request, partial(decoded, kind=litellm.Request))
        check_texts(len(asked.texts or ()))
        events = litellm.events(asked, heads.app_of(request, "litellm"))
        answers = await self._judged(request, events)
        body = partial(litellm.body, asked, events, answers, self._holdbacks)
        is_long = asked.input_type == "response" and sum(map(len, asked.texts or ())) > AT_ONCE
        return _answer(await asyncio.to_thread(body) if is_long else body())

    def _agent(self, kind: Literal["prompt", "completion"]) -> Handler:
        def read(raw: bytes) -> tuple[webhooks.AgentRequest, webhooks.Texts]:
            asked = decoded(raw, webhooks.AgentRequest)
            return asked, webhooks.texts_in(asked.body)

        async def handle(request: web.Request) -> web.Response:
            asked, texts = await self._asked(request, read)
            check_texts(len(texts))
            events = webhooks.events(texts, kind, heads.app_of(request, "agentgateway"))
            return _answer(webhooks.agent_body(asked, texts, await self._judged(request, events)))

        return handle

    async def _portkey(self, request: web.Request) -> web.Response:
        def read(raw: bytes) -> tuple[webhooks.PortkeyRequest, webhooks.Texts, bool]:
            asked = decoded(raw, webhooks.PortkeyRequest)
            return asked, *webhooks.texts_of_side(asked.side)

        asked, texts, in_json = await self._asked(request, read)
        check_texts(len(texts))
        kind: Literal["prompt", "completion"] = "prompt" if asked.place == "request" else "completion"
        events = webhooks.events(texts, kind, heads.app_of(request, "portkey"), provider=asked.provider or "")
        answers = await self._judged(request, events)
        return _answer(webhooks.portkey_body(asked, texts, answers, in_json=in_json))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        check_encoding(request)
        lines = stream_lines.body_lines(request.content, self._service.decoder.max_bytes)
        try:
            return await stream_http.answer_request(request, self._conversation(request, lines))
        except stream_lines.LineError as error:
            raise RefusedError(UNPROCESSABLE, "invalid_request_error", str(error)) from None

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if not web.WebSocketResponse().can_prepare(request):
            said = "to GET is to open a WebSocket here: ask for one, or POST the lines"
            raise RefusedError(UNPROCESSABLE, "no_websocket", said)
        return await stream_http.answer_socket(
            request, partial(self._conversation, request), self._service.decoder.max_bytes
        )

    def _conversation(
        self, request: web.Request, lines: AsyncIterator[list[bytes]]
    ) -> stream_http.Conversation:
        def open_stream(line: stream_lines.Line) -> Stream:
            event = stream_lines.event_of(line, heads.app_of(request, ""))
            try:
                checked = self._checked(event, request[heads.CALLER], 0)
                within_s = self._within_s(request, line.deadline_ms)
            except RefusedError as refused:
                raise stream_lines.LineError(str(refused)) from None
            drop = self._settings.gate_stream_tail == "drop"
            return Stream(
                self._service, checked, self._telemetry, within_s=within_s, drop=drop, redact=line.redact
            )

        def warn(line: stream_lines.Line) -> list[str]:
            return heads.warnings_of(request, [stream_lines.event_of(line, heads.app_of(request, ""))])

        return stream_http.Conversation(lines, open_stream, self._settings, warn)

    async def _events(self, request: web.Request) -> web.Response:
        raw = await self._bodies.read(request)
        lines, unknown = await off_loop(_lines, raw)
        if len(lines) > MOST_LINES:
            raise RefusedError(TOO_LARGE, "too_many", f"{len(lines)} events, where {MOST_LINES} are allowed")
        taken = await self._service.publish(lines, request[heads.CALLER], heads.app_of(request, ""))
        request[heads.WARNINGS] = list(dict.fromkeys((*taken.pop("warnings"), *request[heads.WARNINGS])))
        warnings = [*unknown, *request[heads.WARNINGS]]
        return _answer(taken | {"warnings": warnings} if warnings else taken, status=202)

    def _otlp(self, signal: Signal) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            media_type, caller = request.content_type, request[heads.CALLER]
            try:
                otlp.readable(media_type)
                raw = await self._bodies.read(request)
                return await self._intake.take(signal, media_type, raw, caller, heads.app_of(request, ""))
            except codec.Rejected as rejected:
                status = TOO_LARGE if rejected.reason is codec.Reason.TOO_LARGE else UNPROCESSABLE
                raise RefusedError(status, str(rejected.reason), rejected.detail) from None

        return handle


def _lines(raw: bytes) -> tuple[list[bytes], list[str]]:
    lines = native.lines(raw)
    return lines, misspelt.of_lines(lines, Event.__struct_fields__)


def _answer(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json", status=status)
