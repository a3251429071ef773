"""The HTTP server of the desk: what is read, what is written."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from aiohttp import web

from schemas.events import KINDS
from streams.alerts import actions
from streams.decisions.settings import DecisionSettings
from streams.desk import acting, colours, failures, health
from streams.desk.access import Access, Visitor, audit, audit_read
from streams.desk.asked import Asked
from streams.desk.conditions import conditions, in_file, text_of
from streams.desk.filters import Filter
from streams.desk.forms import values_of
from streams.desk.live import Live
from streams.desk.pages import compare, drift, events, judging, overview, usage
from streams.desk.questions import compare as sides
from streams.desk.questions import drift as moved
from streams.desk.questions import events as questions
from streams.desk.questions import usage as groups
from streams.desk.responses import HEADERS, one_of, page
from streams.desk.reviewing import Holding, Reviewing, stored
from streams.desk.settings import DeskSettings
from streams.desk.trials import Trials
from streams.errors import UserError
from streams.kafka.records import Producer
from streams.policy.yaml_subset import MAX_BYTES
from streams.store.client import Store

if TYPE_CHECKING:
    from streams.policy.differences import Difference

STATIC: Final = Path(__file__).parent / "static"
FORM_BYTES: Final = 2 * MAX_BYTES
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Form = dict[str, str]
VISITOR: Final = web.RequestKey("visitor", Visitor)


class Desk:
    """The pages over one store; reviews go out as `llm.feedback`.

    Args:
        settings: who gets in.
        decisions: the policy file, and how comments are kept.
        store: what is shown.
        producer: takes the reviews.
        claims: who has which event for review.
        roles: name and host:port of the roles whose health is shown.

    """

    def __init__(
        self,
        settings: DeskSettings,
        decisions: DecisionSettings,
        store: Store,
        producer: Producer,
        claims: Holding,
        roles: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._policy = decisions.policy
        self._store = store
        self._roles = roles
        self._access = Access(settings)
        self._producer = producer
        self._reviewing = Reviewing(decisions, producer, claims)
        self._trials = Trials()
        self._live = Live()

    def application(self) -> web.Application:
        """Return the application with all routes."""
        app = web.Application(middlewares=[self._guarded], client_max_size=FORM_BYTES)
        for path, handler in (
            ("/", self._overview), ("/live", self._lively), ("/events", self._events),
            ("/event", self._event),
            ("/review", self._review), ("/compare", self._compare), ("/drift", self._drift),
            ("/usage", self._usage), ("/policy", self._policies), ("/colours.css", colours.answer),
        ):  # fmt: skip
            app.router.add_get(path, handler)
        app.router.add_post("/review", self._reviewed)
        app.router.add_post("/judge", self._judged)
        app.router.add_post("/name", self._named)
        app.router.add_post("/alert", self._acted)
        app.router.add_post("/policy/try", self._tried)
        app.router.add_post("/policy/backtest", self._backtested)
        app.router.add_static("/static", STATIC)
        app.on_shutdown.append(self._live.close)
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in whom the settings let in; show every failure as a page."""
        response: web.StreamResponse
        try:
            request[VISITOR] = self._access.visitor(request)
            response = await handler(request)
        except failures.KNOWN as error:
            response = failures.shown(error)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def _ask(self, request: web.Request, make: Callable[[Asked], str]) -> web.Response:
        asked = Asked(self._store)
        text = await asyncio.to_thread(make, asked)
        audit_read(request[VISITOR], asked)
        return page(text)

    async def _overview(self, request: web.Request) -> web.Response:
        roles = await health.roles(self._roles)
        return await self._ask(
            request, lambda asked: overview.overview(asked, _wanted(request, Asked(self._store)), roles)
        )

    async def _lively(self, request: web.Request) -> web.StreamResponse:
        wanted = await asyncio.to_thread(_wanted, request, Asked(self._store))
        name = wanted.link("/live")

        async def make() -> str:
            roles = await health.roles(self._roles)
            return await asyncio.to_thread(lambda: overview.live(Asked(self._store), wanted, roles, name))

        return await self._live.serve(request, name, make)

    async def _events(self, request: web.Request) -> web.Response:
        return await self._ask(request, lambda asked: events.listing(asked, _wanted(request, asked)))

    async def _event(self, request: web.Request) -> web.Response:
        def make(asked: Asked) -> str:
            row = stored(asked, request.query.get("app", ""), request.query.get("id", ""))
            thanks = "Thank you: it is kept in some seconds." if "judged" in request.query else ""
            said = conditions(asked, row, self._policy)
            return events.event(asked, row, questions.scores(asked), said, self._token(request), thanks)

        return await self._ask(request, make)

    async def _review(self, request: web.Request) -> web.Response:
        asked, token, visitor = Asked(self._store), self._token(request), request[VISITOR]
        queue = judging.Queue.of(request.query)
        row, left, who = None, 0, judging.name_form(visitor, token, queue)
        thanks = judging.saved(request.query.get("saved", ""))
        if token:
            skip = "skip" in request.query
            row, left = await self._reviewing.next(asked, visitor.name, queue.rule, skip=skip)

        def make() -> str:
            if row is None:
                return judging.review(asked, None, [], [], queue, left, token, who, thanks)
            rules = conditions(asked, row, self._policy)
            said = events.told(asked, row, rules)
            return judging.review(asked, row, said, [*rules], queue, left, token, who, thanks)

        text = await asyncio.to_thread(make)
        audit_read(visitor, asked)
        return page(text)

    async def _compare(self, request: web.Request) -> web.Response:
        def make(asked: Asked) -> str:
            query = values_of(request.query)
            by = one_of("by", query.get("by", sides.BY[0]), sides.BY)
            # Values of what was compared before say nothing of something else.
            named = query if query.get("was", by) == by else {}
            chosen = sides.Sides.of(by, named.get("old", ""), named.get("new", ""))
            return compare.compare(asked, _wanted(request, asked), chosen)

        return await self._ask(request, make)

    async def _drift(self, request: web.Request) -> web.Response:
        def make(asked: Asked) -> str:
            query = request.query
            if "id" in query:
                if (row := moved.one(asked, query["id"])) is None:
                    raise UserError("there is no such drift")
                return drift.one(asked, row, questions.metrics(asked))
            if "alert" in query:
                if not (found := moved.state(asked, query["alert"])):
                    raise UserError("there is no such alert")
                return drift.alert(asked, found, self._token(request))
            said = "It is on its way, and shows here in some seconds." if "done" in query else ""
            return drift.drift(asked, _wanted(request, asked), self._token(request), said)

        return await self._ask(request, make)

    async def _usage(self, request: web.Request) -> web.Response:
        def make(asked: Asked) -> str:
            by = one_of("by", request.query.get("by", groups.BY[0]), groups.BY)
            usual = "blocked" if by == "user" else "spent"
            order = one_of("order", request.query.get("order", usual), groups.ORDERS)
            return usage.usage(asked, _wanted(request, asked), by, order, in_file(self._policy))

        return await self._ask(request, make)

    async def _policies(self, request: web.Request) -> web.Response:
        roles, time = await health.roles(self._roles), Filter.window(request.query)

        def make(asked: Asked) -> str:
            # Not before somebody asks: what reads a policy loads all that a policy may name, 40 MB.
            from streams.desk.pages import policy

            now = policy.Draft.of(text_of(self._policy), questions.scores(asked))
            return policy.policy(asked, now, self._token(request), roles, time)

        return await self._ask(request, make)

    async def _reviewed(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        queue = judging.Queue.of(form)
        await self._publish(request, form)
        raise web.HTTPSeeOther(queue.path(saved=form["judgement"]))

    async def _judged(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        await self._publish(request, form)
        given = {"app": form["app"], "id": form["event_id"], "judged": "1"}
        raise web.HTTPSeeOther("/event?" + urlencode(given))

    async def _named(self, request: web.Request) -> web.Response:
        """Take the name that a reviewer gives, where nobody else says who asks."""
        form = await self._form(request)
        back = web.Response(status=303, headers={"Location": judging.Queue.of(form).path()})
        self._access.rename(request[VISITOR], form.get("name", ""), back)
        return back

    async def _acted(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        done = acting.action(form, request[VISITOR].name, time.time_ns() // 1_000_000)
        await actions.publish(done, self._producer)
        audit(done.action, request[VISITOR].name, alert_id=done.alert_id)
        raise web.HTTPSeeOther("/drift?done=1")

    async def _publish(self, request: web.Request, form: Form) -> None:
        app, event_id = form.get("app", ""), form.get("event_id", "")
        row = await asyncio.to_thread(stored, Asked(self._store), app, event_id)
        feedback = await self._reviewing.publish(row, request[VISITOR].name, form)
        audit("judged", request[VISITOR].name, app=app, event_id=event_id, judgement=feedback.judgement)

    async def _tried(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        text, kind, token = form.get("text", ""), form.get("kind", "prompt"), form["token"]
        one_of("kind", kind, KINDS)
        audit("tried a text", request[VISITOR].name, characters=len(text))
        answer = await self._trials.check(text, kind, form.get("app", ""))

        def make(_: Asked) -> str:
            from streams.desk.pages import trial

            return trial.tried(answer, token, text, kind)

        return await self._ask(request, make)

    async def _backtested(self, request: web.Request) -> web.Response:
        from streams.desk.pages import trial

        form = await self._form(request)
        draft, since, app = form.get("draft", ""), form.get("since", "7d"), form.get("app", "")

        def changes(asked: Asked) -> "list[Difference]":
            from streams.desk.pages import policy

            one_of("since", since, policy.SINCE)
            return policy.changes_of(draft, text_of(self._policy), questions.scores(asked))

        try:
            found = await asyncio.to_thread(changes, Asked(self._store))
            audit("tried a draft", request[VISITOR].name, since=since, app=app)
            answer = await self._trials.backtest(draft, since, app)
        except UserError as error:
            return page(trial.refused(str(error), form["token"], draft, since), 400)

        def make(_: Asked) -> str:
            return trial.backtested(answer, found, form["token"], draft, since)

        return await self._ask(request, make)

    async def _form(self, request: web.Request) -> Form:
        """Return what a form of ours says, of a reviewer."""
        try:
            form = {name: str(value).replace("\r\n", "\n") for name, value in (await request.post()).items()}
            "".join(form.values()).encode()
        except ValueError:
            raise UserError("the form is not UTF-8") from None
        self._access.require(request[VISITOR], form.get("token", ""))
        return values_of(form)

    def _token(self, request: web.Request) -> str | None:
        """Return what a form of ours carries; None for who may only look."""
        visitor = request[VISITOR]
        return self._access.token(visitor) if visitor.role == "reviewer" else None


def _wanted(request: web.Request, asked: Asked) -> Filter:
    """Return the filter of an address, over the metrics that there are."""
    return Filter.of(values_of(request.query), questions.metrics(asked))
