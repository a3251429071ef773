"""The HTTP server of the desk: who gets in, what is read, what is written."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import structlog
from aiohttp import web

from schemas import codec, topics
from schemas.events import Feedback
from streams.decisions.feedback import make_feedback
from streams.decisions.judge import wall_clock_ms
from streams.decisions.settings import DecisionSettings
from streams.desk import pages, questions
from streams.desk.filters import Filter
from streams.desk.questions import Asked
from streams.desk.settings import DeskSettings
from streams.errors import UserError
from streams.kafka.records import Producer
from streams.setting_types import LOOPBACK, name_in
from streams.store.client import Store
from streams.store.errors import StoreError

log = structlog.get_logger(__name__)
STATIC: Final = Path(__file__).parent / "static"
CLAIM_S: Final = 300.0
"""An event that somebody is shown for review is shown to nobody else for so long."""
REVIEWER_LENGTH: Final = 64
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
REVIEWER: Final = web.RequestKey("reviewer", str)


class Desk:
    """The pages over one store; reviews go out as `llm.feedback`."""

    def __init__(
        self, settings: DeskSettings, decisions: DecisionSettings, store: Store, producer: Producer
    ) -> None:
        self._settings = settings
        self._decisions = decisions
        self._store = store
        self._producer = producer
        self._secret = secrets.token_bytes(32)
        self._claims: dict[str, tuple[str, float]] = {}
        """By decision id: who has it for review, and until when."""

    def application(self) -> web.Application:
        """Return the application with all routes."""
        app = web.Application(middlewares=[self._guarded], client_max_size=64 << 10)
        app.router.add_get("/", self._overview)
        app.router.add_get("/events", self._events)
        app.router.add_get("/event", self._event)
        app.router.add_get("/review", self._review)
        app.router.add_post("/review", self._reviewed)
        app.router.add_post("/judge", self._judged)
        app.router.add_static("/static", STATIC)
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in whom the settings let in; show every failure as a page."""
        try:
            request[REVIEWER] = self._reviewer(request)
            response = await handler(request)
        except web.HTTPException as error:
            response = _page(pages.failure(error.reason, error.text or ""), error.status)
            response.headers.update(
                {k: v for k, v in error.headers.items() if k in ("WWW-Authenticate", "Location")}
            )
        except UserError as error:
            response = _page(pages.failure("That cannot be shown", str(error)), 400)
        except StoreError as error:
            log.warning("the store does not answer", problem=str(error))
            response = _page(pages.failure("The store does not answer", str(error)), 503)
        response.headers.update(HEADERS)
        return response

    def _reviewer(self, request: web.Request) -> str:
        """Return the name of who asks; refuse who may not."""
        if self._settings.is_local and name_in(request.headers) not in LOOPBACK:
            raise web.HTTPForbidden(text="This desk is for this machine alone: open it by 127.0.0.1.")
        password = self._settings.desk_password.get_secret_value()
        if not password:
            return "desk"
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, told = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user = told = ""
        if scheme.lower() != "basic" or not user or not hmac.compare_digest(told.encode(), password.encode()):
            raise web.HTTPUnauthorized(
                text="Give your name and the password of the desk.",
                headers={"WWW-Authenticate": 'Basic realm="weir desk", charset="UTF-8"'},
            )
        return user[:REVIEWER_LENGTH]

    async def _ask(self, make: Callable[[Asked], str]) -> web.Response:
        return _page(await asyncio.to_thread(lambda: make(Asked(self._store))))

    async def _overview(self, request: web.Request) -> web.Response:
        def make(asked: Asked) -> str:
            return pages.overview(asked, Filter.of(request.query, frozenset()))

        return await self._ask(make)

    async def _events(self, request: web.Request) -> web.Response:
        def make(asked: Asked) -> str:
            known = questions.metrics(asked)
            return pages.events(asked, Filter.of(request.query, known), known)

        return await self._ask(make)

    async def _event(self, request: web.Request) -> web.Response:
        def make(asked: Asked) -> str:
            row = self._found(asked, request.query.get("app", ""), request.query.get("id", ""))
            return pages.event(
                asked, row, self._token(request), "Thank you." if "judged" in request.query else ""
            )

        return await self._ask(make)

    async def _review(self, request: web.Request) -> web.Response:
        reviewer = request[REVIEWER]

        def make(asked: Asked) -> str:
            waiting = questions.to_review(asked, questions.PAGE)
            mine = self._claim(
                [row["decision_id"] for row in waiting], reviewer, skip="skip" in request.query
            )
            row = next((each for each in waiting if each["decision_id"] == mine), None)
            whole = questions.event(asked, row["app"], row["event_id"]) if row else None
            return pages.review(asked, whole, len(waiting), self._token(request))

        return await self._ask(make)

    def _claim(self, waiting: list[str], reviewer: str, *, skip: bool) -> str | None:
        """Return what a reviewer is shown: what he has, or what nobody has."""
        now = time.monotonic()
        self._claims = {one: claim for one, claim in self._claims.items() if claim[1] > now}
        own = [one for one in waiting if self._claims.get(one, ("",))[0] == reviewer]
        if own and not skip:
            return own[-1]
        free = next((one for one in waiting if one not in self._claims), None)
        if free is not None:
            self._claims[free] = (reviewer, now + CLAIM_S)
        return free

    async def _reviewed(self, request: web.Request) -> web.Response:
        await self._publish(request)
        raise web.HTTPSeeOther("/review")

    async def _judged(self, request: web.Request) -> web.Response:
        feedback = await self._publish(request)
        raise web.HTTPSeeOther(
            "/event?" + urlencode({"app": feedback.app, "id": feedback.event_id, "judged": "1"})
        )

    async def _publish(self, request: web.Request) -> Feedback:
        """Send a review. One reviewer on one event and rule has one id: a second click adds nothing."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        if not hmac.compare_digest(form.get("token", ""), self._token(request)):
            raise web.HTTPForbidden(text="The page is too old: load it again.")
        app, event_id, metric = form.get("app", ""), form.get("event_id", ""), form.get("metric", "")
        row = await asyncio.to_thread(self._found, Asked(self._store), app, event_id)
        if metric and metric not in row["rules"]:
            raise UserError("the event did not trip that rule")
        feedback = make_feedback(
            row,
            self._decisions,
            form.get("judgement", ""),
            rule=metric,
            reviewer=request[REVIEWER],
            comment=form.get("comment", "")[:1000],
            now_ms=wall_clock_ms(),
        )
        await self._producer.send(topics.FEEDBACK, [(event_id.encode(), codec.encode(feedback))])
        # Until its row is in the store it must not be shown again.
        self._claims[row["decision_id"]] = ("", time.monotonic() + CLAIM_S)
        return feedback

    def _found(self, asked: Asked, app: str, event_id: str) -> dict[str, Any]:
        row = questions.event(asked, app, event_id)
        if row is None:
            raise UserError("there is no such event, or it is not in the store yet")
        return row

    def _token(self, request: web.Request) -> str:
        """Return what a form of ours carries, and no other site knows."""
        return hmac.new(self._secret, request[REVIEWER].encode(), hashlib.sha256).hexdigest()


def _page(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, content_type="text/html", status=status)
