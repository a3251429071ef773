"""Whose an event is when it comes with a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.events import NAME_LENGTH, Event
from streams.gate.keys import Caller

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
