"""Who gets in, and what he may do."""

import re
from typing import Any

import pytest
import structlog
from aiohttp import ClientSession, CookieJar

from streams.desk.settings import DeskSettings
from streams.store.client import Store
from tests.pages.hostile import HOSTILE
from tests.streams.desk.desks import OpenDesk, basic, shown_in, token_of

OUTSIDE: dict[str, Any] = {
    "desk_password": "open sesame",
    "desk_viewer_password": "only looking",
    "desk_listen": "0.0.0.0:1",
}


async def test_two_reviewers_are_shown_different_events_and_need_the_password(desk_store: Store) -> None:
    async with OpenDesk(desk_store, **OUTSIDE) as desk:
        await desk.get("/", 401)
        await desk.get("/", 401, headers=basic("ann", "wrong"))
        await desk.get("/", 401, headers=basic("", "open sesame"))
        pages = [
            await desk.get("/review", headers=basic(name, "open sesame")) for name in ("ann", "bob", "ann")
        ]
        shown = [shown_in(page) for page in pages]
        assert shown[0] == shown[2] != shown[1]
        await desk.post("/review", {"token": token_of(pages[0])}, 403, headers=basic("bob", "open sesame"))


async def test_a_viewer_looks_and_changes_nothing(desk_store: Store) -> None:
    viewer = basic("vic", "only looking")
    async with OpenDesk(desk_store, **OUTSIDE) as desk:
        assert 'name="token"' not in await desk.get("/review", headers=viewer)
        assert 'name="token"' not in await desk.get("/policy", headers=viewer)
        token = token_of(await desk.get("/policy", headers=basic("vic", "open sesame")))
        for path in ("/review", "/judge", "/policy/try", "/policy/backtest"):
            await desk.post(path, {"token": token}, 403, headers=viewer)


async def test_a_name_is_believed_from_the_proxy_alone(desk_store: Store) -> None:
    given: dict[str, Any] = {"desk_user_header": "X-Forwarded-User", "desk_reviewers": ("ann",)}
    ann, bob = {"X-Forwarded-User": "ann"}, {"X-Forwarded-User": "bob"}
    async with OpenDesk(desk_store, **given) as desk:
        await desk.get("/", 403)
        assert 'name="token"' in await desk.get("/policy", headers=ann)
        assert 'name="token"' not in await desk.get("/policy", headers=bob)
    async with OpenDesk(desk_store, **given, desk_proxies=("192.0.2.1",)) as desk:
        await desk.get("/", 403, headers=ann)


async def test_reviewers_of_one_machine_take_names_and_are_shown_different_events(desk: OpenDesk) -> None:
    first = await desk.get("/review")
    assert "You judge as <bdi>desk</bdi>" in first
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as browser:
        form = {"token": token_of(first), "name": "  Zoë   <b> "}
        with structlog.testing.capture_logs() as logs:
            async with browser.post(f"{desk.url}/name", data=form) as answer:
                second = await answer.text()
        assert "You judge as <bdi>Zoë &lt;b&gt;</bdi>" in second
        assert shown_in(second) != shown_in(first)
        assert [(log["what"], log["who"], log["name"]) for log in logs if log["event"] == "audit"] == [
            ("took a name", "desk", "Zoë <b>")
        ]
        hidden = dict(re.findall(r'name="(app|event_id|token)" value="([\w-]+)"', second))
        async with browser.post(f"{desk.url}/judge", data=hidden | {"judgement": "unsure"}):
            assert desk.producer.sent[-1].reviewer == "Zoë <b>"
    await desk.post("/name", {"name": "eve", "token": "0" * 64}, 403)
    for wrong in ("", " ", "x" * 65, "a\u202eb"):
        await desk.post("/name", {"name": wrong, "token": token_of(first)}, 400)
    for cookie in ("a%00b", "x" * 200):
        assert "<bdi>desk</bdi>" in await desk.get("/review", headers={"Cookie": f"weir_reviewer={cookie}"})


async def test_who_came_in_with_a_name_keeps_it(desk_store: Store) -> None:
    ann = basic("ann", "open sesame")
    async with OpenDesk(desk_store, **OUTSIDE) as desk:
        page = await desk.get("/review", headers=ann | {"Cookie": "weir_reviewer=bob"})
        assert "You judge as" not in page
        await desk.post("/name", {"token": token_of(page), "name": "bob"}, 400, headers=ann)


async def test_another_name_for_this_machine_is_refused(desk: OpenDesk) -> None:
    assert "127.0.0.1" in await desk.get("/", 403, headers={"Host": "evil.example:9490"})


async def test_who_sees_a_text_that_was_kept_whole_is_noted(desk_store: Store) -> None:
    async with OpenDesk(desk_store, **OUTSIDE) as desk:
        with structlog.testing.capture_logs() as logs:
            await desk.get("/event?app=hostile&id=h0", headers=basic("ann", "open sesame"))
            await desk.get("/events?app=hostile", headers=basic("ann", "open sesame"))
            await desk.get("/events?app=shop", headers=basic("ann", "open sesame"))
            await desk.get("/", 401, headers=basic("eve", "guess"))
    noted = [log for log in logs if log["event"] == "audit"]
    assert [(log["what"], log["who"]) for log in noted] == [
        ("read", "ann"),
        ("read", "ann"),
        ("refused", "eve"),
    ]
    assert "h0" in noted[0]["events"]
    assert len(noted[1]["events"]) == len(HOSTILE)
    assert "script" not in str(noted)


def test_other_machines_need_a_password_or_a_proxy() -> None:
    with pytest.raises(ValueError, match="WEIR_DESK_PASSWORD or WEIR_DESK_USER_HEADER"):
        DeskSettings(desk_listen="0.0.0.0:9490")
    with pytest.raises(ValueError, match="lets nobody judge"):
        DeskSettings(desk_viewer_password="only looking")
    assert not DeskSettings(desk_listen="0.0.0.0:9490", desk_user_header="X-Forwarded-User").is_local
