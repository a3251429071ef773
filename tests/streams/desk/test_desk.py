"""The pages of the desk over a real store: they load, show hostile text as text, and take a review once."""

import asyncio
import base64
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from schemas import codec, topics
from schemas.events import Decision, Event, Feedback, RuleHit, ScoredEvent
from streams.decisions.settings import DecisionSettings
from streams.desk.html import el, readable
from streams.desk.server import Desk
from streams.desk.settings import DeskSettings
from streams.kafka.records import Message
from streams.store.client import Store

HOSTILE = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(2)>", "' onmouseover='alert(3)",
    "\u202egnp.exe\u2066", "\x1b[31mred\x1b[0m", "a" + "\u0301" * 10_000, "x" * 200_000, "{{7*7}} ${7*7}",
    "\0\ud7ff\ufeff",
)  # fmt: skip


def scored(number: int, text: str, action: Any = "block", **event: Any) -> ScoredEvent:
    hit = RuleHit(
        rule="injection-block", action=action, severity="high", mode="enforce", metric="injection", score=0.95
    )
    given = {"event_id": f"e{number}", "app": "shop", "kind": "prompt", "text": text, **event}
    decision = Decision(
        decision_id=f"d{number}", event_id=given["event_id"], app=given["app"], kind="prompt",
        verdict=action, action=action, rules=(hit,) if action != "allow" else (),
    )  # fmt: skip
    now = time.time_ns() // 1_000_000 - 60_000 + number
    return ScoredEvent(event=Event(**given), scores={"injection": 0.95}, decision=decision, timestamp=now)


class Producer:
    """A producer whose broker is a list."""

    def __init__(self) -> None:
        self.sent: list[Feedback] = []

    async def send(self, topic: str, messages: Sequence[Message]) -> None:
        assert topic == topics.FEEDBACK
        self.sent += [codec.decode(Feedback, value) for _, value in messages]


@pytest.fixture(scope="module")
def store(clickhouse: str) -> Iterator[Store]:
    made = Store(clickhouse, database=f"test_{uuid.uuid4().hex}")
    made.migrate(["injection"])
    rows = [
        scored(number, text, user=text[:200], conversation_id="c1") for number, text in enumerate(HOSTILE)
    ]
    rows += [scored(100 + number, f"harmless {number}", "allow", app=HOSTILE[0]) for number in range(60)]
    made.insert(rows, uuid.uuid4().hex)
    yield made
    made.client.command(f"DROP DATABASE {made.database}")
    made.close()


class Open:
    """A desk in this process."""

    def __init__(self, store: Store, **given: Any) -> None:
        self.producer = Producer()
        settings = DeskSettings(**given)
        decisions = DecisionSettings(redaction_key="k" * 32)
        self._server = TestServer(Desk(settings, decisions, store, self.producer).application())

    async def __aenter__(self) -> "Open":
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

    async def review(self, event_id: str, token: str, judgement: str, status: int = 303, **more: str) -> None:
        form = {"app": "shop", "event_id": event_id, "token": token, "judgement": judgement, **more}
        async with self.http.post("/review", data=form, allow_redirects=False) as response:
            assert response.status == status, await response.text()


@pytest.fixture
async def desk(store: Store) -> AsyncIterator[Open]:
    async with Open(store) as running:
        yield running


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def token_of(page: str) -> str:
    return str(re.findall(r'name="token" value="(\w+)"', page)[0])


PAGES = (
    "/",
    "/?since=1h",
    "/?since=all",
    "/events",
    "/events?rule=injection-block&metric=injection&least=0.9",
)


@pytest.mark.parametrize(
    "path", [*PAGES, *(f"/event?app=shop&id=e{number}" for number in range(len(HOSTILE))), "/review"]
)
async def test_what_an_attacker_writes_is_shown_as_text(desk: Open, path: str) -> None:
    page = await desk.get(path)
    assert "<script>alert" not in page
    assert "<img" not in page
    assert not re.search(r"<[^>]*\son\w+=", page), "no event handler in any tag"
    assert not set(page) & set("\x1b\u202e\u2066\0\ufeff")
    assert len(page) < 400_000
    assert "\u0301" * 5 not in page


async def test_filters_are_addresses_and_pages_go_on(desk: Open) -> None:
    first = await desk.get("/events?app=%3Cscript%3Ealert(1)%3C/script%3E")
    assert first.count("harmless ") == 50
    older = re.findall(r'href="([^"]+)" rel="next"', first)[0].replace("&amp;", "&")
    assert (await desk.get(older)).count("harmless ") == 10
    assert "harmless" not in await desk.get("/events?action=block")
    for wrong in ("since=x", "metric=drop", "metric=injection&least=x", "before=x", "metric=1;"):
        assert "That cannot be shown" in await desk.get(f"/events?{wrong}", 400)
    assert "no such event" in await desk.get("/event?app=shop&id=none", 400)
    await desk.get("/nothing", 404)


async def test_a_review_is_one_feedback_and_the_next_event_is_another(desk: Open) -> None:
    page = await desk.get("/review")
    shown = re.findall(r'name="event_id" value="(\w+)"', page)[0]
    token = token_of(page)
    for _ in range(2):
        await desk.review(shown, token, "false_positive", metric="injection-block", comment="a joke")
    first, second = desk.producer.sent
    assert first.feedback_id == second.feedback_id, "a second click is the same review"
    assert (first.event_id, first.judgement, first.metric, first.comment) == (
        shown,
        "false_positive",
        "injection-block",
        "a joke",
    )
    assert re.findall(r'name="event_id" value="(\w+)"', await desk.get("/review"))[0] != shown


async def test_a_comment_is_kept_as_any_text_is(desk: Open) -> None:
    token = token_of(await desk.get("/review"))
    await desk.review("e0", token, "unsure", comment="ask jane.doe@example.com")
    [feedback] = desk.producer.sent
    assert feedback.comment.startswith("ask [EMAIL_")


async def test_a_review_needs_our_form_and_a_judgement_that_there_is(desk: Open) -> None:
    token = token_of(await desk.get("/review"))
    await desk.review("e0", "0" * 64, "correct", 403)
    await desk.review("e0", token, "perhaps", 400)
    await desk.review("none", token, "correct", 400)
    await desk.review("e0", token, "correct", 400, metric="other-rule")
    assert desk.producer.sent == []


async def test_two_reviewers_are_shown_different_events_and_need_the_password(store: Store) -> None:
    async with Open(store, desk_password="open sesame", desk_listen="0.0.0.0:1") as desk:
        await desk.get("/", 401)
        await desk.get("/", 401, headers=basic("ann", "wrong"))
        pages = [
            await desk.get("/review", headers=basic(name, "open sesame")) for name in ("ann", "bob", "ann")
        ]
        shown = [re.findall(r'name="event_id" value="(\w+)"', page) for page in pages]
        assert shown[0] == shown[2] != shown[1]


async def test_another_name_for_this_machine_is_refused(desk: Open) -> None:
    assert "127.0.0.1" in await desk.get("/", 403, headers={"Host": "evil.example:9490"})


async def test_a_store_that_is_away_is_said(unused_tcp_port: int) -> None:
    async with Open(Store(f"http://127.0.0.1:{unused_tcp_port}")) as desk:
        assert "The store does not answer" in await desk.get("/", 503)


def test_other_machines_need_a_password() -> None:
    with pytest.raises(ValueError, match="WEIR_DESK_PASSWORD"):
        DeskSettings(desk_listen="0.0.0.0:9490")


def test_html_is_escaped_wherever_it_stands() -> None:
    made = el("a", {"href": '"><b>', "title": None}, "<i>", ["&", el("b", None, 1_000)])
    assert made == '<a href="&quot;&gt;&lt;b&gt;">&lt;i&gt;&amp;<b>1,000</b></a>'
    assert readable("a\u202eb\x07" + "c" * 10, 5) == "a⟨202E⟩b⟨0007⟩c … (9 more characters)"


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
async def test_a_browser_runs_nothing_of_it_and_complains_of_nothing(desk: Open) -> None:
    command = (
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--dump-dom",
    )
    for path in ("/", "/events", "/review"):
        done = await asyncio.to_thread(
            subprocess.run, [*command, desk.url + path], capture_output=True, text=True, timeout=60
        )
        assert "</main>" in done.stdout
        assert "CONSOLE" not in done.stderr, done.stderr
