import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.codec import DAY_MS, Decoder, Reason, Rejected, decode, encode
from schemas.events import Event
from schemas.mending import mended
from tests.schemas.payloads import KAFKA, NOW, REQUIRED, decoded, payload, rejection


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


@pytest.mark.parametrize("behind", [codec.MAX_FUTURE_MS + 1, 3 * 3600 * 1000, 30 * DAY_MS, codec.MAX_PAST_MS])
def test_a_reader_whose_clock_is_behind_refuses_nothing_that_others_take(behind: int) -> None:
    for value in (payload(), payload(timestamp=NOW - 5), payload(timestamp=NOW + codec.MAX_FUTURE_MS)):
        expected = Decoder().decode_event(value, NOW, NOW)
        assert Decoder().decode_event(value, NOW, NOW - behind) == expected
    with pytest.raises(Rejected, match="seconds ahead"):
        Decoder().decode_event(payload(timestamp=NOW + codec.MAX_FUTURE_MS + 1), NOW, NOW - behind)


def test_a_small_limit_of_age_leaves_the_one_of_the_future() -> None:
    decoder = Decoder(max_past_ms=1_000, max_future_ms=90_000)
    assert decoder.decode_event(payload(), NOW, NOW - 90_000)[1] == NOW
    with pytest.raises(Rejected, match="Kafka's timestamp: more than 90 seconds ahead"):
        decoder.decode_event(payload(), NOW, NOW - 90_001)


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


PLAIN = {rb"\\": "\\", rb"\n": "\n", rb"\u00e9": "é", "é".encode(): "é", b"\xff": "\ufffd", b"ud800": "ud800"}
HALVES = {
    rb"\ud83d": ("high", "escape"), rb"\uD83D": ("high", "escape"),
    rb"\ude00": ("low", "escape"), rb"\uDE00": ("low", "escape"),
    b"\xed\xa0\xbd": ("high", "raw"), b"\xed\xb8\x80": ("low", "raw"),
}  # fmt: skip


@given(st.lists(st.sampled_from([*PLAIN, *HALVES])))
def test_halves_of_pairs_and_nothing_else_are_mended(pieces: list[bytes]) -> None:
    expected, rest = "", list(pieces)
    while rest:
        half, form = HALVES.get(piece := rest.pop(0), ("", ""))
        if half == "high" and rest and HALVES.get(rest[0]) == ("low", form):
            expected, rest = expected + "\U0001f600", rest[1:]
        else:
            expected += PLAIN.get(piece, "\ufffd")
    assert json.loads(mended(b'"%b"' % b"".join(pieces))) == expected


@pytest.mark.parametrize("escapes", [1, 999, 1000, 1001, 2500])
def test_halves_of_pairs_are_found_after_any_number_of_escapes(escapes: int) -> None:
    whole = rb"\n \ud83d\ude00 \\"
    assert mended(whole * escapes + rb"\ud83d \n") == whole * escapes + rb"\ufffd \n"


@pytest.mark.parametrize("text", [rb"\ud800a", rb"\n\udc00", b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80!"])
def test_a_text_full_of_halves_takes_no_longer_than_texts_do(text: bytes) -> None:
    whole = REQUIRED | {"text": "\u00e9" * 130_000}
    full = json.dumps(REQUIRED | {"text": "+"}).encode().replace(b"+", text * (400_000 // len(text)))

    def seconds(value: bytes) -> float:
        began = time.process_time()
        decoded(value)
        return time.process_time() - began

    quick = min(seconds(json.dumps(whole).encode()) for _ in range(5))
    assert min(seconds(full) for _ in range(5)) < 5 * quick + 0.01


def test_what_is_wrong_besides_is_still_said() -> None:
    details = {
        rb'{"text":"\ud800"}': "`$`: required field `event_id` is missing",
        rb'{"text":"\ud800"': "ends in the middle, after 16 bytes",
        rb'{"text":"\ud800","cost":NaN}': "NaN and Infinity are not JSON, at byte 24",
        rb'{"text":"\ud800\x"}': "invalid escape character in string at byte 17",
    }
    assert {value: rejection(value).detail for value in details} == details
