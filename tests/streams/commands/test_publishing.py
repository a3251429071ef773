import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas import codec
from schemas.events import Event
from schemas.otel.kinds import SpanKind
from streams.ingest.field_map import FieldMap
from streams.ingest.files import InputRow, RowSource
from streams.ingest.misnamed import LOOKED, LeftOut
from streams.ingest.publish import BATCH, BadRowError, Preparer, Publication, Tally, raw
from streams.ingest.span_messages import SpanPreparer
from streams.kafka.records import Message

NOW_MS = 1_700_000_000_000
GOOD = {"event_id": "e1", "app": "shop", "kind": "prompt", "text": "hello"}


class FakeProducer:
    def __init__(self) -> None:
        self.batches: list[list[Message]] = []

    async def send(self, topic: str, messages: Sequence[Message]) -> None:
        assert topic == "llm.events.bulk"
        await asyncio.sleep(0)
        self.batches.append(list(messages))

    @property
    def events(self) -> list[Event]:
        return [codec.decode(Event, value) for batch in self.batches for _, value in batch]


def preparer(fields: FieldMap | None = None, tally: Tally | None = None) -> Preparer:
    return Preparer(codec.Decoder(), "file.jsonl", fields, tally or Tally(), lambda: NOW_MS)


def line(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in (GOOD | changes).items() if value is not None}).encode()


def test_a_good_line_is_sent_as_it_is() -> None:
    payload = line(conversation_id="c", unknown=1)
    assert preparer()(InputRow(1, payload)) == [(b"c", payload)]


@pytest.mark.parametrize("blank", [b"", b"  \r"])
def test_blank_lines_are_nothing(blank: bytes) -> None:
    assert preparer()(InputRow(1, blank)) == []


def test_a_missing_id_follows_from_file_line_and_content() -> None:
    tally = Tally()
    prepare = preparer(tally=tally)

    def event_id(number: int, **changes: Any) -> str:
        ((_, value),) = prepare(InputRow(number, line(event_id=None, **changes)))
        assert value is not None
        return codec.decode(Event, value).event_id

    assert event_id(7).startswith("file.jsonl-7-")
    assert event_id(7) == event_id(7)
    assert len({event_id(7), event_id(8), event_id(7, text="other")}) == 3
    assert tally.generated_ids == 6


def test_a_mapping_makes_an_event_of_a_row() -> None:
    fields = FieldMap({"text": "question", "event_id": "id"}, {"app": "shop", "kind": "prompt"}, ("team",))
    ((key, value),) = preparer(fields)(InputRow(2, {"question": "hello", "id": 5, "team": "a", "other": "x"}))
    assert value is not None
    assert (key, json.loads(value)) == (b"5", GOOD | {"event_id": "5", "metadata": {"team": "a"}})


def publish(
    path: Path, content: bytes, prepare: Any = None, **options: Any
) -> tuple[FakeProducer, Publication, list[str]]:
    path.write_bytes(content)
    producer, reports = FakeProducer(), list[str]()
    tally = Tally()
    with RowSource(str(path)) as source:
        publication = Publication(source, prepare or preparer(tally=tally), tally, reports.append, **options)
        try:
            asyncio.run(publication.run(producer, lambda: None))
        except BadRowError as error:
            reports.append(f"stopped at {error}")
    return producer, publication, reports


def lines(count: int) -> bytes:
    return b"".join(line(event_id=f"e{i}") + b"\n" for i in range(count))


def test_everything_is_sent_in_order_and_in_batches(tmp_path: Path) -> None:
    producer, publication, _ = publish(tmp_path / "a.jsonl", lines(2500))
    assert [event.event_id for event in producer.events] == [f"e{i}" for i in range(2500)]
    assert publication.tally.published == publication.tally.prepared == 2500
    assert max(map(len, producer.batches)) == BATCH
    assert (publication.tally.kinds, publication.tally.apps) == ({"prompt": 2500}, {"shop"})


@pytest.mark.parametrize("limit", [1, BATCH, BATCH + 1, 5000])
def test_a_limit_is_exact(tmp_path: Path, limit: int) -> None:
    producer, _, _ = publish(tmp_path / "a.jsonl", lines(2500), limit=limit)
    assert len(producer.events) == min(limit, 2500)


BAD = line(text=7)


def test_a_bad_row_stops_after_the_good_ones_before_it(tmp_path: Path) -> None:
    producer, publication, reports = publish(tmp_path / "a.jsonl", lines(3) + BAD + b"\n" + lines(3))
    assert len(producer.events) == publication.tally.published == 3
    assert reports == [
        "stopped at a.jsonl:4: `$.text`: expected `str`, got `int` (--map takes a field from another column)"
    ]


def test_bad_rows_can_be_skipped_and_the_first_are_shown(tmp_path: Path) -> None:
    content = lines(2) + (BAD + b"\n") * 30 + lines(2)
    producer, publication, reports = publish(tmp_path / "a.jsonl", content, skip_bad=True)
    assert len(producer.events) == 4
    assert publication.tally.bad == 30
    assert len(reports) == 20
    assert reports[0].startswith("a.jsonl:3: `$.text`")


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (line(kind="question"), "--set kind=prompt"),
        (line(app=None), "required field `app` is missing (--map FIELD=COLUMN or --set"),
        (line(timestamp=0), "WEIR_MAX_EVENT_AGE_DAYS"),
        (b'{"event_id": ', "not JSON: ends in the middle"),
        (b"{'a': 1}", "a.jsonl:1: not JSON: "),
        (b"[1]", "expected `object`, got `array`"),
        (b'{"resourceSpans": []}', "a.jsonl:1: looks like OpenTelemetry: add --otel"),
        (b'{"resourceLogs": []}', "looks like OpenTelemetry: add --otel"),
        (b'{"name": "chat", "context": {"trace_id": "1"}, "attributes": {}}', "add --otel"),
        (
            line().replace(b"hello", b"h\xe9llo"),
            "not UTF-8 at byte 62: convert the file, for example with iconv",
        ),
    ],
)
def test_what_is_wrong_is_said_and_what_to_do(tmp_path: Path, payload: bytes, words: str) -> None:
    _, _, reports = publish(tmp_path / "a.jsonl", payload)
    assert words in reports[0]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"{", "ends in the middle"),
        (b"7", "expected one JSON object per line"),
        (b'{"text": "a", "kind": "prompt"}', "required field `app` is missing"),
    ],
)
def test_lines_are_refused_under_a_mapping_too(tmp_path: Path, value: bytes, words: str) -> None:
    prepare = preparer(FieldMap({}, {"user": "u"}))
    _, _, reports = publish(tmp_path / "a.jsonl", value, prepare)
    assert words in reports[0]


def test_csv_that_is_not_utf8_is_refused_row_by_row(tmp_path: Path) -> None:
    prepare = preparer(FieldMap({}, {"app": "shop", "kind": "prompt"}))
    content = b"text\nplain\n" + "Grüße\n".encode("latin-1") + b"plain\n"
    producer, _, reports = publish(tmp_path / "a.csv", content, prepare, skip_bad=True)
    assert len(producer.events) == 2
    assert reports == ["a.csv:3: not UTF-8: convert the file, for example with iconv"]


def test_nothing_of_a_text_is_in_a_message_about_it(tmp_path: Path) -> None:
    _, _, reports = publish(
        tmp_path / "a.jsonl", b'{"text": "geheim", "kind": "geheim", "event_id": "x", "app": "a"}'
    )
    assert reports
    assert "geheim" not in reports[0]


def test_raw_lines_go_as_they_are(tmp_path: Path) -> None:
    producer, _, _ = publish(tmp_path / "a.jsonl", b"{\n\n\xff", raw)
    assert producer.batches == [[(b"1", b"{"), (b"2", b"")], [(b"3", b"\xff")]]


def test_spans_become_events_with_constants_and_those_without_content_are_counted(tmp_path: Path) -> None:
    tally = Tally()
    prepare = SpanPreparer(codec.Decoder(), "s", FieldMap({}, {"app": "shop"}), tally, lambda: NOW_MS)
    span = {"trace_id": "a", "span_id": "b", "attributes": {"gen_ai.prompt": "How deep?"}}
    content = b"\n".join(json.dumps(each).encode() for each in (span, span | {"attributes": {}}))
    producer, _, _ = publish(tmp_path / "a.jsonl", content + b"\n\n", prepare)
    assert [(event.app, event.text) for event in producer.events] == [("shop", "How deep?")]
    assert (prepare.spans.read, prepare.spans.published, prepare.spans.others) == (2, 1, {SpanKind.OTHER: 1})


def test_options_that_spans_cannot_have_are_not_advised(tmp_path: Path) -> None:
    prepare = SpanPreparer(codec.Decoder(), "s", None, Tally(), lambda: NOW_MS)
    _, _, reports = publish(tmp_path / "a.jsonl", b'{"span_id": "b"}', prepare, mappable=False)
    assert reports == ["stopped at a.jsonl:1: required field `attributes` is missing"]


def test_half_a_surrogate_pair_is_sent_for_the_guard_to_read(tmp_path: Path) -> None:
    mapped = preparer(FieldMap({}, {"app": "shop"}))
    for prepare in (preparer(), mapped):
        producer, _, _ = publish(tmp_path / "a.jsonl", line(text="hello \ud83d"), prepare)
        assert [event.text for event in producer.events] == ["hello \ufffd"]


def test_a_line_of_spans_among_mapped_rows_is_named(tmp_path: Path) -> None:
    mapped = preparer(FieldMap({"text": "question"}, {"app": "shop"}))
    _, _, reports = publish(tmp_path / "a.jsonl", b'{"resourceSpans": []}', mapped)
    assert reports == ["stopped at a.jsonl:1: looks like OpenTelemetry: add --otel"]


def test_what_was_held_until_the_end_is_sent_up_to_the_limit(tmp_path: Path) -> None:
    prepare = SpanPreparer(codec.Decoder(), "s", None, Tally(), lambda: NOW_MS)
    agent = {"openinference.span.kind": "AGENT", "input.value": "Hi", "output.value": "Ho"}
    span = json.dumps({"trace_id": "a", "span_id": "b", "attributes": agent}).encode()
    producer, _, _ = publish(tmp_path / "a.jsonl", span, prepare, finish=prepare.finish)
    assert [event.text for event in producer.events] == ["Hi", "Ho"]
    prepare = SpanPreparer(codec.Decoder(), "s", None, Tally(), lambda: NOW_MS)
    producer, _, _ = publish(tmp_path / "a.jsonl", span, prepare, finish=prepare.finish, limit=1)
    assert [event.text for event in producer.events] == ["Hi"]


def test_a_rate_is_kept(tmp_path: Path) -> None:
    started = time.monotonic()
    producer, _, _ = publish(tmp_path / "a.jsonl", lines(30), rate=100)
    assert len(producer.events) == 30
    assert time.monotonic() - started >= 0.29
    assert {len(batch) for batch in producer.batches} == {5}


@pytest.mark.parametrize(
    ("missing", "given", "mapped"),
    [
        ("text", "txt", False),
        ("text", "message", False),
        ("text", "Text", True),
        ("app", "application", False),
        ("kind", "knd", True),
        ("kind", "type", False),
    ],
)
def test_a_missing_field_is_told_with_the_name_that_stands_for_it(
    missing: str, given: str, mapped: bool
) -> None:
    row = {name: value for name, value in GOOD.items() if name != missing} | {given: GOOD[missing]}
    fields = FieldMap({}, {}, ()) if mapped else None
    with pytest.raises(codec.Rejected, match=f"is `{given}` meant. --map {missing}={given} takes it"):
        preparer(fields)(InputRow(1, json.dumps(row).encode()))


@pytest.mark.parametrize("given", [{"role": "user"}, {"type": ["message"]}, {"type": "chat", "role": None}])
def test_a_name_whose_value_is_no_kind_is_not_told_in_its_place(given: dict[str, object]) -> None:
    row = {name: value for name, value in GOOD.items() if name != "kind"}
    with pytest.raises(codec.Rejected) as caught:
        preparer()(InputRow(1, json.dumps(row | given).encode()))
    assert caught.value.detail == "`$`: required field `kind` is missing"
    with pytest.raises(codec.Rejected, match="--map kind=type takes it"):
        preparer()(InputRow(1, json.dumps(row | {"role": "user", "type": "prompt"}).encode()))


def left_out(path: Path, content: bytes, fields: FieldMap | None = None) -> list[str]:
    producer, _, reports = publish(path, content, preparer(fields), look=LeftOut(fields))
    assert len(producer.events) == 2
    return reports


def test_names_that_are_left_out_though_they_stand_for_a_field_are_told_once(tmp_path: Path) -> None:
    names = ("user_id", "latency", "modell", "time", "size", "colour", "geheim text", "metadata")
    rows = line(**dict.fromkeys(names[:-1], 1)) + b"\n" + line(event_id="e2", userid="u", user_id="u")
    assert left_out(tmp_path / "a.jsonl", rows) == [
        f"warning: a.jsonl:{number}: `{name}` is no field and was left out: is `{field}` meant? "
        f"--map {field}={name} takes it"
        for number, name, field in (
            (1, "user_id", "user"), (1, "latency", "latency_ms"), (1, "modell", "model"),
            (1, "time", "timestamp"), (2, "userid", "user"),
        )
    ]  # fmt: skip
    for name in ("id", "eventid"):
        made = line(event_id=None, **{name: 5})
        [said] = left_out(tmp_path / "a.jsonl", made + b"\n\n" + made)
        assert f"`{name}` is no field and was left out: is `event_id` meant?" in said
    [said] = left_out(tmp_path / "a.jsonl", line() + b"\n" + line(event_id="2", message="a \ud83d"))
    assert said.endswith("a.jsonl:2: `message` is no field and was left out: is `text` meant?"), (
        "not taken instead"
    )


def test_columns_that_are_left_out_are_told_but_for_those_that_are_mapped(tmp_path: Path) -> None:
    content = b"event_id,question,userid,modle,label,id\n1,how deep?,u,m,x,7\n2,how wide?,u,,x,8\n"
    fields = FieldMap({"text": "question", "metadata.m": "modle"}, {"app": "shop", "kind": "prompt"})
    said = left_out(tmp_path / "a.csv", content, fields)
    assert [each.partition(" is no")[0] for each in said] == [
        "warning: a.csv:2: `userid`",
        "warning: a.csv:2: `id`",
    ]
    nested = FieldMap({"user": "customer.id"}, {"tenant": "t"})
    rows = [line(event_id=str(number), customer={"id": "u"}, uid="a", org="b") for number in (1, 2)]
    assert left_out(tmp_path / "a.jsonl", b"\n".join(rows), nested) == []


def test_of_many_names_the_first_are_looked_at() -> None:
    look = LeftOut(None)
    rows = [InputRow(number, {f"x{number}": 1}) for number in range(LOOKED)]
    assert [said for row in rows for said in look(row)] == []
    assert list(look(InputRow(1, {"modle": 1}))) == []


def test_a_name_that_resembles_no_field_is_not_repeated() -> None:
    row = {"app": "shop", "kind": "prompt", "my secret text": "x", "colour": "red"}
    with pytest.raises(codec.Rejected) as caught:
        preparer()(InputRow(1, json.dumps(row).encode()))
    assert "meant" not in caught.value.detail
