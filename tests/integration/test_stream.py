"""Events in; decisions, alerts and rows out: on every broker, each event once."""

import json
import time
import urllib.request

import msgspec
import pytest

from schemas import codec, topics
from schemas.events import Alert, DeadLetter, ScoredEvent
from streams.local.process import HOST, free_port
from tests.harness import EVENTS, PATIENCE_S, Weir, make_events, pii, wait_until
from tests.malformed import malformed_payloads
from tests.streams.gate.test_otlp import AGENT, CHAT, JSON, PROTOBUF, packed, span, traces

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(4 * PATIENCE_S)]


def test_every_event_has_one_decision_and_one_row(weir: Weir) -> None:
    app = "happy"
    weir.publish(make_events(app, EVENTS))
    weir.check_complete(app, EVENTS)
    decisions = weir.decisions(app)
    assert len(decisions) == EVENTS, "nothing was repeated"
    assert {d.action for d in decisions} >= {"allow", "block", "redact"}
    assert all(0 <= d.latency_ms < PATIENCE_S * 1000 and d.policy_hash and not d.failed for d in decisions)


def test_alerts_reach_topic_and_table(weir: Weir) -> None:
    app = "alerts"
    weir.publish(make_events(app, 60))
    weir.await_rows(app, 60)

    def raised() -> set[str]:
        alerts = [codec.decode(Alert, record.value) for record in weir.read(topics.ALERTS)]
        return {alert.alert_id for alert in alerts if alert.app == app and alert.source == "guard"}

    # Alerts follow the decisions, for their evidence: all are there when two looks find the same.
    wait_until(raised, "alerts")
    mine, before = raised(), set[str]()
    while mine != before:
        time.sleep(1.0)
        mine, before = raised(), mine
    sql = "SELECT alert_id FROM alerts WHERE app = {app:String} AND source = 'guard'"
    wait_until(lambda: {row[0] for row in weir.query(sql, app=app)} == mine, "alerts in the table")
    sql = "SELECT DISTINCT decision_id FROM alerts WHERE app = {app:String} AND source = 'guard'"
    decided = {d.decision_id for d in weir.decisions(app)}
    assert {row[0] for row in weir.query(sql, app=app)} <= decided


def test_personal_data_stays_on_the_topic_of_the_events(weir: Weir) -> None:
    app = "private"
    events = [
        msgspec.structs.replace(
            event,
            system_prompt=f"Sign as {pii(1)}",
            contexts=(f"Contact: {pii(2)}",),
            metadata={"from": pii(3)},
        )
        for event in make_events(app, 40)
    ]
    weir.publish(events)
    weir.await_rows(app, 40)
    kept = b"".join(
        record.value
        for topic in (topics.DECISIONS, topics.SCORES, topics.ALERTS, topics.DRIFT, topics.DEAD_LETTERS)
        for record in weir.read(topic)
        if record.value and b'"private' in record.value
    )
    rows = str(weir.query("SELECT * FROM events WHERE app = {app:String}", app=app))
    rows += str(weir.query("SELECT * FROM alerts WHERE app = {app:String}", app=app))
    assert b"private-39" in kept
    assert "private-39" in rows
    assert b"jane.roe" not in kept
    assert "jane.roe" not in rows
    logs = "".join(role.log.read_text() for role in weir.roles.values())
    assert "sourdough" not in logs


def test_an_event_published_twice_counts_once(weir: Weir) -> None:
    app = "twice"
    events = make_events(app, 30)
    weir.publish([*events, *events])
    weir.publish(events[::-1])
    weir.check_complete(app, 30)
    wait_until(lambda: len(weir.decisions(app)) == 90, "a decision each time")
    wait_until(lambda: weir.roles["archive"].lag() == 0, "the archive is done")
    weir.await_rows(app, 30)


def test_a_thousand_malformed_payloads_become_dead_letters(weir: Weir) -> None:
    app, count = "mixed", 1000
    payloads = malformed_payloads(7, count)
    good = [(codec.partition_key(e), codec.encode(e)) for e in make_events(app, count)]
    bad = [(f"bad-{i}".encode(), payload) for i, (_, payload, _) in enumerate(payloads)]
    weir.send(topics.EVENTS, [message for pair in zip(good, bad, strict=True) for message in pair])
    weir.check_complete(app, count)

    def told() -> list[DeadLetter]:
        found = [codec.decode(DeadLetter, record.value) for record in weir.read(topics.DEAD_LETTERS)]
        return [letter for letter in found if letter.key.startswith(b"bad-")]

    wait_until(lambda: len(told()) >= count, "a letter for each")
    letters = told()
    assert len({letter.dead_letter_id for letter in letters}) == count
    places = {(r.partition, r.offset): r.key for r in weir.read(topics.EVENTS)}
    reasons = {places[letter.partition, letter.offset]: letter.reason for letter in letters}
    expected = {f"bad-{i}".encode(): reason.value for i, (_, _, reason) in enumerate(payloads)}
    assert reasons == expected
    assert any(letter.size > 5_000_000 for letter in letters)
    sql = "SELECT count() FROM dead_letters WHERE dead_letter_id IN {ids:Array(String)}"
    ids = [letter.dead_letter_id for letter in letters]
    wait_until(lambda: weir.query(sql, ids=ids) == [(count,)], "dead letters in the table")


def test_scores_are_kept_as_the_policy_of_storage_says(weir: Weir) -> None:
    app = "stored"
    weir.publish(make_events(app, 21))
    weir.await_rows(app, 21)
    scored = [codec.decode(ScoredEvent, r.value) for r in weir.read(topics.SCORES)]
    mine = {s.event.event_id: s for s in scored if s.event.app == app}
    assert mine["stored-20"].storage == "redacted"
    assert mine["stored-20"].pii_types
    sql = "SELECT event_id, text, text_hash FROM events WHERE app = {app:String}"
    rows = {row[0]: row[1:] for row in weir.query(sql, app=app)}
    assert rows == {i: (s.event.text, s.text_hash) for i, s in mine.items()}


def test_an_export_of_spans_that_is_sent_again_counts_once(weir: Weir) -> None:
    app, calls, address = "otlp", 20, f"{HOST}:{free_port()}"
    box = weir.directory / "outbox"
    gate = weir.role("gate", WEIR_GATE_LISTEN=address, WEIR_GATE_OUTBOX=str(box)).start()
    spans = [span(CHAT, number) for number in range(1, calls + 1)]
    export = traces(span(AGENT, calls + 1), *spans, service=app)
    for body, media_type in ((packed(export), PROTOBUF), (json.dumps(export).encode(), JSON)):
        asked = urllib.request.Request(f"http://{address}/v1/traces", body, {"Content-Type": media_type})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert answer.status == 200
    wait_until(lambda: len(weir.decisions(app)) == 4 * calls, "both exports are judged")
    weir.await_rows(app, 2 * calls)
    assert len({decision.decision_id for decision in weir.decisions(app)}) == 2 * calls
    assert gate.metric("weir_gate_spans_total") == 2 * (calls + 1)
    assert gate.stop() == 0
