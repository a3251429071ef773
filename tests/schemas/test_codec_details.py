"""What the codec says of payloads that are nearly right, ids and keys."""

import datetime as dt

import msgspec
import pytest

from schemas import codec
from schemas.codec import Decoder, Reason, Rejected, decode, encode
from schemas.drift import DriftRecord
from schemas.events import Alert, Decision, Event, Feedback, ScoredEvent
from schemas.topics import MESSAGES
from tests.schemas.payloads import KAFKA, NOW, REQUIRED, decoded, payload, rejection

HEADER = "a schema registry's header: publish plain JSON"


@pytest.mark.parametrize(
    ("framed", "detail"),
    [
        (b"\0\0\0\0\1" + payload(), HEADER),
        (b"\0\0\1\x86\xa3" + payload(), HEADER),
        (b"\0\0\0\0\x7b" + payload(), HEADER),
        (b"\0\0\0\1\0" + payload(), HEADER),
        (b"\0\0\0\0\7\0\n\x02e1\x12\x04chat", HEADER),
        (b"\0\0\0\0\7\x04e1\x08chat", HEADER),
        (b"\0\0\0\0\0\0\0\0\7" + payload(), HEADER),
        (b"\1" + bytes(range(16)) + payload(), HEADER),
        (b"\3\0" + bytes(range(16)) + payload(), HEADER),
        (payload().decode().encode("utf-16-be"), "looks like UTF-16 or UTF-32: publish UTF-8"),
        (payload().decode().encode("utf-32-be"), "looks like UTF-16 or UTF-32: publish UTF-8"),
        (payload().decode().encode("utf-32"), "looks like UTF-16 or UTF-32: publish UTF-8"),
        (
            b"\0\0\xfe\xff" + payload().decode().encode("utf-32-be"),
            "looks like UTF-16 or UTF-32: publish UTF-8",
        ),
    ],
)
def test_the_header_of_a_schema_registry_is_named(framed: bytes, detail: str) -> None:
    assert (rejection(framed).reason, rejection(framed).detail) == (Reason.INVALID_UTF8, detail)


def test_no_tokens_beside_a_text_are_tokens_that_nobody_counted() -> None:
    event, _ = decoded(payload(prompt_tokens=0, completion_tokens=0, cost=0))
    assert (event.prompt_tokens, event.completion_tokens, event.cost) == (None, None, 0)
    assert decoded(payload(text="", completion_tokens=0))[0].completion_tokens == 0
    assert (
        decoded(payload(text="", tool_calls=[{"name": "t"}], completion_tokens=0))[0].completion_tokens
        is None
    )
    assert decoded(payload(prompt_tokens=3, completion_tokens=0))[0].prompt_tokens == 3


@pytest.mark.parametrize("cut", [rb"\ud83d", rb"\ud83d\ud", rb"\ud83d\ude0", b"\xf0\x9f\x98", rb"\ud8"])
def test_a_payload_cut_inside_a_character_is_truncated(cut: bytes) -> None:
    value = payload()[:-2] + cut
    assert rejection(value).reason is Reason.TRUNCATED_JSON


def test_details_say_where_and_what() -> None:
    details = {
        payload(text=3): "`$.text`: expected `str`, got `int`",
        payload(event_id=""): "`$.event_id`: expected `str` of length >= 1",
        payload(prompt_tokens=-1): "`$.prompt_tokens`: expected `int` >= 0",
        payload(cost=-1): "`$.cost`: expected `float` >= 0.0",
        payload(kind="chat"): "`$.kind`: value is not allowed: it is one of completion, prompt",
        payload(metadata={"k": 3}): "`$.metadata[...]`: expected `str`, got `int`",
        payload(tool_calls=[{"name": "a"}, {}]): "`$.tool_calls[1]`: required field `name` is missing",
        payload(timestamp="noon"): "`$.timestamp`: expected RFC 3339, such as 2030-01-31T12:00:00Z",
        b"{}": "`$`: required field `event_id` is missing",
        b"[]": "`$`: expected `object`, got `array`",
        payload() + b"x": "more data after the first JSON value",
        payload()[:-1] + b',"cost":NaN}': f"NaN and Infinity are not JSON, at byte {len(payload()) + 7}",
    }
    assert {value: rejection(value).detail for value in details} == details


def test_a_rejection_holds_no_reference_to_the_payload() -> None:
    for value in (payload(kind="secret"), b'{"event_id":"\xff"}', b'{"event_id":"x'):
        caught = rejection(value)
        assert caught.__context__ is None
        assert caught.__cause__ is None
        assert str(caught) == f"{caught.reason}: {caught.detail}"


def test_feedback_keeps_the_same_rules() -> None:
    feedback = Feedback(feedback_id="f", event_id="e", app="a", reviewer="r", judgement="correct")
    decoder = Decoder(max_bytes=200)
    assert decoder.decode(Feedback, encode(feedback), KAFKA, NOW) == (feedback, KAFKA)
    for change, reason in (
        ({"judgement": "perhaps"}, Reason.INVALID_VALUE),
        ({"comment": "x" * 200}, Reason.TOO_LARGE),
        ({"timestamp": 1}, Reason.TIMESTAMP_TOO_OLD),
    ):
        value = msgspec.json.encode(msgspec.to_builtins(feedback) | change)
        with pytest.raises(Rejected) as caught:
            decoder.decode(Feedback, value, KAFKA, NOW)
        assert caught.value.reason is reason


def test_every_message_has_a_decoder() -> None:
    decision = Decision(
        decision_id="d", event_id="e", app="a", kind="prompt", verdict="flag", action="allow", text=""
    )
    event = Event(
        event_id="e", app="a", kind="prompt", text="t", timestamp=dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    )
    messages = [
        decision,
        ScoredEvent(event=event, scores={"toxicity": 0.5}, decision=decision, timestamp=1),
        Alert(alert_id="a", source="guard", severity="high", rule="r", title="t", timestamp=1, app="a"),
        DriftRecord(
            drift_id="d",
            app="a",
            kind="prompt",
            metric="m",
            detector="x",
            timestamp=1,
            event_id="e",
            before=0,
            after=1,
        ),
    ]
    for message in messages:
        assert decode(type(message), encode(message)) == message
    for kind in MESSAGES.values():
        with pytest.raises(Rejected, match="null_value"):
            decode(kind, None)


def test_defaults_are_left_out_of_the_json() -> None:
    assert msgspec.json.decode(encode(decoded(payload())[0])) == REQUIRED


def test_ids_are_golden() -> None:
    decision = codec.decision_id("chat", "e1")
    assert decision == "c5b4cb98bfe4d9549388184481a9fa04"
    assert codec.alert_id(decision, "block-injection") == "cc01386ee403b2283d3393d35a192bfc"
    assert codec.drift_id("chat", "m", "v1", "toxicity", "adwin", "e1") == "fb00b47e3904021fc6c323150a1c72e6"
    assert codec.dead_letter_id("llm.events", 3, 17, NOW) == "9eea19b44187f4490413c27a6b71ba6e"


def test_ids_do_not_run_together() -> None:
    ids = {
        codec.decision_id("a", "bc"),
        codec.decision_id("ab", "c"),
        codec.decision_id("", "abc"),
        codec.decision_id("a\0b", "c"),
        codec.decision_id("a", "b\0c"),
        codec.alert_id("a", "bc"),
        codec.dead_letter_id("t", 1, 11, 0),
        codec.dead_letter_id("t", 11, 1, 0),
        codec.dead_letter_id("t", 1, 11, 1),
    }
    assert len(ids) == 9
    assert all(len(i) == 32 and set(i) <= set("0123456789abcdef") for i in ids)


def test_keys() -> None:
    event = Event(event_id="é", app="a", kind="prompt", text="", model='m"', prompt_version="1")
    assert codec.partition_key(event) == "é".encode()
    assert codec.partition_key(msgspec.structs.replace(event, conversation_id="c")) == b"c"
    assert codec.segment_key(event) == rb'["a","m\"","1"]'


@pytest.mark.parametrize(
    ("payload", "app"),
    [
        (b'{"text": "x", "app": "shop"}', "shop"),
        (b'\xef\xbb\xbf{"app": "shop"}', "shop"),
        (rb'{"text": "\ud800", "app": "shop"}', "shop"),
        (rb'{"app": "sh\udc00op"}', "sh\ufffdop"),
        (b'{"app": "sh\xffop"}', "sh\ufffdop"),
        (b'{"app": 5}', ""),
        (b'{"app": "%s"}' % (b"x" * 257), ""),
        (b'{"app": "shop", "text": ', ""),
        (b"[" * 100_000, ""),
        (b"\xff", ""),
        (b"", ""),
        (None, ""),
    ],
)
def test_the_app_is_found_without_reading_the_event(payload: bytes | None, app: str) -> None:
    assert codec.app_of(payload) == app
