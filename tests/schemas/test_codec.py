import contextlib
import datetime as dt
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.codec import DAY_MS, Decoder, Reason, Rejected, decode, encode
from schemas.events import Alert, Decision, DriftRecord, Event, Feedback, ScoredEvent
from schemas.topics import MESSAGES

NOW = 1_800_000_000_000
KAFKA = NOW - 5
REQUIRED = {"event_id": "e1", "app": "chat", "kind": "prompt", "text": "hello"}


def payload(**fields: Any) -> bytes:
    return msgspec.json.encode(REQUIRED | fields)


def decoded(value: bytes | None, **limits: int) -> tuple[Event, int]:
    return Decoder(**limits).decode_event(value, KAFKA, NOW)


def rejection(value: bytes | None, **limits: int) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decoded(value, **limits)
    return caught.value


def test_only_four_fields_are_required() -> None:
    event, timestamp = decoded(payload())
    assert event == Event(event_id="e1", app="chat", kind="prompt", text="hello")
    assert timestamp == KAFKA


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (NOW - 1, NOW - 1),
        ("2027-01-15T08:00:00Z", NOW),
        ("2027-01-15T08:00:00", NOW),
        ("2027-01-15T10:00:00+02:00", NOW),
        ("2027-01-15T07:59:59.999999Z", NOW - 1),
        (None, KAFKA),
    ],
)
def test_timestamps_become_milliseconds_utc(given: object, expected: int) -> None:
    assert decoded(payload(timestamp=given))[1] == expected


@pytest.mark.parametrize(
    ("distance", "reason"),
    [
        (-codec.MAX_PAST_MS - 1, Reason.TIMESTAMP_TOO_OLD),
        (-codec.MAX_PAST_MS, None),
        (codec.MAX_FUTURE_MS, None),
        (codec.MAX_FUTURE_MS + 1, Reason.TIMESTAMP_IN_FUTURE),
    ],
)
def test_clock_rule_is_exact_at_its_limits(distance: int, reason: Reason | None) -> None:
    value = payload(timestamp=KAFKA + distance)
    if reason is None:
        assert decoded(value)[1] == KAFKA + distance
    else:
        assert rejection(value).reason is reason


@pytest.mark.parametrize("later", [0, 1, DAY_MS, codec.MAX_PAST_MS])
@pytest.mark.parametrize("distance", [-codec.MAX_PAST_MS - 1, -codec.MAX_PAST_MS, codec.MAX_FUTURE_MS + 1])
def test_clock_rule_gives_the_same_answer_at_every_reading(distance: int, later: int) -> None:
    value = payload(timestamp=KAFKA + distance)
    refused = distance != -codec.MAX_PAST_MS
    with pytest.raises(Rejected) if refused else contextlib.nullcontext():
        Decoder().decode_event(value, KAFKA, KAFKA + later)


@pytest.mark.parametrize("kafka", [-1, 0, 1, NOW * 2])
def test_clock_rule_measures_from_now_where_kafka_has_no_sane_time(kafka: int) -> None:
    assert Decoder().decode_event(payload(timestamp=NOW), kafka, NOW)[1] == NOW
    with pytest.raises(Rejected, match="seconds ahead"):
        Decoder().decode_event(payload(timestamp=NOW * 2), kafka, NOW)


def test_clock_rule_is_configurable_and_names_the_limit() -> None:
    limits = {"max_past_ms": 2 * DAY_MS, "max_future_ms": 90_000}
    old = rejection(payload(timestamp=NOW - 3 * DAY_MS), **limits)
    assert (old.reason, old.detail) == (Reason.TIMESTAMP_TOO_OLD, "`$.timestamp`: more than 2 days ago")
    assert "more than 90 seconds ahead" in rejection(payload(timestamp=NOW + 90_001), **limits).detail


def test_clock_rule_holds_for_kafkas_timestamp_too() -> None:
    with pytest.raises(Rejected, match="Kafka's timestamp") as caught:
        Decoder().decode_event(payload(), NOW * 2, NOW)
    assert caught.value.reason is Reason.TIMESTAMP_IN_FUTURE


def test_no_timestamp_at_all_is_refused_since_a_clock_would_differ_at_replay() -> None:
    for kafka in (-1, 0):
        with pytest.raises(Rejected) as caught:
            Decoder().decode_event(payload(), kafka, NOW)
        assert caught.value.reason is Reason.MISSING_TIMESTAMP
    assert Decoder().decode_event(payload(timestamp=NOW), -1, NOW)[1] == NOW


@pytest.mark.parametrize(("factor", "unit"), [(1e-3, "seconds"), (1e3, "microseconds"), (1e6, "nanoseconds")])
def test_a_wrong_unit_is_named(factor: float, unit: str) -> None:
    detail = rejection(payload(timestamp=int(NOW * factor))).detail
    assert f"looks like {unit} since 1970, expected milliseconds" in detail


def test_size_limit_counts_bytes_and_includes_the_limit() -> None:
    value = payload(text="é" * 100)
    assert decoded(value, max_bytes=len(value))[0].text == "é" * 100
    too_large = rejection(value, max_bytes=len(value) - 1)
    assert too_large.reason is Reason.TOO_LARGE
    assert too_large.detail == f"{len(value)} bytes, where {len(value) - 1} are allowed"


def test_one_byte_order_mark_is_skipped() -> None:
    assert decoded(b"\xef\xbb\xbf" + payload())[0].event_id == "e1"
    assert rejection(b"\xef\xbb\xbf" * 100_000 + payload()).reason is Reason.INVALID_JSON
    assert rejection(b"\xef\xbb\xbf").reason is Reason.EMPTY


def test_of_a_repeated_field_the_last_counts() -> None:
    assert decoded(payload()[:-1] + b',"text":"last"}')[0].text == "last"


def test_unknown_fields_are_skipped() -> None:
    assert decoded(payload(colour="red", nested={"a": [1, None]}))[0] == decoded(payload())[0]


def test_nul_and_astral_characters_survive_a_round_trip() -> None:
    event, _ = decoded(rb'{"event_id":"e1","app":"a","kind":"prompt","text":"\u0000\ud83d\ude00 \\ud800"}')
    assert event.text == "\0\N{GRINNING FACE} \\ud800"
    assert decode(Event, encode(event)) == event


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb"\ud83d", "\ufffd"),
        (rb"\udc00", "\ufffd"),
        (rb"\udc00\ud83d", "\ufffd\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\uD83D\uDE00\uDE00", "\U0001f600\ufffd"),
        (rb"\\ud83d\ude00", "\\ud83d\ufffd"),
        (rb"\\\ud83d\\", "\\\ufffd\\"),
        (rb"\ud83d\n\ude00", "\ufffd\n\ufffd"),
        (b"\xed\xa0\xbd", "\ufffd"),
        (b"\xed\xa0\xbd\xed\xb8\x80", "\U0001f600"),
        (b"\xed\xb8\x80\xed\xa0\xbd!", "\ufffd\ufffd!"),
        (b"caf\xe9 au lait", "caf\ufffd au lait"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_what_is_no_character_is_read_as_one_that_says_so(written: bytes, read: str) -> None:
    fields = payload(event_id="ID", text="TEXT", metadata={"KEY": "VALUE"}, tool_calls=[{"name": "TOOL"}])
    for place in (b"ID", b"TEXT", b"KEY", b"VALUE", b"TOOL"):
        value = fields.replace(b'"' + place + b'"', b'"' + written + b'"')
        event, _ = decoded(value)
        found = (
            event.event_id,
            event.text,
            *event.metadata,
            *event.metadata.values(),
            event.tool_calls[0].name,
        )
        assert read in found
        assert decoded(value)[0] == decode(Event, encode(event)) == event
        codec.decision_id(event.app, event.event_id)


@given(
    st.text(st.characters(), max_size=12)
    | st.lists(st.sampled_from("\\\ud800\udbff\udc00\udfffx")).map("".join)
)
def test_any_text_of_javascript_is_read_as_a_browser_would_send_it(text: str) -> None:
    seen = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert decoded(json.dumps(REQUIRED | {"text": text}).encode())[0].text == seen
    raw = json.dumps(REQUIRED | {"text": text}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert decoded(raw)[0].text == seen


def test_what_is_wrong_besides_is_still_said() -> None:
    details = {
        rb'{"text":"\ud800"}': "`$`: required field `event_id` is missing",
        rb'{"text":"\ud800"': "ends in the middle, after 16 bytes",
        rb'{"text":"\ud800","cost":NaN}': "NaN and Infinity are not JSON, at byte 24",
        rb'{"text":"\ud800\x"}': "invalid escape character in string at byte 17",
    }
    assert {value: rejection(value).detail for value in details} == details


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
        payload(kind="chat"): "`$.kind`: value is not allowed",
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
