"""ClickHouse's HTTP interface in front of the embedded engine.

What `clickhouse-connect`, curl and other plain HTTP clients use of it: GET and POST with the statement
in `query`, in the body or in both, settings and `param_*` in the URL, any format, compressed request
bodies. Requests have no session: SET, USE and temporary tables last for one request. Any user name is
accepted, with the store's token as its password (`callers.py`). GET changes nothing.
"""

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import web

from streams.local.callers import admit
from streams.local.content import ContentError, decode
from streams.local.engine import Engine, EngineError, Prepared, QueryOutcome, Request
from streams.store.token import FILE_HEADER, PROOF_HEADER, proof

MAX_BODY = 256 << 20
_BUFFER = 4 << 20
_CONTENT_TYPES = {"json": "application/json", "tabseparated": "text/tab-separated-values", "csv": "text/csv"}
SHORT_THREADS = 4
_NOT_FOUND = {16, 46, 47, 60, 81}
_FORBIDDEN = {497, 516}
_BAD_REQUEST = {
    6, 25, 26, 27, 33, 36, 38, 41, 42, 43, 50, 53, 62, 70, 72, 73, 92, 115, 117, 349, 386, 456, 457, 636,
}  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LOG = logging.getLogger(__name__)
# Names that speak to the HTTP layer; every other one in the URL is a setting of the query.
_TRANSPORT = {
    "query", "database", "default_format", "user", "password", "quota_key", "session_id", "session_check",
    "session_timeout", "query_id", "compress", "decompress", "buffer_size", "wait_end_of_query", "stacktrace",
    "client_protocol_version", "role", "enable_http_compression", "send_progress_in_http_headers",
    "http_headers_progress_interval_ms", "cancel_http_readonly_queries_on_client_close",
}  # fmt: skip


class BadRequestError(Exception):
    """The request cannot be understood; the message says what this interface wants."""


class Pools:
    """Two pools of threads: what people ask may take long, inserts and questions about tables do not wait."""

    def __init__(self, engine: Engine, threads: int) -> None:
        self._engine = engine
        self._queries = ThreadPoolExecutor(threads, thread_name_prefix="query")
        self._short = ThreadPoolExecutor(SHORT_THREADS, thread_name_prefix="short")

    async def prepare(self, asked: Request) -> Prepared:
        """Read a statement."""
        return await asyncio.get_running_loop().run_in_executor(self._short, self._engine.prepare, asked)

    async def execute(self, prepared: Prepared, write: Callable[[bytes], None]) -> QueryOutcome:
        """Run it in its pool, when a thread is free."""
        pool = self._short if prepared.is_short else self._queries
        return await asyncio.get_running_loop().run_in_executor(pool, self._engine.execute, prepared, write)


def application(engine: Engine, token: str, token_file: Path, threads: int = 8) -> web.Application:
    """Return the web application for holders of `token`, which its own user may read in `token_file`.

    At most `threads` statements of people run at a time, the others wait; inserts have threads of their own.
    """
    app = web.Application(client_max_size=MAX_BODY, middlewares=[admit(token)])
    pools = Pools(engine, threads)

    async def statement(request: web.Request) -> web.StreamResponse:
        if request.method == "GET" and "query" not in request.query:
            return web.Response(text="Ok.\n")
        try:
            asked = await _request(request)
        except BadRequestError as error:
            return web.Response(status=400, text=f"{error}\n")
        except (ConnectionError, web.RequestPayloadError) as error:
            _LOG.warning("A request ended before its body did (%s); nothing of it was run.", error)
            return web.Response(status=400, text="The body of the request is not complete.\n")
        return await _answer(request, engine, pools, asked)

    async def ping(request: web.Request) -> web.Response:
        port = request.transport.get_extra_info("sockname")[1] if request.transport else 0
        shown = proof(token, request.query.get("nonce", ""), port)
        return web.Response(text="Ok.\n", headers={FILE_HEADER: str(token_file), PROOF_HEADER: shown})

    app.router.add_get("/ping", ping)
    app.router.add_get("/replicas_status", ping)
    app.router.add_route("GET", "/", statement)
    app.router.add_route("POST", "/", statement)
    return app


async def _request(request: web.Request) -> Request:
    values = dict(request.query)
    if _CONTROL.search(values.get("query_id", "")):
        raise BadRequestError("query_id: a name without control characters was expected.")
    if request.content_type == "multipart/form-data":
        body = b""
        for name, field in (await _form(request)).items():
            if not isinstance(field, str):
                raise BadRequestError("External data in a form is not supported by the embedded store.")
            values[name] = field
    else:
        body = await _body(request, values)
    text = values.get("query", "").encode()
    # As ClickHouse does: the statement may be in the URL and its data in the body.
    text = text.rstrip() + b"\n" + body if text and body else text + body
    settings = {k: v for k, v in values.items() if k not in _TRANSPORT and not k.startswith("param_")}
    default_format = values.get("default_format") or request.headers.get("X-ClickHouse-Format")
    return Request(
        text,
        database=values.get("database") or request.headers.get("X-ClickHouse-Database") or "",
        default_format=default_format or "TabSeparated",
        settings=settings,
        parameters={k.removeprefix("param_"): v for k, v in values.items() if k.startswith("param_")},
        read_only=request.method != "POST",
    )


async def _form(request: web.Request) -> Mapping[str, object]:
    try:
        return await request.post()
    except (ConnectionError, web.RequestPayloadError, web.HTTPException):
        raise
    except Exception:  # aiohttp has many for a form without a boundary, an end, or headers of its parts
        raise BadRequestError(
            "The form cannot be read: multipart/form-data needs a boundary, and each part a name and an end."
        ) from None


async def _body(request: web.Request, values: Mapping[str, str]) -> bytes:
    if values.get("decompress", "0") != "0" or values.get("compress", "0") != "0":
        raise BadRequestError(
            "compress=1 and decompress=1 (ClickHouse's own block compression) are not supported by the "
            "embedded store; use Content-Encoding or none."
        )
    body = await request.read()
    try:
        return await asyncio.to_thread(
            decode, body, request.headers.get("Content-Encoding", "").lower(), MAX_BODY
        )
    except ContentError as error:
        raise BadRequestError(str(error)) from None


async def _answer(request: web.Request, engine: Engine, pools: Pools, asked: Request) -> web.StreamResponse:
    headers = {
        "X-ClickHouse-Query-Id": request.query.get("query_id") or str(uuid.uuid4()),
        "X-ClickHouse-Timezone": engine.timezone,
        "X-ClickHouse-Server-Display-Name": "weir embedded store",
    }
    reply = _Reply(request, headers)
    try:
        outcome = await pools.execute(await pools.prepare(asked), reply.write)
    except ConnectionError:
        return reply.response  # the client left; nobody is there to be told
    except EngineError as error:
        if reply.started:
            # Too late for a status: a broken connection is the one honest signal left.
            reply.abort()
            return reply.response
        headers["X-ClickHouse-Exception-Code"] = str(error.code)
        return web.Response(status=_status(error.code), headers=headers, text=f"{error}\n")
    return await reply.finish(outcome)


def _status(code: int) -> int:
    if code in _NOT_FOUND:
        return 404
    if code in _FORBIDDEN:
        return 403
    return 400 if code in _BAD_REQUEST else 500


class _Reply:
    """A response that stays small in memory: whole up to a few MB, in chunks beyond that."""

    def __init__(self, request: web.Request, headers: dict[str, str]) -> None:
        self._request = request
        self._headers = headers
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self.started = False
        self.response = web.StreamResponse(headers=headers)

    def write(self, data: bytes) -> None:
        """Take a part of the result, in the thread of the query; blocks while the client is slow."""
        self._buffer += data
        if len(self._buffer) > _BUFFER:
            asyncio.run_coroutine_threadsafe(self._flush(), self._loop).result()

    async def _flush(self) -> None:
        if not self.started:
            self.started = True
            await self.response.prepare(self._request)
        data, self._buffer = bytes(self._buffer), bytearray()
        await self.response.write(data)

    async def finish(self, outcome: QueryOutcome) -> web.StreamResponse:
        """Send what is left."""
        if self.started:
            await self._flush()
            await self.response.write_eof()
            return self.response
        self._headers["X-ClickHouse-Summary"] = json.dumps(outcome.summary)
        if outcome.format:
            self._headers["X-ClickHouse-Format"] = outcome.format
            if kind := _CONTENT_TYPES.get(outcome.format.lower()):
                self._headers["Content-Type"] = f"{kind}; charset=UTF-8"
        return web.Response(headers=self._headers, body=bytes(self._buffer))

    def abort(self) -> None:
        """Cut the connection."""
        if self._request.transport:
            self._request.transport.abort()
