"""A desk in this process, for tests."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from schemas import codec, topics
from schemas.alerts import AlertAction
from schemas.events import Feedback
from schemas.reviews import Claim
from streams.decisions.settings import DecisionSettings
from streams.desk.claims import Held
from streams.desk.server import Desk
from streams.desk.settings import DeskSettings
from streams.kafka.records import Message
from streams.policy import DEFAULT_POLICY
from streams.store.client import Store


class Producer:
    """A producer whose broker is a list."""

    def __init__(self) -> None:
        self.sent: list[Feedback] = []
        self.actions: list[AlertAction] = []

    async def send(self, topic: str, messages: Sequence[Message]) -> None:
        if topic == topics.ALERT_ACTIONS:
            self.actions += [codec.decode(AlertAction, value) for _, value in messages]
        else:
            assert topic == topics.FEEDBACK
            self.sent += [codec.decode(Feedback, value) for _, value in messages]


class InMemory:
    """Claims of one desk, without a broker."""

    def __init__(self) -> None:
        self._held = Held()

    async def claim(self, waiting: Sequence[str], reviewer: str, *, skip: bool = False) -> str | None:
        mine = [one for one in waiting if (held := self._held.of(one, 0)) and held.reviewer == reviewer]
        if mine and not skip and not self._done(mine[-1]):
            return mine[-1]
        free = next((one for one in waiting if self._held.of(one, 0) is None), None)
        if free:
            self._held.take(Claim(claim_id="c", decision_id=free, reviewer=reviewer, timestamp=0, until=1))
        return free

    def _done(self, decision_id: str) -> bool:
        held = self._held.of(decision_id, 0)
        return held is not None and held.done

    async def done(self, decision_id: str, reviewer: str) -> None:
        claim = Claim(
            claim_id="d", decision_id=decision_id, reviewer=reviewer, timestamp=0, until=1, done=True
        )
        self._held.take(claim)


class OpenDesk:
    """The desk over a store, on a port of its own."""

    def __init__(
        self,
        store: Store,
        roles: Sequence[tuple[str, str]] = (),
        policy: Path = DEFAULT_POLICY,
        **given: Any,
    ) -> None:
        self.producer = Producer()
        decisions = DecisionSettings(redaction_key="k" * 32, policy=policy)
        desk = Desk(DeskSettings(**given), decisions, store, self.producer, InMemory(), roles)
        self._server = TestServer(desk.application())

    async def __aenter__(self) -> "OpenDesk":
        await self._server.start_server()
        self.url = str(self._server.make_url("/")).rstrip("/")
        self.http = ClientSession(self.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()
        await self._server.close()

    async def get(self, path: str, status: int = 200, **more: Any) -> str:
        async with self.http.get(path, **more) as response:
            text = await response.text()
            assert response.status == status, text
            assert "default-src 'self'" in response.headers["Content-Security-Policy"]
            return text

    async def post(self, path: str, form: dict[str, str], status: int = 303, *, headers: Any = None) -> str:
        async with self.http.post(path, data=form, headers=headers, allow_redirects=False) as response:
            text = await response.text()
            assert response.status == status, text
            return text


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def token_of(page: str) -> str:
    return str(re.findall(r'name="token" value="(\w+)"', page)[0])


def shown_in(page: str) -> str:
    """Return the id of the event that is shown for review."""
    return str(re.findall(r'name="event_id" value="([\w-]+)"', page)[0])
