import msgspec
import pytest
from hypothesis import given

from schemas.codec import decision_id, decode, encode, partition_key, segment_key
from schemas.events import Event, Feedback
from tests.schemas.strategies import EVENTS, FEEDBACK


@given(event=EVENTS)
def test_any_event_survives_a_round_trip(event: Event) -> None:
    assert decode(Event, encode(event)) == event


@given(feedback=FEEDBACK)
def test_any_feedback_survives_a_round_trip(feedback: Feedback) -> None:
    assert decode(Feedback, encode(feedback)) == feedback


@given(event=EVENTS)
def test_every_event_has_keys_and_an_id(event: Event) -> None:
    assert partition_key(event)
    assert msgspec.json.decode(segment_key(event)) == [event.app, event.model, event.prompt_version]
    assert decision_id(event.app, event.event_id) == decision_id(event.app, event.event_id)


@given(event=EVENTS, other=EVENTS)
def test_events_share_an_id_only_when_app_and_event_id_agree(event: Event, other: Event) -> None:
    same = (event.app, event.event_id) == (other.app, other.event_id)
    assert (decision_id(event.app, event.event_id) == decision_id(other.app, other.event_id)) is same


def test_a_text_without_utf8_cannot_be_encoded_silently() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode(Event(event_id="e", app="a", kind="prompt", text="\ud800"))
