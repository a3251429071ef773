"""Whose an event is when it comes with a key."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec, topics
from schemas.events import NAME_LENGTH, Event, ScoredEvent
from streams.gate.keys import Caller, Keys, hash_of
from streams.gate.openapi import document
from tests.streams.gate.test_otlp import CHAT, span, traces
from tests.streams.gate.test_server import HARMLESS, LITELLM_PATH, Running

NAMES = st.text(min_size=1, max_size=NAME_LENGTH)


def bound(tenant: str, event_id: str) -> Event:
    event = Event(event_id=event_id, app="shop", kind="prompt", text="x", tenant="said by the caller")
    return Caller(tenant=tenant).binds(event)


@given(NAMES, NAMES, NAMES, NAMES)
def test_no_id_leads_a_tenant_to_an_event_of_another(
    tenant: str, other: str, event_id: str, guess: str
) -> None:
    mine, theirs = bound(tenant, event_id), bound(other, guess)
    assert (mine.event_id == theirs.event_id) == ((tenant, event_id) == (other, guess))
    assert mine.tenant == tenant
    assert len(mine.event_id) <= NAME_LENGTH


def test_an_id_that_looks_like_one_of_another_tenant_is_none() -> None:
    assert bound("acme", "1").event_id == "acme:1"
    assert bound("a", "b:1").event_id != bound("a:b", "1").event_id
    assert bound("bolt", "acme:1").event_id == "bolt:acme:1"


def test_an_id_that_is_too_long_is_refused_as_without_a_key() -> None:
    with pytest.raises(codec.Rejected, match="event_id"):
        codec.Decoder().decode_event(codec.encode(bound("acme", "x" * (NAME_LENGTH + 1))), 0, 0)


def test_without_a_tenant_the_id_is_that_of_the_app() -> None:
    event = Event(event_id="1", app="shop", kind="prompt", text="x", tenant="acme")
    assert Caller().binds(event) is event
    assert Caller(app="bank").binds(event).event_id == "1"


CLAIM = {"app": "shop", "tenant": "bolt", "event_id": "1", "kind": "completion"}
TALK = {"messages": [{"role": "user", "content": HARMLESS}]}
DOORS: dict[str, Any] = {
    "/v1/check": CLAIM | {"text": HARMLESS},
    "/v1/moderations": {"input": HARMLESS},
    "/v1/events": CLAIM | {"text": HARMLESS},
    "/v1/stream": CLAIM | {"delta": HARMLESS},
    LITELLM_PATH: {
        "input_type": "request",
        "texts": [HARMLESS],
        "additional_provider_specific_params": {"tenant": "bolt"},
        "request_data": {"user_api_key_team_id": "bolt"},
    },
    "/request": {"body": TALK},
    "/response": {"body": TALK},
    "/portkey": {"eventType": "beforeRequestHook", "request": {"json": TALK}},
    "/v1/traces": traces(span(CHAT)),
    "/api/public/otel/v1/traces": traces(span(CHAT)),
    "/v1/logs": None,
}


async def test_every_door_wants_the_key_and_makes_the_event_that_of_its_tenant(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{hash_of('a')} tenant=acme\n")
    assert set(DOORS) == set(document()["paths"])
    async with Running(tmp_path, Keys.load(tmp_path / "keys")) as gate:
        with pytest.raises(WSServerHandshakeError, match="401"):
            await gate.http.ws_connect("/v1/stream")
        for key, kind in ({}, "no_key"), ({"x-api-key": "b"}, "wrong_key"):
            async with gate.http.post("/v1/check", json={"text": "a"}, headers=key) as response:
                assert (await response.json())["error"]["type"] == kind
        came = 0
        for path, body in DOORS.items():
            for key, status in ({}, 401), ({"x-api-key": "b"}, 401), ({"x-api-key": "a"}, 200):
                headers = {"Content-Type": "application/json", **key}
                async with gate.http.post(path, data=json.dumps(body or {}), headers=headers) as response:
                    assert response.status in (status, status + 2), (path, await response.text())
                    await response.read()
            events = [codec.decode(Event, value) for value in await gate.sent(topics.EVENTS)]
            events += [codec.decode(ScoredEvent, value).event for value in await gate.sent(topics.SCORES)]
            assert {(event.tenant, event.event_id.partition(":")[0]) for event in events} == {
                ("acme", "acme")
            }
            assert body is None or len(events) > came, path
            came = len(events)


OVERRULED = "`app` is that of the key, and not the one that was sent"


async def test_whoever_names_an_app_that_is_not_the_keys_is_told_so_at_every_door(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{hash_of('a')} app=shop\n")
    async with Running(tmp_path, Keys.load(tmp_path / "keys")) as gate:
        for path, body in DOORS.items():
            for named in ({"X-Weir-App": "bank"}, {"X-Weir-App": "shop"}, {}):
                headers = {"Content-Type": "application/json", "x-api-key": "a", **named}
                async with gate.http.post(path, data=json.dumps(body or {}), headers=headers) as response:
                    said, text = response.headers.get("X-Weir-Warning", ""), await response.text()
                expected = named == {"X-Weir-App": "bank"}
                assert (OVERRULED in said or OVERRULED in text) == expected, path
        for path in ("/v1/check", "/v1/events", "/v1/stream"):
            for app in ("bank", "shop", None):
                body = {name: value for name, value in {**DOORS[path], "app": app}.items() if value}
                async with gate.http.post(path, json=body, headers={"x-api-key": "a"}) as response:
                    last = json.loads((await response.text()).splitlines()[-1])
                assert last.get("warnings", []) == ([OVERRULED] if app == "bank" else []), path
