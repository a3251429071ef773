"""`weir dlq` against the embedded broker: what is listed, shown, published again and dropped."""

import asyncio
import json
import uuid
from collections import Counter
from pathlib import Path

import pytest

from schemas import codec, topics
from schemas.events import DeadLetter, Event
from streams.kafka.clients import producing
from streams.kafka.dead_letters import Refused, dead_letter
from streams.settings import load
from tests.harness import everything
from tests.streams.records import FakeRecord
from tests.streams.weir import run

pytestmark = pytest.mark.usefixtures("on_broker")
AT = 1_790_000_000_000


def send(topic: str, *messages: tuple[bytes | None, bytes]) -> None:
    async def sending() -> None:
        async with producing(load()) as producer:
            await producer.send(topic, messages)

    asyncio.run(sending())


def records(topic: str) -> list[FakeRecord]:
    return asyncio.run(everything(load(), topic))


def events(app: str) -> list[Event]:
    found = []
    for record in records(topics.EVENTS):
        try:
            event = codec.decode(Event, record.value)
        except codec.Rejected:
            continue
        found += [event] if event.app == app else []
    return found


def event(app: str, number: int = 0, **fields: object) -> bytes:
    return json.dumps(
        {"event_id": f"e{number}", "app": app, "kind": "prompt", "text": "a user wrote this", **fields}
    ).encode()


def keep(payload: bytes, app: str, *, kept: int = 65_536, offset: int = 10**9) -> DeadLetter:
    """Put a dead letter into the topic; its own message is nowhere."""
    record = FakeRecord(payload, offset, timestamp=AT, key=b"c-1")
    letter = dead_letter(Refused(record, "timestamp_too_old", "long ago"), kept, app)
    letter_id = uuid.uuid4().hex
    letter = codec.decode(
        DeadLetter, codec.encode(letter).replace(letter.dead_letter_id.encode(), letter_id.encode())
    )
    send(topics.DEAD_LETTERS, (letter_id.encode(), codec.encode(letter)))
    return letter


def listed(app: str, *options: str) -> list[dict[str, object]]:
    outcome = run("dlq", "list", "--app", app, "--json", *options)
    assert outcome.code == 0, outcome.err
    return [json.loads(line) for line in outcome.out.splitlines()]


def test_letters_are_listed_without_the_text_of_a_message(app: str) -> None:
    letters = [keep(event(app, number), app, offset=10**9 + number) for number in range(3)]
    entries = listed(app)
    assert {entry["dead_letter_id"] for entry in entries} == {x.dead_letter_id for x in letters}
    assert {entry["reason"] for entry in entries} == {"timestamp_too_old"}
    outcome = run("dlq", "list", "--app", app, "--limit", "2")
    assert len(outcome.out.splitlines()) == 4
    assert "3 dead letters for 3 messages, the newest 2 are shown" in outcome.err
    assert letters[-1].dead_letter_id[:12] in outcome.out
    assert "wrote" not in outcome.out
    assert listed(app, "--reason", "empty") == []
    assert len(listed(app, "--since", "2020-01-01")) == 3
    assert run("dlq", "list", "--since", "soon").code == 2


def test_a_payload_is_shown_only_when_it_is_asked_for(app: str) -> None:
    letter = keep(event(app), app)
    for options, seen in ((), False), (("--payload",), True):
        outcome = run("dlq", "show", letter.dead_letter_id[:12], *options)
        assert ("a user wrote this" in outcome.out) is seen
        assert "may hold what a user wrote" in outcome.out or seen
    assert run("dlq", "show", "zzz").code == 2


def test_republishing_is_done_once(app: str) -> None:
    letter = keep(event(app), app)
    assert run("dlq", "republish").code == 2, "it wants to know which"
    outcome = run("dlq", "republish", "--app", app)
    assert outcome.out == "1 dead letter republished to llm.events (1 message)\n", outcome.err
    again = run("dlq", "republish", letter.dead_letter_id)
    assert again.out.startswith("0 dead letters republished (0 messages)")
    assert "republished or dropped before: --again" in again.err
    assert [each.event_id for each in events(app)] == ["e0"]
    assert listed(app) == []
    assert [entry["state"] for entry in listed(app, "--all")] == ["republished"]
    assert run("dlq", "republish", letter.dead_letter_id, "--again").code == 0
    assert len(events(app)) == 2
    sent = [r for r in records(topics.EVENTS) if r.value == event(app)]
    assert {r.key for r in sent} == {b"e0"}, "the key is the event's, as an app would send it"


def test_what_would_be_refused_again_stays(app: str) -> None:
    letter = keep(event(app, kind="question"), app)
    outcome = run("dlq", "republish", "--app", app)
    assert outcome.code == 1
    assert f"{letter.dead_letter_id[:12]} would be refused again: invalid_value" in outcome.err
    assert "question" not in outcome.err
    assert len(listed(app)) == 1
    assert run("dlq", "republish", "--app", app, "--unchecked").code == 0
    assert listed(app) == []


def test_a_mended_payload_is_published_in_its_place(app: str, tmp_path: Path) -> None:
    letter = keep(event(app, kind="question"), app)
    shown = json.loads(run("dlq", "show", letter.dead_letter_id, "--payload", "--json").out)
    shown["payload"] = shown["payload"].replace("question", "prompt")
    (tmp_path / "mended.ndjson").write_text(json.dumps(shown) + "\n")
    outcome = run("dlq", "republish", "--file", "mended.ndjson")
    assert outcome.code == 0, outcome.err
    assert [each.kind for each in events(app)] == ["prompt"]
    assert run("dlq", "republish", "--file", "mended.ndjson").out.startswith("0 dead letters")
    (tmp_path / "bad.ndjson").write_text("{}\n")
    assert "line 1: expected a JSON object" in run("dlq", "republish", "--file", "bad.ndjson").err


def test_what_was_cut_or_belongs_to_a_flood_is_read_from_where_it_was(app: str) -> None:
    send(topics.EVENTS, *[(b"same", event(app, number)) for number in range(6)])
    sent = [r for r in records(topics.EVENTS) if app.encode() in (r.value or b"")]
    first, *others = [Refused(record, "timestamp_too_old", "") for record in sent]
    letter = dead_letter(first, 10, app, [each.record.offset for each in others[::2]])
    send(topics.DEAD_LETTERS, (letter.dead_letter_id.encode(), codec.encode(letter)))
    outcome = run("dlq", "republish", "--app", app)
    assert outcome.out == "1 dead letter republished to llm.events (4 messages)\n", outcome.err
    counts = Counter(each.event_id for each in events(app))
    assert counts == {"e0": 2, "e1": 2, "e2": 1, "e3": 2, "e4": 1, "e5": 2}


def test_what_is_gone_is_told(app: str) -> None:
    letter = keep(event(app), app, kept=10)
    outcome = run("dlq", "republish", "--app", app)
    assert outcome.code == 1
    assert f"{letter.dead_letter_id[:12]} was not kept whole, and its topic no longer has it" in outcome.err
    assert len(listed(app)) == 1
    assert not events(app)


def test_another_topic_of_that_name_is_not_taken_for_it(app: str) -> None:
    send(topics.EVENTS, (b"same", event(app)))
    [record] = [r for r in records(topics.EVENTS) if app.encode() in (r.value or b"")]
    record = FakeRecord(event(app, 1), record.offset, partition=record.partition, timestamp=record.timestamp)
    letter = dead_letter(Refused(record, "invalid_json", ""), 10, app, [record.offset])
    send(topics.DEAD_LETTERS, (letter.dead_letter_id.encode(), codec.encode(letter)))
    assert run("dlq", "republish", "--app", app).code == 1
    assert len(events(app)) == 1


def test_dropped_letters_are_out_of_the_list(app: str) -> None:
    one, two = keep(event(app), app), keep(event(app, 1), app)
    assert run("dlq", "drop", one.dead_letter_id[:12]).out == "1 dead letter dropped\n"
    assert [entry["dead_letter_id"] for entry in listed(app)] == [two.dead_letter_id]
    assert run("dlq", "drop", "--app", app).out == "1 dead letter dropped\n"
    assert run("dlq", "drop", "--app", app).out == "0 dead letters dropped\n"
    assert {entry["state"] for entry in listed(app, "--all")} == {"dropped"}
    assert not events(app)
